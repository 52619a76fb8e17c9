//! What only one host of a registry file has.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use actix_web::rt::task::JoinHandle;
use tokio::task::spawn_blocking;

use super::error::TakeoverError;
use super::messages::{Handed, Role};
use super::predecessor::{Predecessor, path};
use super::successor::{Candidate, Successor, listener, refuse};
use crate::admin::host_lock::HostLock;
use crate::admin::{self, Admin};
use crate::fs::unix_socket::{SocketFile, listen_again};
use crate::registry::Registry;
use crate::server::fault_recorder::FaultRecorder;

/// What only one host of a registry file has: its lock, the sockets that commands and the next host connect to, the admin
/// listener and the record of faults. It is given up when another host replaces this one, or when this is dropped.
#[derive(Debug)]
pub(in crate::server) struct Ownership {
    config: PathBuf,
    registry: Arc<Registry>,
    /// Whether a process has descriptors of it: then what this one leaves is that one's.
    is_shared: AtomicBool,
    /// Splits the requests to the apps between their versions.
    restoring: Mutex<Option<JoinHandle<()>>>,
    parts: Mutex<Parts>,
}

/// What a host has of it. Fields are dropped in this order: the folder of the lock is removed when it is empty.
#[derive(Debug, Default)]
struct Parts {
    admin: Option<admin::Running>,
    takeover: Option<(UnixListener, SocketFile)>,
    recorder: Option<FaultRecorder>,
    /// Descriptors for the new host.
    handed: Vec<(Handed, OwnedFd)>,
    /// What this host does once it is the only one.
    waiting: Option<Waiting>,
    lock: Option<HostLock>,
}

impl Parts {
    /// Opens the socket for the host after this one, unless it is open.
    fn open_takeover(&mut self) -> io::Result<()> {
        let Some(lock) = &self.lock else { return Err(io::ErrorKind::NotFound.into()) };
        if self.takeover.is_none() {
            self.takeover = Some(SocketFile::bind(path(lock.folder()), 0o600)?);
        }
        Ok(())
    }
}

/// The parts that a host has when it is the only one of its registry file.
#[derive(Debug)]
pub(in crate::server) struct Waiting {
    pub(in crate::server) admin: Admin,
    pub(in crate::server) recording: Recording,
    /// The host that this one replaces.
    pub(in crate::server) predecessor: Option<Predecessor>,
}

/// The record of the next fault of the process.
pub(in crate::server) enum Recording {
    /// It has begun, if it can.
    Begun(Option<FaultRecorder>),
    /// This begins it.
    Later(Box<dyn FnOnce() -> Option<FaultRecorder> + Send>),
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Begun(_) => "Begun",
            Self::Later(_) => "Later",
        })
    }
}

