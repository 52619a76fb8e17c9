//! A copy of a library.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::copy::{self, Copied, OwnedFile};
use super::folder::ProcessFolder;
use crate::library::checksum::Checksum;
use crate::library::content_hash::ContentHash;
use crate::watch::Fingerprint;

/// A copy of a library, for one generation at a time. Dropping it deletes the copy.
///
/// A library that is mapped stays usable without its file, but it must not be dropped before `dlopen`.
#[derive(Debug)]
pub struct Staged {
    file: OwnedFile,
    app: String,
    hash: ContentHash,
    size: u64,
    source: PathBuf,
    fingerprint: Fingerprint,
    /// What the copy itself was when it was made.
    own_fingerprint: Fingerprint,
    /// Whether every later write to the source shows in the source's fingerprint.
    settled: bool,
    checksum: Option<Checksum>,
    /// The folder is removed when neither the [`Staging`] nor a copy in it is left.
    _folder: Arc<ProcessFolder>,
}

impl Staged {
    /// What was copied of `library` for `app`, in this folder.
    pub(super) fn new(
        app: &str,
        library: &Path,
        file: OwnedFile,
        copied: Copied,
        folder: Arc<ProcessFolder>,
    ) -> Self {
        Self {
            file,
            app: app.to_owned(),
            hash: copied.hash,
            size: copied.size,
            source: library.to_owned(),
            fingerprint: copied.fingerprint,
            own_fingerprint: copied.own_fingerprint,
            settled: copied.settled,
            checksum: copied.checksum,
            _folder: folder,
        }
    }

    /// The same, as a copy of the library that the copied one was kept of.
    pub(super) fn of_kept(self, source: PathBuf, fingerprint: Fingerprint) -> Self {
        Self { source, fingerprint, settled: false, ..self }
    }

    /// Where the copy is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The name of the app that it was made for.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The hash of its contents.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The library that it is a copy of.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// What the library was when it was copied. A [`Change`](crate::watch::Change) whose fingerprint does not
    /// [differ](Fingerprint::differs_from) from this one is already in this copy.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// What its last bytes are, if they are a checksum. `None`: it is smaller than one.
    pub(crate) fn checksum(&self) -> Option<Checksum> {
        self.checksum
    }

    /// Whether [`is_current`](Self::is_current) can ever say yes: not, if the library had just been written when it
    /// was copied, nor for a library that was kept.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether this copy can stand for a new one of `library`: that is still what it was when it was copied, nobody is
    /// writing to it, and the copy is untouched. In doubt it cannot.
    pub fn is_current(&self, library: &Path) -> bool {
        self.settled
            && self.source == library
            && copy::is_still(library, &self.fingerprint)
            && Fingerprint::of(self.path()).is_ok_and(|now| !now.differs_from(&self.own_fingerprint))
    }
}
