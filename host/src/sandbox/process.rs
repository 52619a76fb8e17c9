//! Limits of a process, and what else it has as a whole.

use std::io;

use procfs::process::Process;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use serde::{Deserialize, Serialize};

use super::error::SandboxError;
use super::in_force::Layer;

/// How many resources a process may use. `None`: as many as its parent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Private memory that can be written to, in bytes: heap, stacks, and the data of libraries. An allocation above it
    /// fails.
    pub memory: Option<u64>,
    /// Time of all CPUs, in seconds; then the kernel kills the process (SIGKILL).
    pub cpu_seconds: Option<u64>,
    /// Share of one processor's time, in percent: more than 100 for more than one. By a control group, which the parent makes.
    pub cpu_percent: Option<u64>,
    /// Threads and processes of the process's user together. Needs a separate user. By a control group, those of the process
    /// and of what it starts.
    pub threads: Option<u64>,
    /// Open file descriptors.
    pub open_files: Option<u64>,
}

/// The permissions that new files do not get: everything for other users than the process's.
const UMASK: Mode = Mode::RWXG.union(Mode::RWXO);

impl Limits {
    /// Puts them into force for this process, for good, as far as a process can limit itself, and forbids core dumps.
    ///
    /// Memory is `RLIMIT_DATA` and not `RLIMIT_AS`: allocators and stacks reserve far more addresses than they ever use.
    pub(super) fn enforce(&self) -> Result<(), SandboxError> {
        let limits = [
            (Resource::Core, Some(0), "setrlimit(RLIMIT_CORE)"),
            (Resource::Cpu, self.cpu_seconds, "setrlimit(RLIMIT_CPU)"),
            (Resource::Nproc, self.threads, "setrlimit(RLIMIT_NPROC)"),
            (Resource::Nofile, self.open_files, "setrlimit(RLIMIT_NOFILE)"),
            (Resource::Data, self.memory, "setrlimit(RLIMIT_DATA)"),
        ];
        for (resource, limit, action) in limits {
            if let Some(limit) = limit {
                lower(resource, limit).map_err(SandboxError::system(Layer::Limits, action))?;
            }
        }
        Ok(())
    }
}

/// A limit that is already lower stays.
fn lower(resource: Resource, limit: u64) -> io::Result<()> {
    let limit = getrlimit(resource).maximum.map_or(limit, |maximum| maximum.min(limit));
    Ok(setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?)
}

/// Makes new files of this process its user's only.
pub(super) fn set_umask() {
    umask(UMASK);
}

/// Fails if this process has more than one thread.
pub(super) fn has_one_thread() -> Result<(), SandboxError> {
    let stat = Process::myself().and_then(|process| process.stat());
    let stat = stat.map_err(|error| SandboxError::System {
        layer: Layer::SystemCalls,
        action: "reading /proc/self/stat",
        reason: io::Error::other(error),
    })?;
    match u64::try_from(stat.num_threads) {
        Ok(1) => Ok(()),
        threads => Err(SandboxError::Threads(threads.unwrap_or(0))),
    }
}
