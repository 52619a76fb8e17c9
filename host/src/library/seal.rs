//! Sealing a library: adding the [checksum](super::checksum) that it is verified by.

use std::ops::Range;

use atoll_plugin::stamp;

use crate::library::content_hash::ContentHash;
use crate::library::inspect;
use crate::library::needed::bundle_mark;

/// A library's bytes with a checksum, behind the hash of its bundle if it has one; as they are, if they have a checksum.
/// `None`: its stamp is of another kind.
pub(crate) fn seal(library: &[u8], bundle: Option<ContentHash>) -> Option<Vec<u8>> {
    let stamp = inspect::stamp_of(library)?;
    if place_of(stamp::SEALED, library, &stamp).is_some() {
        return Some(library.to_vec());
    }
    let place = place_of(stamp::UNSEALED, library, &stamp)?;
    let mut sealed = library.to_vec();
    sealed.get_mut(place)?.copy_from_slice(stamp::SEALED.as_bytes());
    sealed.extend(bundle.map(bundle_mark).unwrap_or_default());
    let hash = ContentHash::compute(&sealed);
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
    use crate::library::checksum;
    use crate::library::inspect::tests::good_library;

    #[test]
    fn a_library_is_sealed_once() {
        let library = good_library();
        let sealed = seal(&library, None).unwrap();
        assert_eq!(sealed.len(), library.len() + checksum::SIZE as usize);
        assert_eq!(seal(&sealed, None).unwrap(), sealed);
        let bundled = seal(&library, Some(ContentHash::compute(b"libraries"))).unwrap();
        assert_eq!(bundled.len(), sealed.len() + 48);
        assert_eq!(stamp::SEALED.len(), stamp::UNSEALED.len());
        assert_eq!(seal(b"no library", None), None);
    }
}
