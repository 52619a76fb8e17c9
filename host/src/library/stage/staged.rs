//! A copy of a library.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use super::contents::Contents;
use super::copy::{self, Copied, OwnedFile};
use super::error::StageError;
use super::folder::ProcessFolder;
use super::needed::Needed;
use crate::library::checksum::Checksum;
use crate::library::open_paths::OpenPaths;
use crate::watch::Fingerprint;

/// A copy of a library, for one generation at a time. Dropping it deletes the copy.
///
/// A library that is mapped stays usable without its file, but it must not be dropped before `dlopen`.
#[derive(Debug)]
pub struct Staged {
    file: OwnedFile,
    /// What is loaded instead, if the library needs others that lay beside it: there they have the names of their copies.
    linked: Option<OwnedFile>,
    app: String,
    contents: Contents,
    /// What the copy that is loaded was when it was made.
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
        needed: Needed,
        folder: Arc<ProcessFolder>,
    ) -> Result<Self, StageError> {
        let (mut linked, mut own_fingerprint) = (None, copied.own_fingerprint);
        if !needed.is_empty() {
            let copy = needed.link(library, file.path(), file.path().with_extension("linked.so"))?;
            own_fingerprint = Fingerprint::read(copy.path())
                .map_err(|reason| StageError::Read { path: copy.path().to_owned(), reason })?;
            linked = Some(copy);
        }
        Ok(Self {
            file,
            linked,
            app: app.to_owned(),
            own_fingerprint,
            settled: copied.settled && needed.is_settled(),
            checksum: copied.checksum,
            contents: Contents {
                hash: needed.hash(copied.hash),
                file_hash: copied.hash,
                size: copied.size,
                source: library.to_owned(),
                fingerprint: copied.fingerprint,
                needed,
            },
            _folder: folder,
        })
    }

    /// The same, as a copy of the library that the copied one was kept of.
    pub(super) fn of_kept(self, kept: &Contents) -> Self {
        let contents =
            Contents { source: kept.source.clone(), fingerprint: kept.fingerprint, ..self.contents };
        Self { contents, settled: false, ..self }
    }

    /// Where the copy is that is loaded.
    pub fn path(&self) -> &Path {
        self.linked.as_ref().unwrap_or(&self.file).path()
    }

    /// Where the copy is that has the same bytes as the library.
    pub(crate) fn original_path(&self) -> &Path {
        self.file.path()
    }

    /// What is opened: the copy, and those of the libraries that it needs.
    pub(crate) fn open_paths(&self) -> OpenPaths {
        let needed = &self.contents.needed;
        OpenPaths {
            library: self.path().to_owned(),
            needed: needed.paths(),
            searched: needed.searched().to_owned(),
        }
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
            && self.contents.needed.is_current(library)
            && Fingerprint::read(self.path()).is_ok_and(|now| !now.differs_from(&self.own_fingerprint))
    }
}
