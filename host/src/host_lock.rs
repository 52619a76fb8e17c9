//! One host for each registry file.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
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
                    let mut process = String::new();
                    file.read_to_string(&mut process).map_err(unusable)?;
                    // Whoever holds it may not have written it yet.
                    let process = Some(process).filter(|process| !process.is_empty());
                    return Err(HostLockError::Taken { process, config: config.to_owned() });
                }
                Err(TryLockError::Error(reason)) => return Err(unusable(reason)),
            }
            // The host before may have removed the file after it was opened here.
            if is_at(&file, &path) {
                file.set_len(0).map_err(unusable)?;
                write!(file, "{}", std::process::id()).map_err(unusable)?;
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
