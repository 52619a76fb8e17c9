//! A name that only one process of a machine has, and that is no file.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{SocketAddr, UnixListener};

use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

/// A name in Linux's abstract namespace of sockets, which ends with the process. Nothing is ever sent over it.
#[derive(Debug)]
pub(super) struct Name(#[expect(dead_code, reason = "it is held")] UnixListener);

impl Name {
    /// Takes the name. `None`: it cannot be told whether another host has it. The namespace is that of the network, and
    /// it is open to all: another user may have taken the name, which must not keep a host from starting.
    ///
    /// # Errors
    /// A process of this user has it: its number.
    pub(super) fn take(address: &SocketAddr) -> Result<Option<Self>, String> {
        match UnixListener::bind_addr(address) {
            Ok(listener) => Ok(Some(Self(listener))),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => match owner(address) {
                Ok((process, true)) => Err(process),
                other => {
                    log::debug!("the name {address:?} is in use: {other:?}");
                    Ok(None)
                }
            },
            Err(error) => {
                log::debug!("the name {address:?} cannot be taken: {error}");
                Ok(None)
            }
        }
    }
}

/// The process that has the name, and whether it is of this user.
fn owner(address: &SocketAddr) -> io::Result<(String, bool)> {
    let socket = unconnected()?;
    let name = address_of(address)?;
    connect(&socket, &name)?;
    let peer = socket_peercred(&socket)?;
    Ok((peer.pid.as_raw_nonzero().to_string(), peer.uid == rustix::process::geteuid()))
}

fn address_of(address: &SocketAddr) -> io::Result<rustix::net::SocketAddrUnix> {
    use std::os::linux::net::SocketAddrExt;
    let name = address.as_abstract_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::net::SocketAddrUnix::new_abstract_name(name)?)
}

/// A socket that waits for nobody, as whoever listens may not accept.
fn unconnected() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}
