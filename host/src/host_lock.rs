//! One host for each registry file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::services::Services;

/// Says that this process is the host of a registry file, until it is dropped.
#[derive(Debug)]
pub struct HostLock(#[expect(dead_code, reason = "it is held")] File);

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
    #[error("cannot lock {}: {source}", .path.display())]
    Unusable {
        /// The file that is locked.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
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
        let unusable = |source| HostLockError::Unusable { path: path.clone(), source };
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                // Whoever holds it may not have written it yet.
                let _ = file.read_to_string(&mut process);
                let process = Some(process.trim().to_owned()).filter(|process| !process.is_empty());
                return Err(HostLockError::Taken { process, config: config.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(unusable)?;
        Ok(Self(file))
    }
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
    }
}
