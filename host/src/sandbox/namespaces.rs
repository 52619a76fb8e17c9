//! Kernel namespaces.

use std::fs;
use std::io;

use rustix::process::{getegid, geteuid};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kernel namespace of which a process can have a separate one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// System V and POSIX message queues, semaphores and shared memory.
    Ipc,
    /// Network interfaces, addresses and ports, and abstract UNIX sockets. A separate one has no connection to anything.
    Network,
}

impl Namespace {
    /// The name in `apps.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipc => "ipc",
            Self::Network => "network",
        }
    }

    fn flag(self) -> UnshareFlags {
        match self {
            Self::Ipc => UnshareFlags::NEWIPC,
            Self::Network => UnshareFlags::NEWNET,
        }
    }
}

/// Gives this process separate namespaces; for a process that is not root, within a user namespace with the same user.
///
/// # Errors
/// The system's error: a container or a setting of the system may forbid it.
pub(super) fn enter(namespaces: &[Namespace]) -> io::Result<()> {
    let mut flags = UnshareFlags::empty();
    for namespace in namespaces {
        flags |= namespace.flag();
    }
    let (uid, gid) = (geteuid(), getegid());
    let is_root = uid.is_root();
    if !is_root {
        flags |= UnshareFlags::NEWUSER;
    }
    // SAFETY: the flags do not have `CLONE_FILES`, the one for which the caller has to take care of descriptors.
    unsafe { unshare_unsafe(flags) }?;
    if !is_root {
        let (uid, gid) = (uid.as_raw(), gid.as_raw());
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    }
    Ok(())
}
