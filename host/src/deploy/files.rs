//! The files of an app in a folder: its library, and the shared libraries that it needs.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::error::DeployError;
use crate::fs::atomic_file;
use crate::library::check::NeededFile;
use crate::library::content_hash::ContentHash;
use crate::library::needed::{bundle_folder, bundles_folder};

/// Who may use a library, before the umask.
const LIBRARY_MODE: u32 = 0o755;

/// What became of a library in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was none.
    New,
    /// There was another one.
    Changed,
    /// It was there already, and was not touched.
    Unchanged,
}

/// Puts an app's library with this content at `to`, and before it the shared libraries that it needs in the folder that it names,
/// unless they are there already.
///
/// # Errors
/// One of them is not what was checked, or cannot be written; the library that was there before stays.
pub(super) fn put_library(to: &Path, content: &[u8], needed: &[NeededFile]) -> Result<Outcome, DeployError> {
    // A library that had a checksum before may name none.
    let folder = bundle_folder(to, content);
    let mut is_new = false;
    for needed in needed {
        let content = fs::read(&needed.path)
            .map_err(|reason| DeployError::Read { path: needed.path.clone(), reason })?;
        if ContentHash::compute(&content) != needed.hash {
            return Err(DeployError::Changed { library: needed.path.clone() });
        }
        fs::create_dir_all(&folder).map_err(|reason| DeployError::Write { path: folder.clone(), reason })?;
        is_new |= put_file(&folder.join(&needed.name), &content)? != Outcome::Unchanged;
    }
    let outcome = match put_file(to, content)? {
        Outcome::Unchanged if is_new => Outcome::Changed,
        outcome => outcome,
    };
    remove_libraries(to, &folder, needed)?;
    Ok(outcome)
}

/// Removes an app's library with the shared libraries that it needs, if it is there.
///
/// # Errors
/// It cannot be removed.
pub(super) fn remove_library(library: &Path) -> Result<(), DeployError> {
    keep_only(&bundles_folder(library), &[])?;
    match fs::remove_file(library) {
        Err(reason) if reason.kind() != io::ErrorKind::NotFound => {
            Err(DeployError::Write { path: library.to_owned(), reason })
        }
        _ => Ok(()),
    }
}

/// Removes the shared libraries of the library `to` but these, which are in this folder.
fn remove_libraries(to: &Path, folder: &Path, needed: &[NeededFile]) -> Result<(), DeployError> {
    let bundles = bundles_folder(to);
    let names: Vec<&OsStr> = needed.iter().map(|needed| needed.name.as_ref()).collect();
    if folder == bundles || names.is_empty() {
        return keep_only(&bundles, &names);
    }
    keep_only(&bundles, &folder.file_name().into_iter().collect::<Vec<_>>())?;
    keep_only(folder, &names)
}

/// Writes a library, unless it is there already.
fn put_file(path: &Path, content: &[u8]) -> Result<Outcome, DeployError> {
    let outcome = match fs::read(path) {
        Ok(before) if before == content => return Ok(Outcome::Unchanged),
        Ok(_) => Outcome::Changed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Outcome::New,
        Err(reason) => return Err(DeployError::Read { path: path.to_owned(), reason }),
    };
    atomic_file::write_to_disk(path, LIBRARY_MODE, |file| file.write_all(content))
        .map_err(|reason| DeployError::Write { path: path.to_owned(), reason })?;
    Ok(outcome)
}

/// Removes all of a folder but the entries of these names, and the folder if there are none.
fn keep_only(folder: &Path, names: &[&OsStr]) -> Result<(), DeployError> {
    let failed = |path: &Path, reason| DeployError::Write { path: path.to_owned(), reason };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(reason) => return Err(failed(folder, reason)),
    };
    for entry in entries {
        let entry = entry.map_err(|reason| failed(folder, reason))?;
        if names.contains(&&*entry.file_name()) {
            continue;
        }
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|reason| failed(&path, reason))?;
    }
    if names.is_empty() { fs::remove_dir(folder).map_err(|reason| failed(folder, reason)) } else { Ok(()) }
}

/// The file of an app's library.
pub(super) fn file_name(app: &str) -> String {
    format!("{app}.so")
}
