//! The libraries that were opened on this machine before.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::fs::{atomic_file, regular_file};
use crate::library::content_hash::ContentHash;
use crate::library::stage::{CommonFolder, StageError};

/// How many libraries a machine remembers; the oldest is forgotten first.
pub(crate) const KNOWN_LIBRARIES: usize = 1000;

/// How many bytes the file may have.
const FILE_LIMIT: u64 = (KNOWN_LIBRARIES as u64 + 1) * (2 * size_of::<ContentHash>() as u64 + 1);

/// The hashes of libraries that a host of this version has opened in a preflight process, one a line, the newest last. The
/// file is in the folder that all hosts of a user share.
#[derive(Debug)]
pub(super) struct KnownLibraries {
    place: PathBuf,
}

impl KnownLibraries {
    /// Those of the hosts whose temporary folder this is.
    pub(super) fn new(place: &Path) -> Self {
        Self { place: place.to_owned() }
    }

    /// Whether a library with this content is known.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn contains(&self, hash: ContentHash) -> Result<bool, StageError> {
        let (common, hash) = (CommonFolder::open(&self.place)?, hash.to_string());
        Ok(read(&file(&common))?.contains(&hash))
    }

    /// Adds a library. Hosts that do this at the same time wait for each other.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn add(&self, hash: ContentHash) -> Result<(), StageError> {
        let (common, hash) = (CommonFolder::open(&self.place)?, hash.to_string());
        let _turn = common.turn()?;
        let path = file(&common);
        let mut known = read(&path)?;
        known.retain(|known| *known != hash);
        known.push(hash);
        let newest = &known[known.len().saturating_sub(KNOWN_LIBRARIES)..];
        let text = newest.iter().fold(String::new(), |mut text, hash| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{hash}");
            text
        });
        atomic_file::write(&path, 0o600, |file| file.write_all(text.as_bytes()))
            .map_err(|reason| StageError::Write { path, reason })
    }
}

/// Another version may open libraries in another way.
fn file(common: &CommonFolder) -> PathBuf {
    common.path().join(concat!("opened-libraries-", env!("CARGO_PKG_VERSION")))
}

/// The hashes in the file. A file that is too large is not this host's, and counts as empty.
fn read(path: &Path) -> Result<Vec<String>, StageError> {
    match regular_file::read(path, FILE_LIMIT) {
        Ok(text) => Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(Vec::new()),
        Err(reason) => Err(StageError::Read { path: path.to_owned(), reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn hash(number: usize) -> ContentHash {
        ContentHash::compute(&number.to_le_bytes())
    }

    #[test]
    fn what_was_added_is_known_to_all_hosts() {
        let place = tempfile::tempdir().unwrap();
        let known = KnownLibraries::new(place.path());
        assert!(!known.contains(hash(1)).unwrap());
        known.add(hash(1)).unwrap();
        known.add(hash(1)).unwrap();
        let other = KnownLibraries::new(place.path());
        assert!(other.contains(hash(1)).unwrap() && !other.contains(hash(2)).unwrap());
        let path = file(&CommonFolder::open(place.path()).unwrap());
        assert_eq!(std::fs::read_to_string(path).unwrap(), format!("{}\n", hash(1)));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let place = tempfile::tempdir().unwrap();
        let known = KnownLibraries::new(place.path());
        let path = file(&CommonFolder::open(place.path()).unwrap());
        let full: String = (0..KNOWN_LIBRARIES).map(|number| format!("{}\n", hash(number))).collect();
        std::fs::write(path, full).unwrap();
        assert!(known.contains(hash(0)).unwrap());
        known.add(hash(KNOWN_LIBRARIES)).unwrap();
        assert!(!known.contains(hash(0)).unwrap());
        assert!(known.contains(hash(1)).unwrap() && known.contains(hash(KNOWN_LIBRARIES)).unwrap());
    }

    #[test]
    fn hosts_that_add_at_the_same_time_lose_nothing() {
        let place = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for part in 0..4 {
                let known = KnownLibraries::new(place.path());
                scope.spawn(move || (0..10).for_each(|number| known.add(hash(10 * part + number)).unwrap()));
            }
        });
        let known = KnownLibraries::new(place.path());
        assert!((0..40).all(|number| known.contains(hash(number)).unwrap()));
    }

    #[test]
    fn a_file_that_is_too_large_counts_as_empty() {
        let place = tempfile::tempdir().unwrap();
        let path = file(&CommonFolder::open(place.path()).unwrap());
        std::fs::write(&path, vec![b'\n'; FILE_LIMIT as usize + 1]).unwrap();
        let known = KnownLibraries::new(place.path());
        assert!(!known.contains(hash(1)).unwrap());
        known.add(hash(1)).unwrap();
        assert!(known.contains(hash(1)).unwrap());
    }
}
