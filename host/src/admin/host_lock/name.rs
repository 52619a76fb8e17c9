//! A name that only one process of a machine has, and that is no file.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{SocketAddr, UnixListener};

use crate::fs::unix_socket::listen_again;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

/// A name in Linux's abstract namespace of sockets, which ends with the process. Nothing is ever sent over it.
#[derive(Debug)]
pub(super) struct Name(UnixListener);

impl From<OwnedFd> for Name {
    /// A name that another process has taken.
    fn from(socket: OwnedFd) -> Self {
        Self(socket.into())
    }
}

impl Name {
    /// Another descriptor of its socket, for the process that is to have the name next.
    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }

    /// Makes this process the one that others find behind the name.
    pub(super) fn claim(&self) -> io::Result<()> {
        listen_again(&self.0)
    }

    /// Takes the name. `None`: cannot determine whether another host has it. The namespace is that of the network, and
    /// it is open to all: another user may have taken the name, which must not keep a host from starting.
    ///
    /// # Errors
    /// A process of this user has it: its number, if it has one here.
    pub(super) fn take(address: &SocketAddr) -> Result<Option<Self>, Option<String>> {
        match UnixListener::bind_addr(address) {
            Ok(listener) => Ok(Some(Self(listener))),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => match owner(address) {
                Ok((process, true)) => Err(process),
                other => {
                    log::debug!("the socket name {address:?} is in use: {other:?}");
                    Ok(None)
                }
            },
            Err(error) => {
                log::debug!("cannot bind the socket name {address:?}: {error}");
                Ok(None)
            }
        }
    }
}

/// The process that has the name, unless it is in another container, and whether it is of this user.
fn owner(address: &SocketAddr) -> io::Result<(Option<String>, bool)> {
    let socket = unconnected()?;
    connect(&socket, &address_of(address)?)?;
    let peer = peer(&socket)?;
    let process = Some(peer.pid).filter(|pid| *pid > 0).map(|pid| pid.to_string());
    Ok((process, peer.uid == rustix::process::geteuid().as_raw()))
}

/// Who is at the other end. Not by `rustix`, for which every process has a number.
fn peer(socket: &OwnedFd) -> io::Result<libc::ucred> {
    let mut peer = libc::ucred { pid: 0, uid: libc::uid_t::MAX, gid: libc::gid_t::MAX };
    let mut size = size_of_val(&peer) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the pointers are to a value of the type that this option has, and its size.
    let result = unsafe {
        let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
        libc::getsockopt(socket.as_raw_fd(), level, option, (&raw mut peer).cast(), &mut size)
    };
    if result == 0 { Ok(peer) } else { Err(io::Error::last_os_error()) }
}

fn address_of(address: &SocketAddr) -> io::Result<rustix::net::SocketAddrUnix> {
    use std::os::linux::net::SocketAddrExt;
    let name = address.as_abstract_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::net::SocketAddrUnix::new_abstract_name(name)?)
}

/// A non-blocking socket, because the listener may not accept.
fn unconnected() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}
