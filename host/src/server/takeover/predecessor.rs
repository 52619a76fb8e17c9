//! The host that is replaced, as the new one sees it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::net::sockopt::socket_peercred;
use serde::de::DeserializeOwned;

use super::error::TakeoverError;
use super::inherited::InheritedSockets;
use super::messages::{Answer, Handed, Hello, PROTOCOL, Released, Role, Serving};
use crate::admin::host_lock::HostLock;
use crate::admin::socket::folder_of;
use crate::config::{Config, Instances, ReloadMode};
use crate::fs::unix_socket::SocketFile;
use crate::library::stage::common_folder;
use crate::process::control::{receive_with, send_with};
use crate::registry::Registry;

/// The name of the socket for the next host, in the folder of the running one.
const NAME: &str = "takeover.sock";

/// How long the other host may take for an answer. It has nothing to wait for.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the next host of a registry file connects.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// The running host that this process replaces. Dropping it gives the takeover up: that host continues.
#[derive(Debug)]
pub struct Predecessor {
    stream: UnixStream,
    process: i32,
    folder: PathBuf,
    serving: Vec<String>,
    sockets: InheritedSockets,
    lock: Option<OwnedFd>,
    name: Option<OwnedFd>,
    control: Option<(UnixListener, SocketFile)>,
    takeover: Option<(UnixListener, SocketFile)>,
}

impl Predecessor {
    /// Connects to the host of the registry file `config`. `None`: none is running.
    ///
    /// # Errors
    /// See [`TakeoverError`].
    pub fn find(config: &Path) -> Result<Option<Self>, TakeoverError> {
        Self::find_within(&common_folder(&std::env::temp_dir()), config)
    }

    fn find_within(common: &Path, config: &Path) -> Result<Option<Self>, TakeoverError> {
        let folder = folder_of(common, config);
        let path = path(&folder);
        let stream = match UnixStream::connect(&path) {
            Ok(stream) => stream,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                // One that runs holds the lock of its folder.
                return if crate::admin::socket::is_answered(&folder) {
                    Err(TakeoverError::NotOffered { config: config.to_owned() })
                } else {
                    Ok(None)
                };
            }
            Err(error) => return Err(TakeoverError::Broken(error)),
        };
        let peer = socket_peercred(&stream).map_err(io::Error::from).map_err(TakeoverError::Broken)?;
        if peer.uid != rustix::process::geteuid() {
            return Err(TakeoverError::Stranger { path, user: peer.uid.as_raw() });
        }
        Self::ask(stream, peer.pid.as_raw_nonzero().get(), folder).map(Some)
    }

    fn ask(stream: UnixStream, process: i32, folder: PathBuf) -> Result<Self, TakeoverError> {
        let broken = TakeoverError::Broken;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(broken)?;
        let hello = Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned() };
        send_with(&stream, &hello, &[]).map_err(broken)?;
        let (answer, descriptors) = receive(&stream).map_err(broken)?;
        let (serving, handed) = match answer {
            Answer::Refused { reason } => return Err(TakeoverError::Refused { process, reason }),
            Answer::Accepted { serving, handed } => (serving, handed),
        };
        if handed.len() != descriptors.len() {
            let reason = format!("{} descriptors came instead of {}", descriptors.len(), handed.len());
            return Err(broken(io::Error::other(reason)));
        }
        log::info!("taking over from process {process}");
        let mut found = Self {
            stream,
            process,
            folder,
            serving,
            sockets: InheritedSockets::default(),
            lock: None,
            name: None,
            control: None,
            takeover: None,
        };
        for (number, (handed, descriptor)) in handed.into_iter().zip(descriptors).enumerate() {
            found.keep(number, handed, descriptor).map_err(broken)?;
        }
        Ok(found)
    }

    fn keep(&mut self, number: usize, handed: Handed, descriptor: OwnedFd) -> io::Result<()> {
        let role = handed.role;
        match role {
            Role::Lock => self.lock = Some(descriptor),
            Role::Name => self.name = Some(descriptor),
            Role::Control | Role::Takeover => {
                let file = handed.file.and_then(|file| file.adopt());
                let socket = file.map(|file| (descriptor.into(), file));
                if role == Role::Control { self.control = socket } else { self.takeover = socket }
            }
            Role::Admin | Role::Serve | Role::Redirect => {
                if let Some(listener) = handed.into_listener(descriptor, number)? {
                    self.sockets.push(role, listener);
                }
            }
        }
        Ok(())
    }

    /// Its process's number.
    pub fn process(&self) -> i32 {
        self.process
    }

    /// Takes its listeners.
    pub fn take_sockets(&mut self) -> InheritedSockets {
        std::mem::take(&mut self.sockets)
    }

    /// Its lock.
    pub(in crate::server) fn take_lock(&mut self) -> Result<HostLock, TakeoverError> {
        let lock =
            self.lock.take().ok_or_else(|| TakeoverError::Broken(io::Error::other("it has no lock")))?;
        Ok(HostLock::adopt(self.folder.clone(), lock, self.name.take()))
    }

    /// Its control socket.
    pub(in crate::server) fn take_control(&mut self) -> Option<(UnixListener, SocketFile)> {
        self.control.take()
    }

    /// The socket for the host after this one.
    pub(super) fn take_takeover(&mut self) -> Option<(UnixListener, SocketFile)> {
        self.takeover.take()
    }

    /// Fails if apps would have to run in both hosts at once and cannot. In a fleet, those that run on one host at a time are
    /// handed over.
    pub(in crate::server) fn check(&self, config: &Config, in_fleet: bool) -> Result<(), TakeoverError> {
        let is_alone = |app: &&crate::config::AppConfig| {
            app.settings.reload == ReloadMode::StopFirst
                && !(in_fleet && app.settings.instances == Instances::One)
                && (app.settings.preload || self.serving.contains(&app.name))
        };
        let alone: Vec<&str> = config.apps.iter().filter(is_alone).map(|app| &*app.name).collect();
        if alone.is_empty() { Ok(()) } else { Err(TakeoverError::StopFirst(alone.join(", "))) }
    }

    /// Starts the apps that start with the host or that serve in the running one, and waits for them.
    pub(super) async fn start_apps(&self, registry: &Registry) -> Result<(), TakeoverError> {
        let mut apps = registry.apps_and_versions();
        // One that stands by starts when this host gets its lease.
        apps.retain(|app| !app.stands_by());
        apps.retain(|app| {
            app.settings().preload || self.serving.iter().any(|serving| **serving == **app.name())
        });
        let started = join_all(apps.iter().map(|app| app.acquire())).await;
        for (app, started) in apps.iter().zip(started) {
            started.map_err(|error| TakeoverError::App {
                app: app.name().to_string(),
                reason: error.to_string(),
            })?;
        }
        Ok(())
    }

    /// Reports that this process serves, with the numbers of the sockets that it uses, and waits until the running host has
    /// given up what only one can have. From then on, that one cannot take anything back.
    pub(super) fn serves(&self, kept: Vec<usize>) -> io::Result<()> {
        send_with(&self.stream, &Serving { kept }, &[])?;
        receive::<Released>(&self.stream).map(drop)
    }
}

