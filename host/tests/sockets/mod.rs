//! The sockets of the machine, as the system lists them.

use std::net::SocketAddr;

use super::support::Host;

/// Whether a host has a connection with the client at this address.
pub(crate) fn has_connection(host: &Host, client: SocketAddr) -> bool {
    let is_listed = || {
        // A socket that its process has closed has no inode, and stays in the list for a while.
        let mut sockets = procfs::net::tcp().expect("the list can be read").into_iter();
        sockets.any(|it| it.remote_address == client && it.local_address == host.address() && it.inode != 0)
    };
    // The list changes while it is read, so that it may leave one out.
    (0..3).any(|_| is_listed())
}
