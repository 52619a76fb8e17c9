//! What is copied, what is not, and when the copies go.

use super::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::thread::sleep;

use crate::watch::{Fingerprint, SETTLE, wait_for_writers, write_and_release};

fn setup() -> (tempfile::TempDir, Staging, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::within(folder.path()).unwrap();
    let library = folder.path().join("libhello.so");
    write_and_release(&library, "first");
    (folder, staging, library)
}

#[test]
fn a_copy_is_a_new_file_and_goes_with_its_owner() {
    let (_folder, staging, library) = setup();
    let staged = staging.stage("hello", &library).unwrap();
    assert_eq!(staged.path(), staging.folder().join("hello-1.so"));
    assert_eq!(fs::read(staged.path()).unwrap(), b"first");
    assert_eq!((staged.size(), staged.source()), (5, library.as_path()));
    assert_eq!(staged.fingerprint(), Fingerprint::read(&library).unwrap());
    assert_eq!(staged.hash().as_bytes(), blake3::hash(b"first").as_bytes());
    assert_eq!(staged.hash().to_string(), blake3::hash(b"first").to_hex().as_str());
    let (copy, original) = (fs::metadata(staged.path()).unwrap(), fs::metadata(&library).unwrap());
    assert_ne!(copy.ino(), original.ino());
    let path = staged.path().to_owned();
    drop(staged);
    assert!(!path.exists());
}

#[test]
fn a_copy_is_never_written_over_another() {
    let (_folder, staging, library) = setup();
    let taken = staging.folder().join("hello-1.so");
    fs::write(&taken, "in use").unwrap();
    assert!(matches!(staging.stage("hello", &library), Err(StageError::Write { .. })));
    assert_eq!(fs::read(taken).unwrap(), b"in use");
    let staged = staging.stage("hello", &library).unwrap();
    assert_ne!(staged.path(), staging.stage("hello", &library).unwrap().path());
}

#[test]
fn a_library_that_is_being_written_is_not_copied() {
    let (_folder, staging, library) = setup();
    let writer = fs::OpenOptions::new().append(true).open(&library).unwrap();
    let error = staging.stage("hello", &library).unwrap_err();
    assert!(matches!(error, StageError::BeingWritten { .. }) && error.is_temporary(), "{error}");
    drop(writer);
    wait_for_writers(&library);
    staging.stage("hello", &library).unwrap();
}

#[test]
fn what_is_no_file_is_refused() {
    let (folder, staging, library) = setup();
    assert!(matches!(staging.stage("hello", folder.path()), Err(StageError::NotAFile { .. })));
    fs::remove_file(&library).unwrap();
    assert!(matches!(staging.stage("hello", &library), Err(StageError::Read { .. })));
    assert!(matches!(staging.stage("../hello", &library), Err(StageError::AppName { .. })));
    assert_eq!(fs::read_dir(staging.folder()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn a_folder_that_was_cleaned_up_is_made_again() {
    let (_folder, staging, library) = setup();
    let staged = staging.stage("hello", &library).unwrap();
    fs::remove_dir_all(staging.folder().parent().unwrap()).unwrap();
    let again = staging.stage("hello", &library).unwrap();
    assert!(again.path().exists());
    drop(staged);
    assert!(again.path().exists());
}

#[test]
fn the_folder_outlives_the_staging_and_goes_with_the_last_copy() {
    let (_folder, staging, library) = setup();
    let folder = staging.folder();
    let staged = staging.stage("hello", &library).unwrap();
    drop(staging);
    assert!(staged.path().exists());
    drop(staged);
    assert!(!folder.exists());
}

/// A copy of a library that was not written just now.
fn settled() -> (tempfile::TempDir, Staged, PathBuf) {
    let (folder, staging, library) = setup();
    // There is nothing to see that could be waited for: it is the age of the file that counts.
    sleep(SETTLE);
    let staged = staging.stage("hello", &library).unwrap();
    assert!(staged.is_settled() && staged.is_current(&library));
    (folder, staged, library)
}

#[test]
fn a_copy_stands_for_the_library_until_that_changes() {
    let (folder, staged, library) = settled();
    fs::hard_link(&library, folder.path().join("other.so")).unwrap();
    assert!(staged.is_current(&library), "a hard link is no change");
    assert!(!staged.is_current(&folder.path().join("other.so")), "another path");
    let writer = fs::OpenOptions::new().append(true).open(&library).unwrap();
    assert!(!staged.is_current(&library), "it is being written");
    drop(writer);
    wait_for_writers(&library);
    assert!(staged.is_current(&library), "nothing was written");
    fs::write(&library, "other").unwrap();
    assert!(!staged.is_current(&library), "of the same size");
}

#[test]
fn a_copy_does_not_stand_for_a_library_that_is_gone_or_replaced() {
    let (folder, staged, library) = settled();
    let aside = folder.path().join("aside");
    fs::rename(&library, &aside).unwrap();
    assert!(!staged.is_current(&library), "it is gone");
    fs::write(&library, "first").unwrap();
    assert!(!staged.is_current(&library), "another file with the same content");
    fs::remove_file(&library).unwrap();
    fs::create_dir(&library).unwrap();
    assert!(!staged.is_current(&library), "it is a folder");
}

#[test]
fn a_copy_that_was_touched_stands_for_nothing() {
    let (_folder, staged, library) = settled();
    fs::set_permissions(staged.path(), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(staged.path(), "fir").unwrap();
    assert!(!staged.is_current(&library));
    let (_folder, staged, library) = settled();
    fs::remove_file(staged.path()).unwrap();
    assert!(!staged.is_current(&library));
}

#[test]
fn a_copy_of_what_was_just_written_stands_for_nothing() {
    let (_folder, staging, library) = setup();
    // On a machine that is busy, more time may go by than it takes.
    let staged = (0..100).find_map(|_| {
        fs::write(&library, "again").unwrap();
        staging.stage("hello", &library).ok().filter(|staged| !staged.is_settled())
    });
    assert!(!staged.unwrap().is_current(&library));
}
