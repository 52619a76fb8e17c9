//! One host for each registry file.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::services::Services;

/// Says that this process is the host of a registry file, until it is dropped.
#[derive(Debug)]
pub struct HostLock {
    path: PathBuf,
    _file: File,
}

/// Why this process is not the host of a registry file.
#[derive(Debug, thiserror::Error)]
pub enum HostLockError {
    /// Another one is.
    #[error(
        "another host{} serves {}: stop it, or name another file with --config",
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
    #[error("cannot lock {}: {reason} (remove it, or set TMPDIR to choose another place)", .path.display())]
    Unusable {
        /// The file that is locked.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
}

impl HostLock {
    /// Takes the lock of the registry file `config`. The system gives it back when the process ends, however it ends.
    ///
    /// # Errors
    /// See [`HostLockError`].
    pub fn take(services: &Services, config: &Path) -> Result<Self, HostLockError> {
        Self::take_within(&services.staging().common_folder(), config)
    }

    fn take_within(folder: &Path, config: &Path) -> Result<Self, HostLockError> {
        let path = crate::admin::file_of(folder, config, "lock");
        let unusable = |reason| HostLockError::Unusable { path: path.clone(), reason };
        loop {
            let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = open.map_err(unusable)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut written = Vec::new();
                    file.read_to_end(&mut written).map_err(unusable)?;
                    let process = holder(&written).map(|(process, _)| process);
                    return Err(HostLockError::Taken { process, config: config.to_owned() });
                }
                Err(TryLockError::Error(reason)) => return Err(unusable(reason)),
            }
            // The host before may have removed the file after it was opened here.
            if is_at(&file, &path) {
                file.set_len(0).map_err(unusable)?;
                let config = config.canonicalize().unwrap_or_else(|_| config.to_owned());
                let mut written = format!("{}\n", std::process::id()).into_bytes();
                written.extend(config.as_os_str().as_bytes());
                file.write_all(&written).map_err(unusable)?;
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for HostLock {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            log::debug!("{} stays: {error}", self.path.display());
        }
    }
}

/// The registry files whose hosts, of those that lock a file in this folder, answer commands.
pub(crate) fn served(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let locks = files.filter(|file| file.extension().is_some_and(|kind| kind == "lock"));
    // The lock of a host that was killed stays, and nobody listens on its socket.
    let alive = locks.filter(|lock| UnixStream::connect(lock.with_extension("sock")).is_ok());
    let mut configs: Vec<PathBuf> =
        alive.filter_map(|lock| Some(holder(&std::fs::read(lock).ok()?)?.1)).collect();
    configs.sort();
    configs
}

/// The process and the registry file that are written in a lock. Who has just taken it has not written them yet.
fn holder(written: &[u8]) -> Option<(String, PathBuf)> {
    let end = written.iter().position(|byte| *byte == b'\n')?;
    let process = String::from_utf8_lossy(&written[..end]).into_owned();
    Some((process, OsStr::from_bytes(&written[end + 1..]).into()))
}

/// Whether this path leads to this file.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
    file.metadata().map(id).ok() == std::fs::metadata(path).map(id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_host_and_another_one_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let [config, other] = ["apps.json", "other.json"].map(|name| folder.path().join(name));
        let lock = HostLock::take_within(folder.path(), &config).unwrap();
        let refused = HostLock::take_within(folder.path(), &config).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(HostLock::take_within(folder.path(), &other).is_ok());
        drop(lock);
        assert!(HostLock::take_within(folder.path(), &config).is_ok());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no file stays");
    }
}