/// Waits for a message of the running host.
fn receive<T: DeserializeOwned>(stream: &UnixStream) -> io::Result<(T, Vec<OwnedFd>)> {
    match receive_with(stream) {
        Ok(Some(received)) => Ok(received),
        Ok(None) => Err(io::Error::other("it has closed the connection")),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let reason = format!("it does not answer within {ANSWER_TIMEOUT:?}");
            Err(io::Error::new(io::ErrorKind::TimedOut, reason))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_host_there_is_nothing_to_take_over() {
        let common = tempfile::tempdir().unwrap();
        let config = common.path().join("apps.json");
        assert!(Predecessor::find_within(common.path(), &config).unwrap().is_none());
        // What a host leaves that was killed.
        let folder = folder_of(common.path(), &config);
        std::fs::create_dir(&folder).unwrap();
        drop(UnixListener::bind(path(&folder)).unwrap());
        assert!(Predecessor::find_within(common.path(), &config).unwrap().is_none());
    }

    /// What is asked of a host that answers with this.
    fn answered(answer: &Answer, descriptors: &[std::os::fd::BorrowedFd<'_>]) -> TakeoverError {
        let (own, host) = UnixStream::pair().unwrap();
        send_with(&host, answer, descriptors).unwrap();
        let error = Predecessor::ask(own, 7, PathBuf::new()).unwrap_err();
        let (hello, _) = receive_with::<Hello>(&host).unwrap().unwrap();
        assert_eq!(hello.protocol, PROTOCOL);
        error
    }

    #[test]
    fn an_answer_that_does_not_fit_is_an_error() {
        let refused = answered(&Answer::Refused { reason: "no time".to_owned() }, &[]).to_string();
        assert_eq!(refused, "the running host (process 7) refuses the takeover: no time");
        let handed = vec![Handed::own(Role::Lock, None)];
        let accepted = Answer::Accepted { serving: Vec::new(), handed };
        let missing = answered(&accepted, &[]).to_string();
        assert!(missing.contains("0 descriptors came instead of 1"), "{missing}");
        let (own, host) = UnixStream::pair().unwrap();
        drop(host);
        assert!(matches!(Predecessor::ask(own, 7, PathBuf::new()), Err(TakeoverError::Broken(_))));
    }
}
