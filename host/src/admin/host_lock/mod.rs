//! One host for each registry file.

mod name;

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Metadata, TryLockError};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};

use self::name::Name;
use crate::admin::socket::{folder_of, is_answered};
use crate::fs::regular_file;
use crate::library::stage::{CommonFolder, StageError, open_folder};
use crate::registry::Registrar;

/// The file that says who holds a lock.
const HOLDER: &str = "host.lock";

/// The longest name in the abstract namespace, in bytes.
const NAME_LIMIT: usize = 107;

/// How many bytes of that file are read.
const HOLDER_LIMIT: u64 = 16 << 10;

/// Says that this process is the host of a registry file, until it is dropped.
///
/// What is locked is a folder, which programs that clear out `$TMPDIR` spare as long as it is locked. The folder may be
/// removed by hand all the same: a name that is no file says who is the host then.
#[derive(Debug)]
pub struct HostLock {
    folder: PathBuf,
    lock: File,
    name: Option<Name>,
    /// Whether the folder is this process's to remove.
    is_own: bool,
}

/// Why this process is not the host of a registry file.
#[derive(Debug, thiserror::Error)]
pub enum HostLockError {
    /// Another one is.
    #[error(
        "another host{} is serving {}: stop it, or choose another file with --config",
        .process.as_deref().map_or(String::new(), |process| format!(" (process {process})")),
        .config.display()
    )]
    Taken {
        /// Its process's number, if it has said it.
        process: Option<String>,
        /// The registry file.
        config: PathBuf,
    },
    /// The lock cannot be taken.
    #[error("cannot lock {}: {reason} (remove it, or set TMPDIR to another folder)", .path.display())]
    Unusable {
        /// The folder that is locked.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// There is no place for the lock.
    #[error(transparent)]
    Place(#[from] StageError),
}

impl HostLock {
    /// Takes the lock of the registry file `config`. The system gives it back when the process ends, however it ends.
    ///
    /// # Errors
    /// See [`HostLockError`].
    pub fn take(registrar: &Registrar, config: &Path) -> Result<Self, HostLockError> {
        Self::take_within(&registrar.resources().staging.common_folder()?, config)
    }

    fn take_within(common: &CommonFolder, config: &Path) -> Result<Self, HostLockError> {
        let folder = folder_of(common.path(), config);
        let unusable = |reason| HostLockError::Unusable { path: folder.clone(), reason };
        let taken = |process| HostLockError::Taken { process, config: config.to_owned() };
        let _turn = common.turn()?;
        let name = match address(config) {
            Ok(address) => Name::take(&address).map_err(taken)?,
            Err(error) => {
                log::debug!("{}: {error}", config.display());
                None
            }
        };
        loop {
            match DirBuilder::new().mode(0o700).create(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(unusable(error)),
                _ => {}
            }
            let lock = open_folder(&folder).map_err(unusable)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(taken(holder(&folder).map(|(process, _)| process)));
                }
                Err(TryLockError::Error(reason)) => return Err(unusable(reason)),
            }
            // The host before may have removed the folder after it was opened here.
            if is_at(&lock, &folder) {
                say_holder(&lock, config).map_err(unusable)?;
                return Ok(Self { folder, lock, name, is_own: true });
            }
        }
    }

    /// The lock that another process has taken, as [shared](Self::share) by it. It stays that process's until it is
    /// [claimed](Self::claim).
    pub(crate) fn adopt(folder: PathBuf, lock: OwnedFd, name: Option<OwnedFd>) -> Self {
        Self { folder, lock: lock.into(), name: name.map(Name::from), is_own: false }
    }

    /// Descriptors of the lock and of the name, for the process that is to have them next: the lock is held until both
    /// processes have closed it.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn share(&self) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
        let lock = self.lock.as_fd().try_clone_to_owned()?;
        Ok((lock, self.name.as_ref().map(Name::share).transpose()?))
    }

    /// Makes this process the host of `config`, as others see it.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn claim(&mut self, config: &Path) -> io::Result<()> {
        self.is_own = true;
        say_holder(&self.lock, config)?;
        self.name.as_ref().map_or(Ok(()), Name::claim)
    }

    /// Leaves it to the process that has adopted it.
    pub(crate) fn leave(&mut self) {
        self.is_own = false;
    }

    /// The folder that is locked.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for HostLock {
    fn drop(&mut self) {
        // Another host may have made one of its own, if this one was removed by hand.
        if self.is_own && is_at(&self.lock, &self.folder) {
            let removed = std::fs::remove_file(self.folder.join(HOLDER));
            if let Err(error) = removed.and_then(|()| std::fs::remove_dir(&self.folder)) {
                log::debug!("cannot remove {}: {error}", self.folder.display());
            }
        }
    }
}

