//! What is reported.

use std::path::PathBuf;
use std::time::Instant;

use super::fingerprint::Fingerprint;

/// What happened to a watched file.
#[derive(Clone, Debug)]
pub struct Change {
    /// The file as it is now. `None`: there is no such file any more.
    pub fingerprint: Option<Fingerprint>,
    /// When the first sign of this change was seen.
    pub noticed: Instant,
    /// When the file was found to be complete: with a slow writer, much later than `noticed`.
    pub complete: Instant,
}

impl Change {
    /// Whether the file is there.
    pub fn is_present(&self) -> bool {
        self.fingerprint.is_some()
    }
}

/// Which files of a set have changed.
#[derive(Clone, Debug)]
pub struct TreeChange {
    /// The files that were written, created or removed, in order, named as in the set or below its folders.
    pub paths: Vec<PathBuf>,
    /// When the first sign of the oldest of these changes was seen.
    pub noticed: Instant,
}
