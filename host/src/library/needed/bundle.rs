//! The folder of shared libraries beside a library that `atoll build` has written.
//!
//! The library names its folder: at its end, in front of the checksum, is the hash of all of them. So a new
//! library and those that it needs come into force in one step, when the file takes the place of the one before.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::library::checksum;
use crate::library::content_hash::ContentHash;

/// What follows the hash.
const MARK: &[u8; 16] = b"atoll-libraries\0";

/// How many bytes a library has for it.
const SIZE: usize = 32 + MARK.len();

/// The hash of the libraries of a bundle, by their names.
pub(crate) fn bundle_hash<'a>(libraries: impl Iterator<Item = (&'a str, ContentHash)>) -> ContentHash {
    let mut text: Vec<String> = libraries.map(|(name, hash)| format!("{hash} {name}\n")).collect();
    text.sort_unstable();
    ContentHash::compute(text.concat().as_bytes())
}

/// What a library ends with that has this bundle.
pub(crate) fn bundle_mark(hash: ContentHash) -> Vec<u8> {
    [&hash.as_bytes()[..], MARK].concat()
}

/// The folder for the bundles of the library at this path.
pub(crate) fn bundles_folder(library: &Path) -> PathBuf {
    library.with_extension("libs")
}

/// The folder of the bundle of the library at this path, whose content ends with these bytes: the one that it names, or
/// else the folder for bundles itself.
pub(crate) fn bundle_folder(library: &Path, content: &[u8]) -> PathBuf {
    let named = || {
        let (_, mark) =
            content.split_at_checked(content.len().checked_sub(SIZE + checksum::SIZE as usize)?)?;
        let (hash, rest) = mark.split_first_chunk::<32>()?;
        rest.starts_with(MARK).then(|| ContentHash::new(*hash).short())
    };
    let folder = bundles_folder(library);
    named().map_or(folder.clone(), |name| folder.join(name))
}

/// The last bytes of a library, which may name its bundle.
pub(super) fn end_of(file: &File) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len();
    let mut bytes = vec![0; size.min(SIZE as u64 + checksum::SIZE) as usize];
    let start = size - bytes.len() as u64;
    file.read_exact_at(&mut bytes, start)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_library_names_the_folder_of_its_bundle() {
        let hashes = [1_u8, 2].map(|number| ContentHash::compute(&[number]));
        let one = bundle_hash([("a", hashes[0]), ("b", hashes[1])].into_iter());
        assert_eq!(one, bundle_hash([("b", hashes[1]), ("a", hashes[0])].into_iter()));
        assert_ne!(one, bundle_hash([("a", hashes[1]), ("b", hashes[0])].into_iter()));

        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"a library").unwrap();
        let library = Path::new("/srv/app.so");
        let folder = |file: &File| bundle_folder(library, &end_of(file).unwrap());
        assert_eq!(folder(&file), Path::new("/srv/app.libs"));
        file.write_all(&[bundle_mark(one), vec![0; checksum::SIZE as usize]].concat()).unwrap();
        assert_eq!(folder(&file), Path::new("/srv/app.libs").join(one.short()));
    }
}
