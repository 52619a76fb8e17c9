//! The folder for the staged copies of one host process.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::StageError;

/// The folder for the staged copies of one host process; removed when dropped.
///
/// While the process lives, it holds a lock on the folder itself. The kernel ends the lock with the process,
/// however that ends, so another host can tell that the folder was left behind, even if the process id is in
/// use again. `systemd-tmpfiles`, which clears out old files in `/tmp`, spares folders that are locked.
#[derive(Debug)]
pub(super) struct ProcessFolder {
    path: PathBuf,
    _lock: File,
}

impl ProcessFolder {
    /// Makes the folder in `place`, and removes those of hosts that are dead.
    pub(super) fn create(place: &Path) -> Result<ProcessFolder, StageError> {
        let user = user();
        let common = common(place);
        make_private(&common, user)?;
        let failed = |path: &Path, reason| StageError::Folder { path: path.to_owned(), reason };
        // One host at a time, so that none takes another's new folder, not locked yet, for a dead one's.
        let turn = common.join(".lock");
        let _turn = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&turn)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|reason| failed(&turn, reason))?;
        remove_dead(&common);

        let path = loop {
            let path = common.join(format!("{}-{}", process::id(), started()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => break path,
                // Made by a host with the same process id, in another container that shares this folder.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(reason) => return Err(failed(&path, reason)),
            }
        };
        let lock = File::open(&path)
            .and_then(|folder| folder.try_lock().map(|()| folder).map_err(io::Error::from))
            .map_err(|reason| failed(&path, reason))?;
        Ok(ProcessFolder { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ProcessFolder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// The folder of all of this user's hosts in `place`.
pub(super) fn common(place: &Path) -> PathBuf {
    place.join(format!("atoll-{}", user()))
}

fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            log::warn!("cannot remove {}: {error}", folder.display());
        }
        _ => {}
    }
}

/// Makes the folder that all hosts of this user share, or checks the one that is there: whoever can write to
/// it can have the host run their code, and in `/tmp` anyone may have been here first.
fn make_private(folder: &Path, user: u32) -> Result<(), StageError> {
    let failed = |reason| StageError::Folder { path: folder.to_owned(), reason };
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let metadata = fs::symlink_metadata(folder).map_err(failed)?;
    let refused = |found| Err(StageError::UnsafeFolder { path: folder.to_owned(), found, user });
    if !metadata.is_dir() {
        return refused(
            if metadata.is_symlink() { "it is a symbolic link" } else { "it is a file" }.to_owned(),
        );
    }
    if metadata.uid() != user {
        return refused(format!("it belongs to user {}", metadata.uid()));
    }
    if metadata.mode() & 0o777 != 0o700 {
        fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// Removes the folders of hosts that are dead: those that nobody holds a lock on.
fn remove_dead(common: &Path) {
    let Ok(entries) = fs::read_dir(common) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let Ok(folder) = File::open(entry.path()) else { continue };
        match folder.try_lock() {
            Ok(()) => {
                log::info!("removing {}, left behind by a host that is gone", entry.path().display());
                remove(&entry.path());
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                log::debug!("cannot tell whether {} is in use: {error}", entry.path().display());
            }
        }
    }
}

/// The time in milliseconds, or a little later: no number comes twice in one process.
fn started() -> u64 {
    static LATEST: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let latest = LATEST.fetch_max(now, Ordering::Relaxed);
    if latest < now { now } else { LATEST.fetch_add(1, Ordering::Relaxed) + 1 }
}

/// The user that this process acts as.
fn user() -> u32 {
    // SAFETY: takes nothing, touches no memory of ours, and cannot fail.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn nobody_else_can_look_in() {
        let place = tempfile::tempdir().unwrap();
        let common = place.path().join(format!("atoll-{}", user()));
        DirBuilder::new().mode(0o755).create(&common).unwrap();
        let folder = ProcessFolder::create(place.path()).unwrap();
        assert_eq!((mode(&common), mode(folder.path())), (0o700, 0o700));
    }

    #[test]
    fn a_folder_that_may_be_anothers_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let common = place.path().join(format!("atoll-{}", user()));
        symlink(place.path(), &common).unwrap();
        let error = ProcessFolder::create(place.path()).unwrap_err();
        assert!(error.to_string().contains("it is a symbolic link"), "{error}");
    }

    #[test]
    fn what_dead_hosts_left_is_removed_and_living_ones_are_not_touched() {
        let place = tempfile::tempdir().unwrap();
        let alive = ProcessFolder::create(place.path()).unwrap();
        let common = alive.path().parent().unwrap().to_owned();
        // Our own id, as if it were in use again.
        let dead = common.join(format!("{}-1", process::id()));
        fs::create_dir_all(dead.join("kept")).unwrap();
        fs::write(dead.join("hello-1.so"), "").unwrap();
        let second = ProcessFolder::create(place.path()).unwrap();
        assert!(!dead.exists());
        assert!(alive.path().exists());
        assert_ne!(alive.path(), second.path());
        let path = alive.path().to_owned();
        drop(alive);
        assert!(!path.exists());
    }
}
