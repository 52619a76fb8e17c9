//! The versions of the compiler: an app may be built by another one than its host, and both by the oldest that is stated.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod installed;
mod support;

use std::path::Path;
use std::process::Command;

use atoll_host::internal::build::cargo;
use cargo_metadata::MetadataCommand;
use serde_json::json;
use support::{Host, Launch, SMALL, contains, fixtures_target, workspace};

/// Builds the library of `hello` in a target folder by another cargo, and its compiler.
fn build_hello(by: &Path, rustc: &Path, target: &Path) {
    let mut build = Command::new(by);
    for (name, value) in cargo().get_envs() {
        match value {
            Some(value) => build.env(name, value),
            None => build.env_remove(name),
        };
    }
    let output = build
        .args(["build", "--quiet", "--locked", "--package", "hello", "--lib", "--no-default-features"])
        .arg("--target-dir")
        .arg(target)
        .current_dir(workspace())
        .env("RUSTC", rustc)
        .envs(SMALL)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_host_runs_an_app_that_another_compiler_has_built() {
    let Some(other) = installed::other_compiler() else { return };
    let target = fixtures_target().with_file_name("other-compiler");
    build_hello(&other.cargo, &other.rustc, &target);
    let library = target.join("debug/libhello.so");

    let checked = Launch::command("check").arg(&library).run();
    assert_eq!(checked.status.code(), Some(0), "{}", checked.stdout);
    contains(&checked.stdout, &[&other.version]);

    let host = Host::start(json!([{ "name": "hello", "path": library }]), &[]);
    assert_eq!(host.get("/apps/hello/greet/tobe").json(), json!({ "name": "tobe" }));
    assert_eq!(host.stop().status.code(), Some(0));
}

/// Clippy's `incompatible_msrv` looks at the items of the standard library; this, at what else has to compile.
#[test]
fn no_dependency_needs_a_later_compiler_than_is_stated() {
    let mut command = MetadataCommand::new();
    command.manifest_path(workspace().join("Cargo.toml")).other_options(["--locked".to_owned()]);
    let metadata = command.exec().unwrap();
    let host = metadata.packages.iter().find(|package| package.name == "atoll-host").unwrap();
    let stated = host.rust_version.as_ref().unwrap();
    let later: Vec<_> = metadata
        .packages
        .iter()
        .filter_map(|package| Some((package, package.rust_version.as_ref()?)))
        .filter(|(_, needed)| *needed > stated)
        .map(|(package, needed)| format!("{} {} needs {needed}", package.name, package.version))
        .collect();
    assert!(later.is_empty(), "with rust-version {stated}: {later:?}");
}
