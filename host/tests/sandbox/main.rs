//! The sandbox: what a process cannot do in it, and what it can.
//!
//! Each test of an escape first shows that the deed works without a sandbox; one that this machine or user cannot do
//! anyhow is skipped with a message. So is a test whose sandbox this kernel cannot make; in CI it fails.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod child;
mod deeds;
mod system;

#[path = "../installed/mod.rs"]
mod installed;
#[path = "../support/mod.rs"]
mod support;

mod escapes;
mod limits;
mod work;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use atoll_host::internal::sandbox::{FileAccess, FileRule, Policy, Preset};
use serde_json::Value;

use self::child::{Child, Preparation};

const PRESETS: [Preset; 2] = [Preset::Standard, Preset::Strict];

/// How a deed fails that this machine or this user cannot do.
const UNSUPPORTED: [i32; 7] = [
    libc::EACCES,
    libc::EINVAL,
    libc::EIO,
    libc::ENOSYS,
    libc::EOPNOTSUPP,
    libc::EPERM,
    libc::EPROTONOSUPPORT,
];

/// Takes note of a sandbox that cannot be tried here; in CI it is an error.
#[track_caller]
fn skip(what: &str, because: &str) {
    installed::skip(&format!("{what} cannot be tried here: {because}"));
}

fn preset(preset: Preset) -> Policy {
    Policy { preset, ..Policy::default() }
}

fn rule(access: FileAccess, path: &Path) -> FileRule {
    FileRule::new(access, path).unwrap()
}

/// What a child does in its sandbox; `None` if this machine cannot make it.
#[track_caller]
fn sandboxed(deed: &str, argument: &Value, policy: &Policy) -> Option<Child> {
    sandboxed_with(Preparation::Nothing, deed, argument, policy)
}

/// As [`sandboxed`], with a part of the sandbox made ahead.
#[track_caller]
fn sandboxed_with(preparation: Preparation, deed: &str, argument: &Value, policy: &Policy) -> Option<Child> {
    let child = Child::run_prepared(deed, argument, Some(policy), preparation, |_| {});
    if let Some(refused) = child.refused.as_ref().filter(|refused| refused.contains("does without it")) {
        skip(deed, refused);
        return None;
    }
    Some(child)
}

/// Fails if a child in this sandbox does it, which one without a sandbox does. `argument` makes each child's.
#[track_caller]
fn denied_by(policy: &Policy, deed: &str, mut argument: impl FnMut() -> Value) {
    let free = Child::run(deed, &argument(), None);
    match &free.outcome {
        Some(Ok(_)) => {}
        Some(Err(error)) if error.number.is_some_and(|number| UNSUPPORTED.contains(&number)) => {
            return println!("{deed} is not tried: without a sandbox, it fails with {:?}", error.text);
        }
        // A program that replaces this one.
        None if free.status.success() => {}
        _ => panic!("{deed} without a sandbox: {free:#?}"),
    }
    for preparation in [Preparation::Nothing, Preparation::Own] {
        let Some(child) = sandboxed_with(preparation, deed, &argument(), policy) else { return };
        let Some(Err(failure)) = &child.outcome else {
            panic!("{deed} with {policy:?}, {preparation:?}: {child:#?}")
        };
        assert!(child.in_force.is_some(), "{child:#?}");
        assert!(
            [libc::EPERM, libc::EACCES, libc::ENOSYS].contains(&failure.number.unwrap_or(0)),
            "{deed} with {policy:?}, {preparation:?}: {failure:?}"
        );
    }
}

/// As [`denied_by`], for both presets.
#[track_caller]
fn denied(deed: &str, mut argument: impl FnMut() -> Value) {
    for each in PRESETS {
        denied_by(&preset(each), deed, &mut argument);
    }
}

/// Fails if a child in this sandbox cannot do it. What it returned.
#[track_caller]
fn allowed_by(policy: &Policy, deed: &str, argument: &Value) -> Option<Value> {
    // As in a host.
    let child = sandboxed_with(Preparation::Own, deed, argument, policy)?;
    Some(child.value().clone())
}

/// Another process, which is killed with this.
struct Sibling(std::process::Child);

impl Sibling {
    fn start() -> Self {
        let program = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn();
        Self(program.expect("there is a `sleep`"))
    }

    fn number(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Sibling {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A file in a folder that no sandbox allows.
fn secret(folder: &Path) -> PathBuf {
    let path = folder.join(format!("secret-{}", fastrand::u64(..)));
    std::fs::write(&path, "another app's data").unwrap();
    path
}
