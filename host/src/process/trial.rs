//! What of a sandbox this machine can enforce: a process tries it.

use std::env;
use std::io;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::library::preflight::child_argument;
use crate::sandbox::{InForce, Policy, Ports, Require};

/// The second argument of a process that tries the sandbox, behind the [first one](child_argument).
pub(crate) const SANDBOX: &str = "sandbox";

/// What the process writes to its standard output.
#[derive(Debug, Serialize, Deserialize)]
enum Outcome {
    InForce(InForce),
    Failed(String),
}

/// A policy that needs everything which depends on the machine and needs no privilege.
fn policy() -> Policy {
    Policy {
        require: Require::Available,
        connect: Ports::Listed(vec![443]),
        unix_sockets: true,
        ..Policy::default()
    }
}

/// Has a process of this program put a sandbox into force; what of it is.
///
/// # Errors
/// The sandbox cannot be enforced, the process cannot be started, or this program does not call `run_child_process`.
pub fn try_sandbox() -> io::Result<InForce> {
    let argument = child_argument().ok_or_else(|| io::Error::other("this program has no child processes"))?;
    let mut command = Command::new(env::current_exe()?);
    command.args([argument, SANDBOX]).stdin(Stdio::null()).stderr(Stdio::null());
    policy().prepare(&mut command);
    let output = command.output()?;
    match serde_json::from_slice(&output.stdout) {
        Ok(Outcome::InForce(in_force)) => Ok(in_force),
        Ok(Outcome::Failed(reason)) => Err(io::Error::other(reason)),
        Err(_) => Err(io::Error::other(format!("its process ended with {}", output.status))),
    }
}

/// Does the work of the process; returns the exit code.
pub(crate) fn run() -> i32 {
    let outcome = match policy().enforce() {
        Ok(in_force) => Outcome::InForce(in_force),
        Err(error) => Outcome::Failed(error.to_string()),
    };
    i32::from(serde_json::to_writer(io::stdout(), &outcome).is_err())
}
