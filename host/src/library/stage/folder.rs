//! The folders of hosts in `$TMPDIR`: one that all hosts of a user share, and in it one for the staged copies of each.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags, openat};

use super::error::StageError;

/// How the names begin of folders that are not removed with their host: they have the records of its faults.
pub(crate) const FAULTS: &str = "faults-";

/// The folder that all hosts of this user share. What is in it is of this user only: somebody else who could write to it
/// could have a host run their code.
#[derive(Debug)]
pub(crate) struct CommonFolder {
    path: PathBuf,
    handle: File,
}

/// Holds other hosts of this user off until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a File);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // It ends with the handle in any case.
        let _ = self.0.unlock();
    }
}

impl CommonFolder {
    /// Makes the folder in `place`, or checks the one that is there: in `/tmp` anyone may have been here first. One that
    /// others could write to is refused, as nobody can tell what they have put there.
    pub(crate) fn open(place: &Path) -> Result<Self, StageError> {
        let user = user();
        let path = common(place);
        let failed = |reason| StageError::Folder { path: path.clone(), reason };
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let refused = |found| Err(StageError::UnsafeFolder { path: path.clone(), found, user });
        let handle = match open_folder(&path) {
            Ok(handle) => handle,
            Err(error) => {
                let metadata = fs::symlink_metadata(&path).map_err(failed)?;
                return match metadata.file_type() {
                    kind if kind.is_symlink() => refused("it is a symbolic link".to_owned()),
                    kind if kind.is_dir() && metadata.uid() != user => {
                        refused(format!("it belongs to user {}", metadata.uid()))
                    }
                    kind if kind.is_dir() => Err(failed(error)),
                    _ => refused("it is a file".to_owned()),
                };
            }
        };
        // Of the folder that is open: what the name leads to may be another one by now.
        let metadata = handle.metadata().map_err(failed)?;
        if metadata.uid() != user {
            return refused(format!("it belongs to user {}", metadata.uid()));
        }
        let mode = metadata.mode() & 0o777;
        if mode & 0o022 != 0 {
            return refused(format!("others can write to it (its mode is {mode:03o})"));
        }
        if mode != 0o700 {
            handle.set_permissions(Permissions::from_mode(0o700)).map_err(failed)?;
        }
        Ok(Self { path, handle })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until no other host makes or removes folders here.
    pub(crate) fn turn(&self) -> Result<Turn<'_>, StageError> {
        let failed = |reason| StageError::Folder { path: self.path.clone(), reason };
        self.handle.lock().map_err(failed)?;
        Ok(Turn(&self.handle))
    }
}

/// Opens a folder, and nothing else that has its name.
pub(crate) fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = openat(rustix::fs::CWD, path, flags, Mode::empty())?;
    Ok(File::from(handle))
}

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
        let common = CommonFolder::open(place)?;
        let failed = |path: &Path, reason| StageError::Folder { path: path.to_owned(), reason };
        // One host at a time, so that none takes another's new folder, not locked yet, for a dead one's.
        let _turn = common.turn()?;
        remove_dead(common.path());

        let path = loop {
            let path = common.path().join(format!("{}-{}", process::id(), started()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => break path,
                // Made by a host with the same process id, in another container that shares this folder.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(reason) => return Err(failed(&path, reason)),
            }
        };
        let lock = open_folder(&path)
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

/// Removes the folders of hosts that are dead: those that nobody holds a lock on.
fn remove_dead(common: &Path) {
    let Ok(entries) = fs::read_dir(common) else { return };
    let is_kept = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(FAULTS.as_bytes());
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    for entry in entries.flatten().filter(|entry| is_folder(entry) && !is_kept(entry)) {
        let Ok(folder) = open_folder(&entry.path()) else { continue };
        match folder.try_lock() {
            Ok(()) => {
                log::info!("removing {}, left behind by an exited host", entry.path().display());
                remove(&entry.path());
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                log::debug!("cannot determine whether {} is in use: {error}", entry.path().display());
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

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn nobody_else_can_look_in() {
        let place = tempfile::tempdir().unwrap();
        let common = place.path().join(format!("atoll-{}", user()));
        DirBuilder::new().mode(0o755).create(&common).unwrap();
        let folder = ProcessFolder::create(place.path()).unwrap();
        assert_eq!((mode_of(&common), mode_of(folder.path())), (0o700, 0o700));
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
    fn a_folder_that_others_could_write_to_is_refused_with_what_is_in_it() {
        let place = tempfile::tempdir().unwrap();
        let common = place.path().join(format!("atoll-{}", user()));
        DirBuilder::new().create(&common).unwrap();
        for mode in [0o777, 0o770, 0o702] {
            fs::set_permissions(&common, Permissions::from_mode(mode)).unwrap();
            let error = ProcessFolder::create(place.path()).unwrap_err().to_string();
            assert!(error.contains(&format!("others can write to it (its mode is {mode:03o})")), "{error}");
            assert_eq!(mode_of(&common), mode, "it is left as it is");
        }
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
