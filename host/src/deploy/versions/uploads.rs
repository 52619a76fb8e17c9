//! Files on their way to the host. Each is known by the hash of its content, so that one that is there already is not sent
//! again, and one whose upload was interrupted continues where it was.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::VersionError;
use super::index::Index;
use super::limits::{UPLOAD_KEPT, UPLOAD_PIECE};
use super::store::Versions;
use crate::fs::atomic_file;
use crate::library::content_hash::ContentHash;

/// How the name of a file ends that is not complete yet.
const PART: &str = ".part";

/// How much of a file the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadStatus {
    /// The number of bytes. The next piece begins there.
    pub received: u64,
    /// Whether the host has all of it, and its content has the hash.
    pub complete: bool,
}

impl Versions {
    /// How much the host has of a file of an app.
    ///
    /// # Errors
    /// See [`VersionError`].
    pub(crate) fn received(&self, app: &str, hash: &str) -> Result<UploadStatus, VersionError> {
        let path = self.file(app, hash.parse()?)?;
        if let Some(received) = size_of(&path)? {
            return Ok(UploadStatus { received, complete: true });
        }
        Ok(UploadStatus { received: size_of(&part(&path))?.unwrap_or(0), complete: false })
    }

    /// Appends a piece to a file of an app that will have `size` bytes. The last piece completes it, if its content has the
    /// hash; else all of it is discarded.
    ///
    /// # Errors
    /// See [`VersionError`].
    pub(crate) fn append(
        &self,
        app: &str,
        hash: &str,
        offset: u64,
        size: u64,
        limit: u64,
        piece: &[u8],
    ) -> Result<UploadStatus, VersionError> {
        let hash: ContentHash = hash.parse()?;
        let folder = self.make(app)?;
        if size > limit {
            return Err(VersionError::TooLarge { found: size, limit });
        }
        let path = folder.join(hash.to_string());
        if let Some(received) = size_of(&path)? {
            return Ok(UploadStatus { received, complete: true });
        }
        let part = part(&path);
        let failed = |reason| VersionError::File { path: part.clone(), reason };
        let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(&part);
        let mut file = open().map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(VersionError::Busy),
            Err(TryLockError::Error(reason)) => return Err(failed(reason)),
        }
        let received = file.metadata().map_err(failed)?.len();
        let bytes = piece.len() as u64;
        let fits = received == offset && offset.checked_add(bytes).is_some_and(|end| end <= size);
        if !fits || piece.len() > UPLOAD_PIECE {
            return Err(VersionError::Offset { received, offset, piece: bytes, size });
        }
        file.write_all(piece).map_err(failed)?;
        if offset + bytes < size {
            return Ok(UploadStatus { received: offset + bytes, complete: false });
        }
        complete(&file, &part, &path, hash)?;
        Ok(UploadStatus { received: size, complete: true })
    }

    /// Copies a file that the host has elsewhere, unless it is there.
    ///
    /// # Errors
    /// It has another content by now, or cannot be copied.
    pub(super) fn copy(&self, app: &str, hash: ContentHash, from: &Path) -> Result<(), VersionError> {
        let path = self.make(app)?.join(hash.to_string());
        if size_of(&path)?.is_some() {
            return Ok(());
        }
        let failed = |reason| VersionError::File { path: from.to_owned(), reason };
        let content = fs::read(from).map_err(failed)?;
        let found = ContentHash::compute(&content);
        if found != hash {
            return Err(VersionError::Damaged { expected: hash, found });
        }
        atomic_file::write_to_disk(&path, 0o600, |file| file.write_all(&content)).map_err(failed)
    }
}

/// Gives a file its name, if it is what it should be.
fn complete(file: &File, part: &Path, path: &Path, expected: ContentHash) -> Result<(), VersionError> {
    let failed = |reason| VersionError::File { path: part.to_owned(), reason };
    let found = ContentHash::of_file(part).map_err(failed)?;
    if found != expected {
        fs::remove_file(part).map_err(failed)?;
        return Err(VersionError::Damaged { expected, found });
    }
    file.sync_all().map_err(failed)?;
    fs::rename(part, path).map_err(failed)
}

fn part(path: &Path) -> PathBuf {
    path.with_extension(&PART[1..])
}

fn size_of(path: &Path) -> Result<Option<u64>, VersionError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(reason) => Err(VersionError::File { path: path.to_owned(), reason }),
    }
}

