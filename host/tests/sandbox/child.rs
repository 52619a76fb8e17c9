//! The process that is sandboxed: this test program, started again with a deed to do.
//!
//! It does it before `main`, since the test harness starts threads, which a process that is to be sandboxed must not have.

use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use atoll_host::internal::sandbox::{InForce, Policy};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::deeds;

const ORDER: &str = "ATOLL_TEST_ORDER";

/// What a child does.
#[derive(Serialize, Deserialize)]
struct Order {
    deed: String,
    argument: Value,
    policy: Option<Policy>,
    preparation: Preparation,
}

/// What of the sandbox is made ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Preparation {
    /// Nothing, as in a process that opens a library first.
    Nothing,
    /// What the policy has in common with others, as in a process that waits for its app.
    Own,
    /// What policies of another kind have in common.
    Other,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
struct Report {
    in_force: Option<InForce>,
    refused: Option<String>,
    outcome: Result<Value, Failure>,
}

/// An error of the system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) number: Option<i32>,
    pub(crate) text: String,
}

/// What came of a child.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) status: ExitStatus,
    pub(crate) in_force: Option<InForce>,
    /// Why the policy was not enforced.
    pub(crate) refused: Option<String>,
    /// `None` if it has ended in the middle of it.
    pub(crate) outcome: Option<Result<Value, Failure>>,
    pub(crate) stderr: String,
}

impl Child {
    /// Has a child do this under the policy, or without a sandbox.
    pub(crate) fn run(deed: &str, argument: &Value, policy: Option<&Policy>) -> Self {
        Self::run_with(deed, argument, policy, |_| {})
    }

    pub(crate) fn run_with(
        deed: &str,
        argument: &Value,
        policy: Option<&Policy>,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        Self::run_prepared(deed, argument, policy, Preparation::Nothing, change)
    }

    pub(crate) fn run_prepared(
        deed: &str,
        argument: &Value,
        policy: Option<&Policy>,
        preparation: Preparation,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = Command::new("/proc/self/exe");
        if let Some(policy) = policy {
            policy.prepare(&mut command);
        }
        let (deed, argument, policy) = (deed.to_owned(), argument.clone(), policy.cloned());
        let order = Order { deed, argument, policy, preparation };
        let order = serde_json::to_string(&order).expect("it is JSON");
        command.env(ORDER, order).stdin(Stdio::null());
        change(&mut command);
        let output = command.output().expect("this program starts again");
        let report: Option<Report> = serde_json::from_slice(&output.stdout).ok();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        match report {
            None => Self { status: output.status, in_force: None, refused: None, outcome: None, stderr },
            Some(Report { in_force, refused, outcome }) => {
                Self { status: output.status, in_force, refused, outcome: Some(outcome), stderr }
            }
        }
    }

    /// What it returned.
    #[track_caller]
    pub(crate) fn value(&self) -> &Value {
        match &self.outcome {
            Some(Ok(value)) => value,
            _ => panic!("{:?} {:?}: {:?}, {}", self.status, self.refused, self.outcome, self.stderr),
        }
    }

    /// The signal that ended it.
    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
}

/// Runs before `main` of each start of this program.
// SAFETY: what is in this section is a function that takes no arguments.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let Some(order) = std::env::var_os(ORDER) else { return };
    let order = order.into_string().expect("it is UTF-8");
    let order: Order = serde_json::from_str(&order).expect("it is an order");
    let enforce = |policy: Policy| {
        match order.preparation {
            Preparation::Nothing => {}
            Preparation::Own => policy.prepare_enforcement(),
            Preparation::Other => Policy { exec: !policy.exec, ..policy.clone() }.prepare_enforcement(),
        }
        policy.enforce()
    };
    let enforced = order.policy.map(enforce).transpose();
    let report = match enforced {
        Err(error) => {
            let refused = Failure { number: None, text: error.to_string() };
            Report { in_force: None, refused: Some(error.to_string()), outcome: Err(refused) }
        }
        Ok(in_force) => {
            let outcome = deeds::perform(&order.deed, &order.argument);
            let outcome =
                outcome.map_err(|error| Failure { number: error.raw_os_error(), text: error.to_string() });
            Report { in_force, refused: None, outcome }
        }
    };
    let text = serde_json::to_string(&report).expect("it is JSON");
    io::stdout().write_all(text.as_bytes()).expect("the parent reads it");
    std::process::exit(0);
}
