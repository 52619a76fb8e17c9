//! What is known of a copy, wherever it is.

use std::path::{Path, PathBuf};

use crate::library::content_hash::ContentHash;
use crate::watch::Fingerprint;

/// What a copy of a library has in it, and what it is a copy of.
#[derive(Clone, Debug)]
pub struct Contents {
    pub(super) hash: ContentHash,
    pub(super) size: u64,
    pub(super) source: PathBuf,
    pub(super) fingerprint: Fingerprint,
}

impl Contents {
    /// Their hash.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// Their size in bytes.
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
