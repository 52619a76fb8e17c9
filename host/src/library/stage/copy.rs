//! Copying one library.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::mpsc::{SendError, Sender, channel};
use std::thread;
use std::time::SystemTime;

use tokio::runtime::Handle;

use super::error::StageError;
use crate::fs::regular_file;
use crate::library::checksum::{self, Checksum};
use crate::library::content_hash::ContentHash;
use crate::watch::{Fingerprint, Writers, writers};

/// A file that is deleted with its owner.
#[derive(Debug)]
pub(super) struct OwnedFile(PathBuf);

impl OwnedFile {
    /// Takes ownership of an existing file.
    pub(super) fn new(path: PathBuf) -> OwnedFile {
        OwnedFile(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for OwnedFile {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        // Deleting a large file takes milliseconds, for which the tasks of a runtime would have to wait.
        match REMOVER.as_ref().filter(|_| Handle::try_current().is_ok()) {
            Some(remover) => {
                if let Err(SendError(path)) = remover.send(path) {
                    remove(&path);
                }
            }
            None => remove(&path),
        }
    }
}

/// A thread that deletes files, if it can be made. What it has not done when the process ends is deleted with the folder.
static REMOVER: LazyLock<Option<Sender<PathBuf>>> = LazyLock::new(|| {
    let (remover, files) = channel::<PathBuf>();
    let thread = thread::Builder::new().name("atoll-remove".into());
    thread.spawn(move || files.iter().for_each(|file| remove(&file))).is_ok().then_some(remover)
});

fn remove(file: &Path) {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            log::warn!("cannot delete the staged copy {}: {error}", file.display());
        }
        _ => {}
    }
}

/// What was copied.
pub(super) struct Copied {
    pub(super) hash: ContentHash,
    pub(super) size: u64,
    pub(super) fingerprint: Fingerprint,
    pub(super) own_fingerprint: Fingerprint,
    pub(super) settled: bool,
    pub(super) checksum: Option<Checksum>,
}

/// Copies `library`, of at most `limit` bytes, to the new file `to`.
pub(super) fn library(library: &Path, to: PathBuf, limit: u64) -> Result<(OwnedFile, Copied), StageError> {
    let begun = SystemTime::now();
    let unreadable = |reason| StageError::Read { path: library.to_owned(), reason };
    if !fs::metadata(library).map_err(unreadable)?.is_file() {
        return Err(StageError::NotAFile { path: library.to_owned() });
    }
    let mut from = regular_file::open(library).map_err(unreadable)?;
    let before = Fingerprint::of_file(&from).map_err(unreadable)?;
    let check = |found| {
        let too_large = || StageError::TooLarge { path: library.to_owned(), found, limit };
        if found > limit { Err(too_large()) } else { Ok(()) }
    };
    check(before.size())?;
    let unwritable = |path: &Path, reason| StageError::Write { path: path.to_owned(), reason };
    // Never over a file that is there: it might be mapped. The copy is for reading only, as nobody has any
    // business changing it.
    let mut copy = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(&to)
        .map_err(|reason| unwritable(&to, reason))?;
    let to = OwnedFile::new(to);
    let mut hasher = blake3::Hasher::new();
    let mut size = 0;
    // Where a checksum would begin, and the hash of what is before it.
    let end = before.size().checked_sub(checksum::SIZE);
    let mut found = None;
    // Big enough for the widest vector code of BLAKE3 to have an effect, and small enough for the cache.
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let piece = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        // What is written and not what the library may be later, as the copy is what will be loaded.
        let rest = match end.and_then(|end| end.checked_sub(size)) {
            Some(left) if left <= piece.len() as u64 => {
                let (contents, rest) = piece.split_at(left as usize);
                hasher.update(contents);
                found = Some(hasher.finalize());
                rest
            }
            _ => piece,
        };
        hasher.update(rest);
        copy.write_all(piece).map_err(|reason| unwritable(to.path(), reason))?;
        size += piece.len() as u64;
        check(size)?;
    }
    if writers(&from) == Writers::Some {
        return Err(StageError::BeingWritten { path: library.to_owned() });
    }
    // By its name, so that this also sees another file taking its place, which the watcher is about to report.
    let after = Fingerprint::read(library).map_err(unreadable)?;
    if after.differs_from(&before) || after.size() != size {
        return Err(StageError::Changed {
            path: library.to_owned(),
            before: Box::new(before),
            after: Box::new(after),
        });
    }
    let hash = ContentHash::new(*hasher.finalize().as_bytes());
    let checksum = match (found, end) {
        (Some(found), Some(end)) => {
            let mut written = [0; checksum::SIZE as usize];
            copy.read_exact_at(&mut written, end).map_err(|reason| unwritable(to.path(), reason))?;
            Some(Checksum { written: ContentHash::new(written), found: ContentHash::new(*found.as_bytes()) })
        }
        _ => None,
    };
    let own_fingerprint = Fingerprint::of_file(&copy).map_err(|reason| unwritable(to.path(), reason))?;
    let settled = after.is_settled(begun);
    Ok((to, Copied { hash, size, fingerprint: after, own_fingerprint, settled, checksum }))
}

/// Whether a file is what it was, and nobody is writing to it.
pub(super) fn is_still(file: &Path, before: &Fingerprint) -> bool {
    let unchanged = || Fingerprint::read(file).is_ok_and(|now| !now.differs_from(before));
    // First, as it may be a pipe now, which waits for its writer when it is opened; and last, as a writer may be done
    // just before it is asked whether there is one.
    unchanged() && regular_file::open(file).is_ok_and(|file| writers(&file) != Writers::Some) && unchanged()
}
