//! What is built by cargo, and from which versions.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow, ensure};
use serde::Deserialize;
use serde_json::Value;

/// Builds parts of a workspace as a user does; the files that came out, by name.
pub(super) fn build(
    manifest: &Path,
    what: &[&str],
    offline: bool,
) -> anyhow::Result<HashMap<String, PathBuf>> {
    let mut command = cargo();
    command.args(["build", "--release", "--locked", "--message-format=json-render-diagnostics"]).args(what);
    command.arg("--manifest-path").arg(manifest).stderr(Stdio::inherit());
    if offline {
        command.arg("--offline");
    }
    let output = command.output().context("cargo cannot be run")?;
    ensure!(output.status.success(), "cargo build {} failed; it says why above", what.join(" "));
    let files = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| Some(PathBuf::from(file.as_str()?)))
        .filter_map(|file| Some((file.file_name()?.to_str()?.to_owned(), file)));
    Ok(files.collect())
}

/// A call of cargo, as from a shell: the variables by which cargo tells this program which package it is are not passed
/// on, for build scripts that look at them would be run anew.
fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    let of_package = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        name.starts_with(b"CARGO_PKG_") || name.starts_with(b"CARGO_MANIFEST_")
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| of_package(name)) {
        command.env_remove(name);
    }
    command
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// The version of a crate that this package of the workspace uses.
pub(super) fn locked(user: &str, name: &str) -> anyhow::Result<String> {
    let lock: Lock = toml::from_str(include_str!("../../Cargo.lock"))?;
    let first = |name: &str| lock.package.iter().find(|package| package.name == name);
    let user = first(user).with_context(|| format!("the lock file lacks {user}"))?;
    // The version is said there if the crate is locked in several.
    let version = user.dependencies.iter().find_map(|line| match line.split_once(' ') {
        None if line == name => first(name).map(|package| package.version.clone()),
        Some((other, version)) if other == name => Some(version.to_owned()),
        _ => None,
    });
    version.ok_or_else(|| anyhow!("the lock file lacks {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_version_is_taken_of_a_crate_that_is_there_twice() {
        assert!(locked("peer-wasm", "wasmtime").unwrap().starts_with("48."));
        assert!(locked("peer-servers", "actix-web").unwrap().starts_with("4."));
        assert!(locked("peer-servers", "no-such-crate").is_err());
    }
}