/// Removes the files that no version has any more, and those that no version has had and whose upload was given up.
pub(super) fn remove_unused(folder: &Path, before: &Index, now: &Index) -> io::Result<()> {
    let (before, used) = (files(before), files(now));
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_upload = name.strip_suffix(PART).unwrap_or(&name).parse::<ContentHash>().is_ok();
        if !is_upload || used.contains(name.as_str()) {
            continue;
        }
        // A new one may be about to become a version.
        let age = SystemTime::now().duration_since(entry.metadata()?.modified()?).unwrap_or_default();
        if before.contains(name.as_str()) || age > UPLOAD_KEPT {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The hashes of the files of all versions.
fn files(index: &Index) -> HashSet<&str> {
    let shared = index.versions.iter().flat_map(|version| &version.libraries);
    let shared = shared.map(|shared| shared.hash.as_str());
    shared.chain(index.versions.iter().map(|version| version.library.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(folder: &tempfile::TempDir) -> Versions {
        Versions::new(Some(folder.path()), Path::new("/srv/apps.json"))
    }

    fn hash(content: &[u8]) -> String {
        ContentHash::compute(content).to_string()
    }

    #[test]
    fn an_upload_continues_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let all = versions(&folder);
        let content = b"a library in two pieces";
        let hash = hash(content);
        let append =
            |offset: u64, piece: &[u8]| all.append("a", &hash, offset, content.len() as u64, 100, piece);
        assert_eq!(all.received("a", &hash).unwrap(), UploadStatus { received: 0, complete: false });
        assert_eq!(append(0, &content[..5]).unwrap(), UploadStatus { received: 5, complete: false });
        assert_eq!(all.received("a", &hash).unwrap(), UploadStatus { received: 5, complete: false });
        assert!(matches!(append(0, content), Err(VersionError::Offset { received: 5, .. })));
        assert!(matches!(append(5, content), Err(VersionError::Offset { .. })), "more than its size");
        let whole = UploadStatus { received: content.len() as u64, complete: true };
        assert_eq!(append(5, &content[5..]).unwrap(), whole);
        assert_eq!(all.received("a", &hash).unwrap(), whole);
        assert_eq!(append(0, b"again").unwrap(), whole, "what is there is not written again");
        assert_eq!(fs::read(all.file("a", hash.parse().unwrap()).unwrap()).unwrap(), content);
    }

    #[test]
    fn what_is_damaged_or_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let all = versions(&folder);
        let hash = hash(b"right");
        assert!(matches!(all.append("a", &hash, 0, 5, 100, b"wrong"), Err(VersionError::Damaged { .. })));
        assert_eq!(all.received("a", &hash).unwrap().received, 0, "it begins again");
        assert!(matches!(all.append("a", &hash, 0, 101, 100, b"x"), Err(VersionError::TooLarge { .. })));
        let large = vec![0; UPLOAD_PIECE + 1];
        assert!(matches!(
            all.append("a", &hash, 0, 1 << 30, 1 << 30, &large),
            Err(VersionError::Offset { .. })
        ));
        assert!(all.append("a", &hash, 0, 5, 100, b"right").unwrap().complete);
    }

    #[test]
    fn one_request_appends_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let all = versions(&folder);
        let hash = hash(b"right");
        all.append("a", &hash, 0, 5, 100, b"r").unwrap();
        let other = File::open(part(&all.file("a", hash.parse().unwrap()).unwrap())).unwrap();
        other.lock().unwrap();
        assert!(matches!(all.append("a", &hash, 1, 5, 100, b"ight"), Err(VersionError::Busy)));
        drop(other);
        assert!(all.append("a", &hash, 1, 5, 100, b"ight").unwrap().complete);
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let all = versions(&folder);
        for app in ["..", "../a", "a/b", "", "/etc"] {
            assert!(matches!(all.received(app, &hash(b"")), Err(VersionError::AppName(_))), "{app}");
        }
        for hash in ["../../etc/passwd", "", "versions.json"] {
            assert!(matches!(all.append("a", hash, 0, 1, 1, b"x"), Err(VersionError::Hash(_))), "{hash}");
        }
    }

    #[test]
    fn files_that_nobody_needs_are_removed_after_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let all = versions(&folder);
        for content in ["old", "new"] {
            all.append("a", &hash(content.as_bytes()), 0, 3, 100, content.as_bytes()).unwrap();
        }
        all.append("a", &hash(b"part"), 0, 4, 100, b"p").unwrap();
        let old = all.file("a", ContentHash::compute(b"old")).unwrap();
        let long_ago = SystemTime::now() - UPLOAD_KEPT * 2;
        File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
        remove_unused(&all.app("a").unwrap(), &Index::default(), &Index::default()).unwrap();
        assert!(!old.exists());
        assert!(all.received("a", &hash(b"new")).unwrap().complete);
        assert_eq!(all.received("a", &hash(b"part")).unwrap().received, 1);
    }
}
