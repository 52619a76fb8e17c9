//! What tells the contents of a library, with those that it needs, from another's.

use std::path::Path;

use super::error::NeededError;
use super::find::find;
use crate::fs::regular_file;
use crate::library::content_hash::ContentHash;

/// The hash of a library with that of those beside it which it needs, by their names; its own, if there are none.
pub(crate) fn combined_hash(own: ContentHash, needs: &[(&str, ContentHash)]) -> ContentHash {
    if needs.is_empty() {
        return own;
    }
    let mut needs = needs.to_vec();
    needs.sort_unstable();
    let mut content = own.as_bytes().to_vec();
    for (name, hash) in needs {
        content.extend((name.len() as u64).to_le_bytes());
        content.extend(name.as_bytes());
        content.extend(hash.as_bytes());
    }
    ContentHash::compute(&content)
}

/// The hash of a library on disk, with those beside it that it needs.
///
/// # Errors
/// See [`NeededError`].
pub(crate) fn content_hash(library: &Path) -> Result<ContentHash, NeededError> {
    let read = |path: &Path| {
        ContentHash::of_file(path).map_err(|reason| NeededError::Read { path: path.to_owned(), reason })
    };
    let file = regular_file::open(library)
        .map_err(|reason| NeededError::Read { path: library.to_owned(), reason })?;
    let found = find(library, &file)?;
    let mut hashes: Vec<ContentHash> = Vec::new();
    for needed in &found.libraries {
        let needs: Vec<_> =
            needed.needs.iter().map(|(name, place)| (name.as_str(), hashes[*place])).collect();
        hashes.push(combined_hash(read(&needed.path)?, &needs));
    }
    let needs: Vec<_> = found.needs.iter().map(|(name, place)| (name.as_str(), hashes[*place])).collect();
    Ok(combined_hash(read(library)?, &needs))
}
