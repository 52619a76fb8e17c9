//! The checksum at the end of a library that `atoll build` has written.
//!
//! It is in the same file, so that both always travel together, and an upload that replaces the file replaces both. It
//! is a BLAKE3 hash of all bytes before it. The stamp says that it is there: a file that has lost its end is not taken
//! for one that never had a checksum.

use std::ops::Range;

use atoll_plugin::stamp;

use crate::library::inspect;
use crate::library::stage::ContentHash;

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

/// A library's bytes with a checksum; as they are, if they have one. `None`: its stamp is of another kind.
pub(crate) fn seal(library: &[u8]) -> Option<Vec<u8>> {
    let stamp = inspect::stamp_of(library)?;
    if place_of(stamp::SEALED, library, &stamp).is_some() {
        return Some(library.to_vec());
    }
    let place = place_of(stamp::UNSEALED, library, &stamp)?;
    let mut sealed = library.to_vec();
    sealed.get_mut(place)?.copy_from_slice(stamp::SEALED.as_bytes());
    let hash = ContentHash::of(&sealed);
    sealed.extend(hash.as_bytes());
    Some(sealed)
}

/// Where these words are in the stamp.
fn place_of(words: &str, library: &[u8], stamp: &Range<usize>) -> Option<Range<usize>> {
    let text = library.get(stamp.clone())?;
    let at = stamp.start + text.windows(words.len()).position(|part| part == words.as_bytes())?;
    Some(at..at + words.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::inspect::tests::good_library;

    #[test]
    fn a_library_is_sealed_once() {
        let library = good_library();
        let sealed = seal(&library).unwrap();
        assert_eq!(sealed.len(), library.len() + SIZE as usize);
        assert_eq!(seal(&sealed).unwrap(), sealed);
        assert_eq!(stamp::SEALED.len(), stamp::UNSEALED.len());
        assert_eq!(seal(b"no library"), None);
    }
}
