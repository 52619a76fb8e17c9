//! Programs and libraries that are not built here, and that a newcomer's machine may not have.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use super::support::workspace;

/// Where a program is: in `PATH`, or where `.ci/install-programs` has unpacked it.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let unpacked = workspace().join("target/tools/debian/usr");
    std::env::split_paths(&path)
        .chain([unpacked.join("bin"), unpacked.join("sbin")])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// The programs, if all are there. Where one is missing, a test fails in CI; elsewhere it is skipped, with a line on
/// standard error that names it. The line is written past libtest, which hides what a test prints that passes.
///
/// # Panics
/// In CI, where one is missing.
pub(crate) fn all<const N: usize>(programs: [&str; N]) -> Option<[PathBuf; N]> {
    or_skipped(programs, programs.map(find))
}

/// Shared libraries of the system, as [`all`].
///
/// # Panics
/// In CI, where one is missing.
pub(crate) fn libraries<const N: usize>(names: [&str; N]) -> Option<[PathBuf; N]> {
    // The folder of the machine's architecture, as on Debian, or none.
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let folders: Vec<PathBuf> = folders.chain(["/usr/lib".into(), "/usr/lib64".into()]).collect();
    let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    or_skipped(names, names.map(find))
}

/// A compiler of another version than the usual one, with its cargo.
pub(crate) struct Compiler {
    pub(crate) rustc: PathBuf,
    pub(crate) cargo: PathBuf,
    /// What it answers to `--version`, in one line.
    pub(crate) version: String,
}

/// A compiler in `PATH` that is not of the version of the first one there, or as [`all`].
///
/// # Panics
/// In CI, where there is no other.
pub(crate) fn other_compiler() -> Option<Compiler> {
    let path = std::env::var_os("PATH")?;
    let mut compilers = std::env::split_paths(&path).filter_map(|folder| {
        let (rustc, cargo) = (folder.join("rustc"), folder.join("cargo"));
        let output = Command::new(&rustc).arg("--version").output().ok()?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && cargo.is_file()).then_some(Compiler { rustc, cargo, version })
    });
    let usual = compilers.next()?;
    let other = compilers.find(|compiler| compiler.version != usual.version);
    or_skipped(["another rustc"], [other]).map(|[other]| other)
}

fn or_skipped<const N: usize, T>(names: [&str; N], found: [Option<T>; N]) -> Option<[T; N]> {
    if let Some(missing) = names.iter().zip(&found).find_map(|(name, file)| file.is_none().then_some(name)) {
        skip(&format!("{missing} is not installed; .ci/install-programs installs it"));
        return None;
    }
    Some(found.map(|file| file.expect("all are there")))
}

/// Takes note that a test is skipped.
///
/// # Panics
/// In CI, where none is.
#[track_caller]
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // A test whose standard error is closed is skipped all the same.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}
