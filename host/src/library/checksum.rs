//! The checksum at the end of a library that `atoll build` has written.
//!
//! It is in the same file, so that both always travel together, and an upload that replaces the file replaces both. It
//! is a BLAKE3 hash of all bytes before it. The stamp says that it is there: a file that has lost its end is not taken
//! for one that never had a checksum.

use crate::library::content_hash::ContentHash;

/// How many bytes at the end of a file are its checksum.
pub(crate) const SIZE: u64 = 32;

/// The checksum that a file ends with, if it has one, and that of its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) written: ContentHash,
    pub(crate) found: ContentHash,
}

impl Checksum {
    /// Whether the contents are what they were when it was written.
    pub(crate) fn is_right(&self) -> bool {
        self.written == self.found
    }
}
