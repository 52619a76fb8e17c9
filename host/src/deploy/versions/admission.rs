//! The checks that a version has to pass before it is kept.

use std::fs;
use std::path::Path;

use atoll_plugin::stamp::Stamp;

use super::error::VersionError;
use super::limits::MAX_NOTE;
use super::store::Versions;
use super::version::{SharedLibrary, Version};
use crate::config::Entry;
use crate::library::check::{Checked, Opener, check};
use crate::library::content_hash::ContentHash;
use crate::library::inspect::stamp_of;
use crate::library::needed::NEEDED_LIBRARIES;
use crate::library::source::Source;
use crate::library::stage::{Kept, Staging};

/// A version whose files were uploaded.
#[derive(Clone, Debug)]
pub(crate) struct NewVersion {
    /// The hash of its library's file.
    pub(crate) library: String,
    pub(crate) libraries: Vec<SharedLibrary>,
    pub(crate) entry: Entry,
    pub(crate) by: String,
    pub(crate) note: Option<String>,
}

/// What libraries are checked with.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    pub(crate) staging: &'a Staging,
    /// Opens them in a process first.
    pub(crate) opener: Option<&'a Opener>,
    /// How many bytes a library may have, by the setting `library_limit`.
    pub(crate) library_limit: usize,
    pub(crate) now_ms: u64,
    /// How many versions are kept, by the setting `keep`.
    pub(crate) keep: usize,
}

impl Versions {
    /// Keeps a version, after its library has passed all the checks that a host does before it starts one; it is not served yet.
    ///
    /// # Errors
    /// See [`VersionError`].
    pub(crate) fn admit(
        &self,
        app: &str,
        new: NewVersion,
        with: &Admission<'_>,
    ) -> Result<Version, VersionError> {
        let found = new.libraries.len();
        if found > NEEDED_LIBRARIES {
            return Err(VersionError::TooManyLibraries { found, limit: NEEDED_LIBRARIES });
        }
        if let Some(note) = new.note.as_ref().filter(|note| note.len() > MAX_NOTE) {
            return Err(VersionError::Note(note.len()));
        }
        let library: ContentHash = new.library.parse()?;
        for shared in &new.libraries {
            let is_name = !shared.name.contains(['/', '\0']) && !matches!(&*shared.name, "" | "." | "..");
            if !is_name {
                return Err(VersionError::LibraryName(shared.name.clone()));
            }
        }
        let hashes = new.libraries.iter().map(|shared| &shared.hash).chain([&new.library]);
        let mut missing = Vec::new();
        for hash in hashes {
            if !self.received(app, hash)?.complete {
                missing.push(hash.clone());
            }
        }
        if !missing.is_empty() {
            return Err(VersionError::Missing(missing));
        }
        let id = Version::id_of(library, &new.libraries, &new.entry);
        let known = self.index(app)?.versions.into_iter().find(|version| version.id == id);
        let version = match known {
            // It has passed the checks before.
            Some(known) => Version { by: Some(new.by), note: new.note, ..known },
            None => self.checked(app, id, library, new, with)?,
        };
        self.keep(app, version, with.keep)
    }

    /// A version whose files have passed the checks.
    fn checked(
        &self,
        app: &str,
        id: String,
        library: ContentHash,
        new: NewVersion,
        with: &Admission<'_>,
    ) -> Result<Version, VersionError> {
        let checked = self.check(app, library, &new.libraries, with)?;
        if !checked.stamp.sealed {
            return Err(VersionError::NotSealed);
        }
        Ok(Version {
            id,
            library: new.library,
            libraries: new.libraries,
            entry: new.entry,
            hash: checked.hash.short(),
            size: checked.size + checked.needed.iter().map(|needed| needed.size).sum::<u64>(),
            package: format!("{} {}", checked.stamp.name, checked.stamp.version),
            rustc: checked.stamp.rustc,
            created_ms: with.now_ms,
            by: Some(new.by),
            note: new.note,
            promoted_ms: None,
            failure: None,
            held: false,
        })
    }

    /// Keeps what serves, or has served, as a version, if it is none yet: a library that was copied into the folder.
    ///
    /// # Errors
    /// See [`VersionError`].
    pub(crate) fn notice(
        &self,
        app: &str,
        kept: &Kept,
        entry: Entry,
        now_ms: u64,
        keep: usize,
    ) -> Result<String, VersionError> {
        let library = kept.file_hash();
        let needed = kept.needed();
        let libraries: Vec<SharedLibrary> = needed
            .iter()
            .map(|needed| SharedLibrary { name: needed.name.clone(), hash: needed.hash.to_string() })
            .collect();
        let id = Version::id_of(library, &libraries, &entry);
        if self.index(app)?.versions.iter().any(|version| version.id == id) {
            return Ok(id);
        }
        self.copy(app, library, kept.path())?;
        for needed in &needed {
            self.copy(app, needed.hash, &needed.path)?;
        }
        let stamp = stamp(kept.path())?;
        let version = Version {
            id,
            library: library.to_string(),
            libraries,
            entry,
            hash: kept.hash().short(),
            size: kept.size() + needed.iter().map(|needed| needed.size).sum::<u64>(),
            package: stamp
                .as_ref()
                .map(|stamp| format!("{} {}", stamp.name, stamp.version))
                .unwrap_or_default(),
            rustc: stamp.map(|stamp| stamp.rustc).unwrap_or_default(),
            created_ms: now_ms,
            by: None,
            note: None,
            promoted_ms: Some(now_ms),
            failure: None,
            held: false,
        };
        Ok(self.keep(app, version, keep)?.id)
    }

    /// Does with the files of a version what a host does before it starts them.
    fn check(
        &self,
        app: &str,
        library: ContentHash,
        libraries: &[SharedLibrary],
        with: &Admission<'_>,
    ) -> Result<Checked, VersionError> {
        let folder = tempfile::Builder::new().prefix("check-").tempdir_in(self.make(app)?);
        let path = self.app(app)?;
        let folder = folder.map_err(|reason| VersionError::File { path, reason })?;
        let path = self.link(app, folder.path(), library, libraries)?;
        let source = Source::locate(path, app);
        check(with.staging, &source, app, with.library_limit, with.opener).map_err(VersionError::Refused)
    }

    fn keep(&self, app: &str, version: Version, keep: usize) -> Result<Version, VersionError> {
        let id = version.id.clone();
        let kept = self.change(app, |index| {
            index.add(version);
            let kept = index.versions.first().cloned();
            index.prune(keep);
            kept
        })?;
        kept.ok_or(VersionError::Unknown { app: app.to_owned(), version: id })
    }
}

/// The stamp of a library that has run.
fn stamp(library: &Path) -> Result<Option<Stamp>, VersionError> {
    let content =
        fs::read(library).map_err(|reason| VersionError::File { path: library.to_owned(), reason })?;
    Ok(stamp_of(&content).and_then(|place| serde_json::from_slice(content.get(place)?).ok()))
}
