//! The process that listens on a port, as far as this user may know.

use std::fmt;
use std::net::SocketAddr;

use procfs::net::{TcpState, tcp, tcp6};
use procfs::process::{FDTarget, Process, all_processes};

/// A process that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PortOwner {
    pub(super) pid: u32,
    pub(super) name: String,
}

impl fmt::Display for PortOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (process {})", self.name, self.pid)
    }
}

impl PortOwner {
    /// The first one that keeps others from listening on `address`; `None` where it is another user's, or there is none.
    pub(super) fn find(address: SocketAddr) -> Option<Self> {
        Self::all(address).next()
    }

    /// All that keep others from listening on `address`, as far as they are this user's: there are several while one host
    /// replaces another.
    pub(super) fn all(address: SocketAddr) -> impl Iterator<Item = Self> {
        let sockets = tcp().into_iter().flatten().chain(tcp6().into_iter().flatten());
        let listening = sockets
            .filter(|socket| socket.state == TcpState::Listen && collides(socket.local_address, address))
            .map(|socket| socket.inode);
        let inodes: Vec<u64> = listening.collect();
        let owners = all_processes().into_iter().flatten().flatten();
        owners.filter(move |process| has(process, &inodes)).filter_map(|process| {
            let name = process.stat().ok()?.comm;
            Some(Self { pid: u32::try_from(process.pid()).ok()?, name })
        })
    }
}

fn collides(taken: SocketAddr, wanted: SocketAddr) -> bool {
    let (one, other) = (taken.ip(), wanted.ip());
    taken.port() == wanted.port() && (one == other || one.is_unspecified() || other.is_unspecified())
}

fn has(process: &Process, inodes: &[u64]) -> bool {
    let Ok(descriptors) = process.fd() else { return false };
    let mut targets = descriptors.flatten().map(|descriptor| descriptor.target);
    targets.any(|target| matches!(target, FDTarget::Socket(inode) if inodes.contains(&inode)))
}
