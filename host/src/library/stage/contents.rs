//! What is known of a copy, wherever it is.

use std::path::{Path, PathBuf};

use super::needed::{Needed, NeededFile};
use crate::library::content_hash::ContentHash;
use crate::watch::Fingerprint;

/// What a copy of a library has in it, and what it is a copy of.
#[derive(Clone, Debug)]
pub struct Contents {
    pub(super) hash: ContentHash,
    /// Of the library's file alone.
    pub(super) file_hash: ContentHash,
    pub(super) size: u64,
    pub(super) source: PathBuf,
    pub(super) fingerprint: Fingerprint,
    pub(super) needed: Needed,
}

impl Contents {
    /// Their hash: with that of the shared libraries which lay beside it and which it needs.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// The hash of the library's file alone.
    pub(crate) fn file_hash(&self) -> ContentHash {
        self.file_hash
    }

    /// The shared libraries beside it that it needs, as they were when they were copied with it.
    pub fn needed(&self) -> Vec<NeededFile> {
        self.needed.files()
    }

    /// The library's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The library that this is a copy of.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// What the library was when it was copied. A [`Change`](crate::watch::Change) whose fingerprint does not
    /// [differ](Fingerprint::differs_from) from this one is already in this copy.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}
