//! A copy of a library.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use super::contents::Contents;
use super::copy::{self, Copied, OwnedFile};
use super::folder::ProcessFolder;
use crate::library::checksum::Checksum;
use crate::watch::Fingerprint;

/// A copy of a library, for one generation at a time. Dropping it deletes the copy.
///
/// A library that is mapped stays usable without its file, but it must not be dropped before `dlopen`.
#[derive(Debug)]
pub struct Staged {
    file: OwnedFile,
    app: String,
    contents: Contents,
    /// What the copy itself was when it was made.
    own_fingerprint: Fingerprint,
    /// Whether every later write to the source shows in the source's fingerprint.
    settled: bool,
    checksum: Option<Checksum>,
    /// The folder is removed when neither the [`Staging`] nor a copy in it is left.
    _folder: Arc<ProcessFolder>,
}

impl Deref for Staged {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.contents
    }
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
            contents: Contents {
                hash: copied.hash,
                size: copied.size,
                source: library.to_owned(),
                fingerprint: copied.fingerprint,
            },
            own_fingerprint: copied.own_fingerprint,
            settled: copied.settled,
            checksum: copied.checksum,
            _folder: folder,
        }
    }

    /// The same, as a copy of the library that the copied one was kept of.
    pub(super) fn of_kept(self, kept: &Contents) -> Self {
        let contents =
            Contents { source: kept.source.clone(), fingerprint: kept.fingerprint, ..self.contents };
        Self { contents, settled: false, ..self }
    }

    /// Where the copy is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The name of the app that it was made for.
    pub fn app(&self) -> &str {
        &self.app
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
            && self.contents.source == library
            && copy::is_still(library, &self.contents.fingerprint)
            && Fingerprint::read(self.path()).is_ok_and(|now| !now.differs_from(&self.own_fingerprint))
    }
}