impl Ownership {
    /// That of a host that is the only one, or that replaces another one: then it begins with
    /// [`take_over`](Self::take_over).
    ///
    /// # Errors
    /// The admin listener cannot be used.
    pub(in crate::server) fn new(
        config: &Path,
        registry: Arc<Registry>,
        lock: HostLock,
        waiting: Waiting,
    ) -> io::Result<Self> {
        let is_alone = waiting.predecessor.is_none();
        let handed = share(&lock, &waiting.admin)?;
        let restoring = actix_web::rt::spawn(waiting.admin.restore_traffic());
        let parts = Parts { lock: Some(lock), handed, waiting: Some(waiting), ..Parts::default() };
        let this = Self {
            config: config.to_owned(),
            registry,
            is_shared: AtomicBool::new(false),
            restoring: Mutex::new(Some(restoring)),
            parts: Mutex::new(parts),
        };
        if is_alone {
            this.begin()?;
        }
        Ok(this)
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to answer commands and to record faults.
    fn begin(&self) -> io::Result<()> {
        let Some(Waiting { admin, recording, predecessor }) = self.parts().waiting.take() else {
            return Ok(());
        };
        let recorder = match recording {
            Recording::Begun(recorder) => recorder,
            Recording::Later(begin) => begin(),
        };
        let mut parts = self.parts();
        parts.recorder = recorder;
        if let Some(mut predecessor) = predecessor {
            if let Some(lock) = &mut parts.lock
                && let Err(error) = lock.claim(&self.config)
            {
                log::warn!("cannot write the number of this process to {}: {error}", lock.folder().display());
            }
            if let Some((listener, mut file)) = predecessor.take_takeover() {
                file.claim();
                if let Err(error) = listen_again(&listener) {
                    log::debug!("the next host sees the number of the process before: {error}");
                }
                parts.takeover = Some((listener, file));
            }
        }
        parts.admin = Some(admin.run()?);
        Ok(())
    }

    /// Whether this host is the only one, or was.
    pub(in crate::server) fn has_begun(&self) -> bool {
        self.parts().waiting.is_none()
    }

    /// Waits until the requests to the apps are split between their versions as before, and until the apps serve that are to serve
    /// before this host replaces another one.
    ///
    /// # Errors
    /// One does not start.
    pub(in crate::server) async fn start_apps(&self) -> Result<(), TakeoverError> {
        let restoring = self.restoring.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(restoring) = restoring {
            // A panic of it is in the log.
            let _ = restoring.await;
        }
        let predecessor = self.parts().waiting.as_mut().and_then(|waiting| waiting.predecessor.take());
        let Some(predecessor) = predecessor else { return Ok(()) };
        predecessor.start_apps(&self.registry).await?;
        if let Some(waiting) = &mut self.parts().waiting {
            waiting.predecessor = Some(predecessor);
        }
        Ok(())
    }

    /// Replaces the host before, if there is one: this process accepts connections, on the sockets with these numbers of
    /// that one's.
    ///
    /// # Errors
    /// The admin listener cannot be used.
    pub(in crate::server) async fn take_over(&self, kept: Vec<usize>) -> io::Result<()> {
        let predecessor = self.parts().waiting.as_mut().and_then(|waiting| waiting.predecessor.take());
        let Some(predecessor) = predecessor else { return Ok(()) };
        let (begun, process) = (Instant::now(), predecessor.process());
        let work = move || {
            let released = predecessor.serves(kept);
            (predecessor, released)
        };
        let (predecessor, released) = spawn_blocking(work).await.map_err(io::Error::other)?;
        match released {
            Ok(()) => log::info!("took over from process {process} within {:?}", begun.elapsed()),
            // This process has all that is needed to serve without it.
            Err(error) => {
                log::warn!("process {process} has not finished the takeover, continuing without it: {error}")
            }
        }
        if let Some(waiting) = &mut self.parts().waiting {
            waiting.predecessor = Some(predecessor);
        }
        self.begin()
    }

    /// Waits until another process serves in place of this one, on some of these sockets. Those that give up before are in the
    /// log. If the system does not allow it, this waits forever.
    pub(in crate::server) async fn successor(&self, sockets: Vec<(Handed, OwnedFd)>) -> Successor {
        match self.listen(sockets) {
            Ok((listener, handed)) => self.accept(&listener, &handed).await,
            Err(error) => {
                log::warn!("no other host can take over from this one: {error}");
                std::future::pending().await
            }
        }
    }

    /// Opens the socket for the host after this one, if this one is the only one: it can connect from now on, and is answered when
    /// this one serves. A host that cannot reports that when it [waits](Self::successor) for the next one.
    pub(in crate::server) fn offer(&self) {
        let mut parts = self.parts();
        if parts.waiting.is_none()
            && let Err(error) = parts.open_takeover()
        {
            log::debug!("cannot open the socket for the next host yet: {error}");
        }
    }

    /// Listens for the host after this one.
    fn listen(
        &self,
        sockets: Vec<(Handed, OwnedFd)>,
    ) -> io::Result<(tokio::net::UnixListener, Vec<(Handed, OwnedFd)>)> {
        let mut parts = self.parts();
        parts.open_takeover()?;
        let Parts { takeover: Some((socket, file)), handed, .. } = &mut *parts else {
            return Err(io::ErrorKind::NotFound.into());
        };
        // Their numbers begin with those of the server's sockets.
        let mut all = sockets;
        all.append(handed);
        all.push((Handed::own(Role::Takeover, Some(file)), socket.as_fd().try_clone_to_owned()?));
        Ok((listener(socket)?, all))
    }

    async fn accept(&self, listener: &tokio::net::UnixListener, handed: &[(Handed, OwnedFd)]) -> Successor {
        let mut candidate = None::<Candidate>;
        loop {
            let serves = async {
                match &mut candidate {
                    Some(candidate) => candidate.serves().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                served = serves => {
                    let Some(found) = candidate.take() else { continue };
                    match served {
                        Ok(kept) => return found.into_successor(kept),
                        Err(error) => {
                            self.is_shared.store(false, Ordering::Relaxed);
                            log::warn!("process {} has given up the takeover: {error}", found.process());
                        }
                    }
                }
                accepted = listener.accept() => {
                    let stream = match accepted {
                        Ok((stream, _)) => stream,
                        Err(error) => {
                            log::warn!("cannot accept a connection of the next host: {error}");
                            tokio::time::sleep(ACCEPT_PAUSE).await;
                            continue;
                        }
                    };
                    if let Some(first) = &candidate {
                        let reason = format!("process {} is taking over already", first.process());
                        log::warn!("refused a takeover: {reason}");
                        if let Err(error) = refuse(stream, reason).await {
                            log::debug!("cannot send the reason: {error}");
                        }
                        continue;
                    }
                    // From here on, another process may have the sockets.
                    self.is_shared.store(true, Ordering::Relaxed);
                    let serving = self.registry.apps_and_versions();
                    let serving = serving.iter().filter(|app| app.serving().is_some()).map(|app| app.name().to_string()).collect();
                    match Candidate::accept(stream, serving, handed).await {
                        Ok(accepted) => {
                            log::info!("process {} is taking over", accepted.process());
                            candidate = Some(accepted);
                        }
                        Err(error) => {
                            self.is_shared.store(false, Ordering::Relaxed);
                            log::warn!("refused a takeover: {error}");
                        }
                    }
                }
            }
        }
    }

    /// No longer offers a takeover, as this host is shutting down.
    pub(in crate::server) fn refuse_successors(&self) {
        let Some((listener, mut file)) = self.parts().takeover.take() else { return };
        if self.is_shared() {
            file.leave();
        }
        drop((listener, file));
    }

    /// Whether another process has descriptors of the sockets: then they are not this one's to shut.
    pub(in crate::server) fn is_shared(&self) -> bool {
        self.is_shared.load(Ordering::Relaxed)
    }

    /// Gives all of it up to a process that serves in place of this one.
    pub(in crate::server) fn release(&self, successor: Successor) {
        let process = successor.process();
        // Dropped before that process is notified.
        drop(self.take());
        if let Err(error) = successor.released() {
            log::warn!("cannot notify process {process} that it is alone: {error}");
        }
    }

    /// Takes what this host has of it; what another process has is left.
    fn take(&self) -> Parts {
        let mut parts = std::mem::take(&mut *self.parts());
        if self.is_shared() {
            parts.admin.iter_mut().for_each(admin::Running::leave);
            parts.takeover.iter_mut().for_each(|(_, file)| file.leave());
            parts.lock.iter_mut().for_each(HostLock::leave);
        }
        parts
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// How long to wait after a failure to accept.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// Descriptors of what a host has, for the host after it.
fn share(lock: &HostLock, admin: &Admin) -> io::Result<Vec<(Handed, OwnedFd)>> {
    let (descriptor, name) = lock.share()?;
    let mut handed = vec![(Handed::own(Role::Lock, None), descriptor)];
    handed.extend(name.map(|name| (Handed::own(Role::Name, None), name)));
    if let Some((control, file)) = admin.share_control()? {
        handed.push((Handed::own(Role::Control, Some(file)), control));
    }
    if let Some(listener) = admin.share_listener()? {
        handed.push((Handed::own(Role::Admin, None), listener));
    }
    Ok(handed)
}
