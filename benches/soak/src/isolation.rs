//! Where the apps of a run are.

use std::fmt;

use serde::Serialize;

use crate::support::Host;
use crate::table::Table;

/// Where the apps of a run are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Isolation {
    /// On threads of the host.
    #[default]
    Thread,
    /// Each in a separate, sandboxed process.
    Process,
}

/// The argument of runs that can have their apps in processes.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct IsolationArgs {
    /// Where the apps run.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) isolation: Isolation,
}

/// How many processes of a host wait for an app, for each kind of sandbox.
const BLANKS: usize = 2;

impl Isolation {
    /// Checks that a host has no processes besides those of so many apps, which have so many kinds of sandboxes, and those that wait
    /// for one.
    pub(crate) fn check_processes(self, table: &mut Table, host: &Host, apps: usize, kinds: usize) {
        let processes = host.app_processes().len();
        let limit = match self {
            Self::Thread => 0,
            Self::Process => apps + kinds * BLANKS,
        };
        table.check("app processes", processes, format!("at most {limit}"), processes <= limit);
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thread => "on threads",
            Self::Process => "in processes",
        })
    }
}