/// The name for the host of a registry file, apart from those of other users. The file's own number is another one after
/// it was replaced; its path may be that of another file in another container.
fn address(config: &Path) -> io::Result<SocketAddr> {
    let config = config.canonicalize()?;
    let folder = config.parent().ok_or(io::ErrorKind::InvalidInput)?.metadata()?;
    let user = rustix::process::geteuid().as_raw();
    let mut name = format!("atoll/{user}/{:x}-{:x}/", folder.dev(), folder.ino()).into_bytes();
    name.extend(config.file_name().unwrap_or_default().as_bytes());
    name.truncate(NAME_LIMIT);
    SocketAddr::from_abstract_name(name)
}

/// Writes who holds the lock of this folder.
fn say_holder(folder: &File, config: &Path) -> io::Result<()> {
    let config = config.canonicalize().unwrap_or_else(|_| config.to_owned());
    let mut written = format!("{}\n", std::process::id()).into_bytes();
    written.extend(config.as_os_str().as_bytes());
    // Through no link, and without waiting for what may be there instead of a file.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(folder, HOLDER, flags, Mode::RUSR | Mode::WUSR)?;
    File::from(file).write_all(&written)
}

/// The registry files whose hosts, of those that lock a folder in this one, answer commands.
pub(crate) fn served(common: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(common).into_iter().flatten().flatten().map(|entry| entry.path());
    // The folder of a host that was killed stays, and nobody listens on its socket.
    let alive = folders.filter(|folder| is_answered(folder));
    let mut configs: Vec<PathBuf> = alive.filter_map(|folder| Some(holder(&folder)?.1)).collect();
    configs.sort();
    configs
}

/// The process and the registry file that are written in a folder. Who has just locked it has not written them yet.
fn holder(folder: &Path) -> Option<(String, PathBuf)> {
    let written = regular_file::read(&folder.join(HOLDER), HOLDER_LIMIT).ok()?;
    let end = written.iter().position(|byte| *byte == b'\n')?;
    let process = String::from_utf8_lossy(&written[..end]).into_owned();
    Some((process, OsStr::from_bytes(&written[end + 1..]).into()))
}

/// Whether this path leads to this file or folder.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
    file.metadata().map(id).ok() == std::fs::symlink_metadata(path).map(id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> (tempfile::TempDir, CommonFolder, [PathBuf; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let configs = ["apps.json", "other.json"].map(|name| folder.path().join(name));
        configs.iter().for_each(|config| std::fs::write(config, "[]").unwrap());
        let common = CommonFolder::open(folder.path()).unwrap();
        (folder, common, configs)
    }

    #[test]
    fn a_file_has_one_host_and_another_one_after_it() {
        let (_folder, common, [config, other]) = setup();
        let lock = HostLock::take_within(&common, &config).unwrap();
        let refused = HostLock::take_within(&common, &config).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(HostLock::take_within(&common, &other).is_ok());
        drop(lock);
        assert!(HostLock::take_within(&common, &config).is_ok());
        assert_eq!(std::fs::read_dir(common.path()).unwrap().count(), 0, "nothing stays");
    }

    #[test]
    fn a_lock_that_is_adopted_is_held_when_the_first_process_leaves_it() {
        let (_folder, common, [config, _]) = setup();
        let mut old = HostLock::take_within(&common, &config).unwrap();
        let (lock, name) = old.share().unwrap();
        drop(HostLock::adopt(old.folder().to_owned(), lock, name));
        assert!(HostLock::take_within(&common, &config).is_err(), "one that is not claimed changes nothing");
        let (lock, name) = old.share().unwrap();
        let mut new = HostLock::adopt(old.folder().to_owned(), lock, name);
        new.claim(&config).unwrap();
        old.leave();
        drop(old);
        let refused = HostLock::take_within(&common, &config).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(new);
        assert!(HostLock::take_within(&common, &config).is_ok());
        assert_eq!(std::fs::read_dir(common.path()).unwrap().count(), 0, "nothing stays");
    }

    #[test]
    fn a_lock_whose_folder_is_removed_holds() {
        let (_folder, common, [config, _]) = setup();
        let lock = HostLock::take_within(&common, &config).unwrap();
        std::fs::remove_dir_all(common.path()).unwrap();
        let again = CommonFolder::open(common.path().parent().unwrap()).unwrap();
        let refused = HostLock::take_within(&again, &config).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(lock);
        let lock = HostLock::take_within(&again, &config).unwrap();
        assert!(lock.folder.exists());
    }

    #[test]
    fn what_is_planted_in_the_folder_is_not_followed() {
        let (folder, common, [config, _]) = setup();
        let place = folder_of(common.path(), &config);
        let target = folder.path().join("target");
        std::fs::write(&target, "mine").unwrap();
        std::fs::create_dir(&place).unwrap();
        std::os::unix::fs::symlink(&target, place.join(HOLDER)).unwrap();
        assert!(matches!(HostLock::take_within(&common, &config), Err(HostLockError::Unusable { .. })));
        std::fs::remove_file(place.join(HOLDER)).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, place.join(HOLDER), Mode::RUSR | Mode::WUSR).unwrap();
        assert!(matches!(HostLock::take_within(&common, &config), Err(HostLockError::Unusable { .. })));
        assert_eq!(std::fs::read(&target).unwrap(), b"mine");
    }
}
