//! The cargo to call, and the environment to call it in.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

/// The cargo that runs this program, if one does; else the one in `PATH`.
pub(super) fn program() -> PathBuf {
    std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")).into()
}

/// A call of cargo, as from a shell.
///
/// Cargo tells what it runs (`cargo run`, `cargo test`) which package that is, by variables. Some build scripts have cargo
/// look at the same variables: a call that passed them on would build such a crate anew, and so would the next one from a
/// shell.
pub fn cargo() -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_a_package(name)) {
        command.env_remove(name);
    }
    command
}

fn is_of_a_package(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b"CARGO_PKG_") || name.starts_with(b"CARGO_MANIFEST_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_says_of_this_test_is_not_passed_on() {
        assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
        let command = cargo();
        let removed: Vec<_> = command.get_envs().filter(|(_, value)| value.is_none()).collect();
        assert!(removed.iter().any(|(name, _)| *name == "CARGO_PKG_NAME"), "{removed:?}");
        assert!(removed.iter().any(|(name, _)| *name == "CARGO_MANIFEST_DIR"), "{removed:?}");
        assert!(removed.iter().all(|(name, _)| *name != "CARGO_HOME"), "{removed:?}");
    }
}
