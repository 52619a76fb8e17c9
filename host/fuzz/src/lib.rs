//! What Atoll reads that it did not write, by the names of the fuzz targets.
//!
//! `corpus/NAME` has the inputs that each begins with. Tests run all of them, and some hundred changes of each;
//! `cargo +nightly fuzz run --features libfuzzer NAME`, in the folder above, continues with them.

use std::cell::OnceCell;

use atoll_host::fuzzing;
use tempfile::TempDir;

/// Takes any bytes, and panics when something is wrong.
pub type Target = fn(&[u8]);

/// The targets by their names.
pub const TARGETS: [(&str, Target); 6] = [
    ("frame", fuzzing::frame),
    ("library", library),
    ("message", fuzzing::message),
    ("registry", fuzzing::registry),
    ("request", fuzzing::request),
    ("target", fuzzing::target),
];

/// A library, in a folder of this thread.
fn library(bytes: &[u8]) {
    thread_local! {
        static FOLDER: OnceCell<TempDir> = const { OnceCell::new() };
    }
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| tempfile::tempdir().expect("there can be a temporary folder"));
        fuzzing::library(bytes, folder.path());
    });
}

/// Runs the target of this name.
///
/// # Panics
/// When something is wrong, or there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("there is such a target");
    target(bytes);
}
