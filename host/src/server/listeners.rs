//! The sockets that a server listens on: all of them, in one place.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockFilter, SockRef, Socket, Type};

use super::address::ListenAddress;
use crate::fs::unix_socket::SocketFile;

/// How many connections wait at most until they are accepted. The standard library's 128 are not enough for many clients
/// at once: those beyond are heard only when they try again, a second later. The system's `net.core.somaxconn` may be
/// less.
const BACKLOG: i32 = 4096;

/// A socket that is listened on.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: ListeningSocket,
    /// What shuts it: a TCP socket that a host has opened.
    pub(super) door: Option<Door>,
    /// The file of a Unix socket that a host has made.
    pub(super) file: Option<SocketFile>,
    /// The address that it is for, as the operator has written it.
    pub(super) address: Option<ListenAddress>,
    /// Its number among those of the host that this one replaces.
    pub(super) inherited: Option<usize>,
}

/// The socket of a [`Listener`].
#[derive(Debug)]
pub(super) enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl ListeningSocket {
    /// Another descriptor of it.
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
            Self::Unix(listener) => listener.as_fd().try_clone_to_owned(),
        }
    }
}

impl Listener {
    /// One that another program has opened, such as a service manager.
    pub(super) fn of(socket: ListeningSocket) -> Self {
        Self { socket, door: None, file: None, address: None, inherited: None }
    }

    /// Notes the address that it is for.
    #[must_use]
    pub fn at(self, address: ListenAddress) -> Self {
        Self { address: Some(address), ..self }
    }

    /// Listens on one address.
    ///
    /// # Errors
    /// The address is taken, or not this machine's.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), None)?;
        socket.set_reuse_address(true)?;
        if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            // It stands for all interfaces, also those of IPv4.
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Self::own_tcp(socket.into())
    }

    /// A TCP socket that a host has opened, this one or the one before it.
    pub(super) fn own_tcp(listener: TcpListener) -> io::Result<Self> {
        let door = Door(Socket::from(listener.try_clone()?));
        Ok(Self { door: Some(door), ..Self::of(ListeningSocket::Tcp(listener)) })
    }

    /// Listens on the first of these addresses, and on the others with its port. Those that the machine does not have are
    /// left out, as long as there is one that it has: a name may stand for addresses of both IPv4 and IPv6.
    ///
    /// # Errors
    /// As for [`tcp`](Self::tcp).
    pub fn all_tcp(addresses: &[SocketAddr]) -> io::Result<Vec<Self>> {
        let (mut listeners, mut missing) = (Vec::new(), None);
        let mut port = None;
        for address in addresses {
            let address = SocketAddr::new(address.ip(), port.unwrap_or(address.port()));
            match Self::tcp(address) {
                Ok(listener) => {
                    port = listener.address().map(|address| address.port());
                    listeners.push(listener);
                }
                Err(error) if is_missing(&error) => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        match missing {
            Some(error) if listeners.is_empty() => Err(error),
            _ => Ok(listeners),
        }
    }

    /// Listens on a Unix socket with these permissions. The file of a socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// The file cannot be made, is no socket, or another process listens there.
    pub fn unix(path: PathBuf, mode: u32) -> io::Result<Self> {
        let (listener, file) = SocketFile::bind(path, mode)?;
        SockRef::from(&listener).listen(BACKLOG)?;
        Ok(Self { file: Some(file), ..Self::of(ListeningSocket::Unix(listener)) })
    }

    /// Where it listens, in TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            ListeningSocket::Tcp(listener) => listener.local_addr().ok(),
            ListeningSocket::Unix(_) => None,
        }
    }

    /// The file of its Unix socket.
    fn path(&self) -> Option<PathBuf> {
        match (&self.socket, &self.file) {
            (ListeningSocket::Tcp(_), _) => None,
            // It was made under another name.
            (ListeningSocket::Unix(_), Some(file)) => Some(file.path().to_owned()),
            (ListeningSocket::Unix(listener), None) => {
                listener.local_addr().ok()?.as_pathname().map(Path::to_owned)
            }
        }
    }

    /// Whether it is at this address.
    pub(crate) fn listens_on(&self, address: &ListenAddress) -> bool {
        match address {
            ListenAddress::Tcp { .. } => {
                self.address().is_some_and(|own| address.resolve().is_ok_and(|all| all.contains(&own)))
            }
            ListenAddress::Unix { path, .. } => self.path().is_some_and(|own| own == *path),
            ListenAddress::Passed(_) => false,
        }
    }

    /// Where it listens, for people.
    pub(crate) fn shown(&self) -> String {
        match self.address() {
            Some(address) => address.to_string(),
            None => format!("unix:{}", self.path().unwrap_or_default().display()),
        }
    }
}

