//! The shared libraries of the fixture `beside`.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::workspace;

/// Compiles the library `libatoll_{name}.so` of this number from the fixture's sources.
pub fn compile(folder: &Path, name: &str, number: u8, options: &[&str]) {
    fs::create_dir_all(folder).unwrap();
    let source = workspace().join("host/tests/fixtures/beside/native").join(format!("{name}.c"));
    let library = folder.join(format!("libatoll_{name}.so"));
    // In one step, and never over a file that is mapped.
    let new = folder.join(format!(".{name}.new"));
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", &format!("-DNUMBER={number}"), "-o"]).arg(&new).arg(source);
    command.arg(format!("-L{}", folder.display())).args(options);
    assert!(command.status().unwrap().success(), "{command:?}");
    fs::rename(new, library).unwrap();
}
