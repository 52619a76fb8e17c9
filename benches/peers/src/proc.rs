//! What the kernel tells of a server's processes.

use std::collections::HashSet;
use std::time::Duration;

use procfs::net::TcpState;
use procfs::process::{FDTarget, Process, Stat, all_processes};
use procfs::{ProcResult, page_size, ticks_per_second};

/// A process and all that descend from it.
pub(crate) struct Tree(Vec<(Process, Stat)>);

impl Tree {
    pub(crate) fn of(root: u32) -> ProcResult<Self> {
        // Processes end while they are looked at.
        let all: Vec<_> = all_processes()?
            .filter_map(|process| process.and_then(|process| process.stat().map(|stat| (process, stat))).ok())
            .collect();
        let mut members = HashSet::from([root.cast_signed()]);
        // A parent may have a higher number than its child.
        while all.iter().any(|(_, stat)| members.contains(&stat.ppid) && members.insert(stat.pid)) {}
        Ok(Self(all.into_iter().filter(|(_, stat)| members.contains(&stat.pid)).collect()))
    }

    /// How long its threads have run, in their own code and in the kernel.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks: u64 = self.0.iter().map(|(_, stat)| stat.utime + stat.stime).sum();
        Duration::from_secs_f64(ticks as f64 / ticks_per_second() as f64)
    }

    /// The memory that it has in RAM, in bytes; what its processes share counts in each.
    pub(crate) fn resident(&self) -> u64 {
        self.0.iter().map(|(_, stat)| stat.rss * page_size()).sum()
    }

    /// Whether whatever listens at this port on loopback is of these processes, and something does.
    pub(crate) fn listens(&self, port: u16) -> ProcResult<bool> {
        let listeners: Vec<u64> = procfs::net::tcp()?
            .into_iter()
            .filter(|entry| entry.state == TcpState::Listen && entry.local_address.port() == port)
            .map(|entry| entry.inode)
            .collect();
        let sockets: HashSet<u64> = self
            .0
            .iter()
            .filter_map(|(process, _)| process.fd().ok())
            .flatten()
            .filter_map(|file| match file.ok()?.target {
                FDTarget::Socket(inode) => Some(inode),
                _ => None,
            })
            .collect();
        Ok(!listeners.is_empty() && listeners.iter().all(|inode| sockets.contains(inode)))
    }
}