/// What shuts a TCP socket before it is closed.
///
/// Closing it resets the connections that have come and were not accepted yet, and their requests are lost. So it is shut
/// first: the system ignores clients that begin to connect. They try again a second later, and are refused then, so that a
/// load balancer asks another host.
#[derive(Debug)]
pub struct Door(Socket);

impl Door {
    /// Has the system ignore new clients.
    pub(super) fn shut(&self) {
        /// Where a TCP header has its flags, and those of the packet that begins a connection.
        const FLAGS: u32 = 13;
        const SYN: u32 = 0x02;
        const ACK: u32 = 0x10;
        let op = |code: u32, yes: u8, no: u8, value: u32| SockFilter::new(code as u16, yes, no, value);
        let filter = [
            op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FLAGS),
            op(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, SYN | ACK),
            op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, SYN),
            op(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
            op(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        ];
        if let Err(error) = self.0.attach_filter(&filter) {
            log::debug!("connections that come at the very end may be lost: {error}");
        }
    }
}

/// Whether the machine does not have the address, or its protocol.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

impl ListenAddress {
    /// The addresses that it stands for; none for a Unix socket.
    ///
    /// # Errors
    /// The name is not known.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Tcp { host: None, port } => Ok(vec![SocketAddr::new(all_interfaces(), *port)]),
            Self::Tcp { host: Some(host), port } => {
                let mut addresses: Vec<_> = (host.as_str(), *port).to_socket_addrs()?.collect();
                addresses.sort_by_key(SocketAddr::is_ipv6);
                addresses.dedup();
                Ok(addresses)
            }
            Self::Unix { .. } | Self::Passed(_) => Ok(Vec::new()),
        }
    }
}

/// The address for all interfaces: that of IPv6, which has those of IPv4 as well, where the machine has it.
fn all_interfaces() -> IpAddr {
    match Socket::new(Domain::IPV6, Type::STREAM.cloexec(), None) {
        Ok(_) => Ipv6Addr::UNSPECIFIED.into(),
        Err(_) => Ipv4Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;

    #[test]
    fn many_clients_may_come_at_once() {
        // Nobody accepts them, as in a moment when the server has too much to do.
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address().unwrap();
        let system: usize =
            std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
        let clients: Vec<_> = (0..system.min(500))
            .map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(900)).unwrap())
            .collect();
        assert!(!clients.is_empty());
    }

    #[test]
    fn a_socket_that_is_shut_keeps_those_that_have_come() {
        let opened = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let Listener { socket: ListeningSocket::Tcp(listener), door: Some(door), .. } = opened else {
            panic!("this process has opened it");
        };
        let address = listener.local_addr().unwrap();
        let mut early = TcpStream::connect(address).unwrap();
        early.write_all(b"early").unwrap();
        door.shut();
        let late = TcpStream::connect_timeout(&address, Duration::from_millis(200)).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        let (mut accepted, _) = listener.accept().unwrap();
        drop((listener, door));
        let mut text = [0; 5];
        accepted.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"early");
        assert!(TcpStream::connect(address).is_err());
    }

    #[test]
    fn all_addresses_of_a_name_have_the_same_port() {
        // The second one is no address of any machine.
        let addresses = ["127.0.0.1:0", "192.0.2.1:0", "127.0.0.2:0"].map(|address| address.parse().unwrap());
        let listeners = Listener::all_tcp(&addresses).unwrap();
        let bound: Vec<_> = listeners.iter().map(|listener| listener.address().unwrap()).collect();
        assert_eq!(bound.len(), 2);
        assert!(bound[0].port() > 0 && bound[0].port() == bound[1].port(), "{bound:?}");
        let none = Listener::all_tcp(&addresses[1..2]).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[test]
    fn all_interfaces_are_those_of_both_protocols() {
        let address: ListenAddress = ":0".parse().unwrap();
        let listeners = Listener::all_tcp(&address.resolve().unwrap()).unwrap();
        let port = listeners[0].address().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
}
