//! Copying one library.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{ContentHash, StageError};
use crate::watch::{Fingerprint, Writers, writers};

/// A file that is deleted with its owner.
#[derive(Debug)]
pub(super) struct OwnedFile(PathBuf);

impl OwnedFile {
    /// Takes over a file that exists.
    pub(super) fn new(path: PathBuf) -> OwnedFile {
        OwnedFile(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for OwnedFile {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("cannot delete the staged copy {}: {error}", self.0.display());
            }
            _ => {}
        }
    }
}

/// What was copied.
pub(super) struct Copied {
    pub(super) hash: ContentHash,
    pub(super) size: u64,
    pub(super) fingerprint: Fingerprint,
    pub(super) own_fingerprint: Fingerprint,
    pub(super) settled: bool,
}

/// Copies `library` to the new file `to`.
pub(super) fn library(library: &Path, to: PathBuf) -> Result<(OwnedFile, Copied), StageError> {
    let begun = SystemTime::now();
    let unreadable = |reason| StageError::Read { path: library.to_owned(), reason };
    // Before it is opened, which for a pipe would wait for its writer.
    if !fs::metadata(library).map_err(unreadable)?.is_file() {
        return Err(StageError::NotAFile { path: library.to_owned() });
    }
    let mut from = File::open(library).map_err(unreadable)?;
    let before = Fingerprint::of_file(&from).map_err(unreadable)?;
    let unwritable = |path: &Path, reason| StageError::Write { path: path.to_owned(), reason };
    // Never over a file that is there: it might be mapped. The copy is for reading only, as nobody has any
    // business changing it.
    let mut copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(&to)
        .map_err(|reason| unwritable(&to, reason))?;
    let to = OwnedFile::new(to);
    let mut hasher = blake3::Hasher::new();
    let mut size = 0;
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
        hasher.update(piece);
        copy.write_all(piece).map_err(|reason| unwritable(to.path(), reason))?;
        size += piece.len() as u64;
    }
    if writers(&from) == Writers::Some {
        return Err(StageError::BeingWritten { path: library.to_owned() });
    }
    // By its name, so that this also sees another file taking its place, which the watcher is about to report.
    let after = Fingerprint::of(library).map_err(unreadable)?;
    if after.differs_from(&before) || after.size() != size {
        return Err(StageError::Changed {
            path: library.to_owned(),
            before: Box::new(before),
            after: Box::new(after),
        });
    }
    let hash = ContentHash(*hasher.finalize().as_bytes());
    let own_fingerprint = Fingerprint::of_file(&copy).map_err(|reason| unwritable(to.path(), reason))?;
    let settled = after.is_settled(begun);
    Ok((to, Copied { hash, size, fingerprint: after, own_fingerprint, settled }))
}

/// Whether a file is what it was, and nobody is writing to it.
pub(super) fn is_still(file: &Path, before: &Fingerprint) -> bool {
    let unchanged = || Fingerprint::of(file).is_ok_and(|now| !now.differs_from(before));
    // First, as it may be a pipe now, which waits for its writer when it is opened; and last, as a writer may be done
    // just before it is asked whether there is one.
    unchanged() && File::open(file).is_ok_and(|file| writers(&file) != Writers::Some) && unchanged()
}
