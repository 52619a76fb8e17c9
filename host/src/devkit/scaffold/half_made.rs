//! What is taken back when making an app fails half-way.

use std::fs;
use std::path::{Path, PathBuf};

use crate::fs::atomic_file;

/// A crate that is being made. Dropping this removes it, the folders that were made for it, and its name in manifests
/// above.
#[derive(Debug)]
pub(super) struct HalfMade {
    /// The outermost folder that was not there before.
    remove: PathBuf,
    /// The manifests above, as they were.
    manifests: Vec<(PathBuf, Vec<u8>)>,
    complete: bool,
}

impl HalfMade {
    /// Nothing is at `folder` yet.
    pub(super) fn begin(folder: &Path) -> Self {
        let missing = folder.ancestors().take_while(|folder| !folder.exists());
        let manifests = folder.ancestors().skip(1).map(|folder| folder.join("Cargo.toml"));
        Self {
            remove: missing.last().unwrap_or(folder).to_owned(),
            manifests: manifests
                .filter_map(|path| {
                    let before = fs::read(&path).ok()?;
                    Some((path, before))
                })
                .collect(),
            complete: false,
        }
    }

    /// All is there.
    pub(super) fn complete(mut self) {
        self.complete = true;
    }
}

impl Drop for HalfMade {
    fn drop(&mut self) {
        if self.complete {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.remove)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            log::error!("cannot remove {}: {error}", self.remove.display());
        }
        for (path, before) in &self.manifests {
            if fs::read(path).is_ok_and(|now| now == *before) {
                continue;
            }
            if let Err(error) = atomic_file::replace(path, before) {
                log::error!("cannot restore {}: {error}", path.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_completed_is_taken_back() {
        let place = tempfile::tempdir().unwrap();
        let (root, manifest) = (place.path().join("a"), place.path().join("Cargo.toml"));
        let folder = root.join("b");
        fs::write(&manifest, "before").unwrap();

        let half_made = HalfMade::begin(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(&manifest, "after").unwrap();
        drop(half_made);
        assert!(!root.exists());
        assert_eq!(fs::read(&manifest).unwrap(), b"before");

        let half_made = HalfMade::begin(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(&manifest, "after").unwrap();
        half_made.complete();
        assert!(folder.exists());
        assert_eq!(fs::read(&manifest).unwrap(), b"after");
    }
}
