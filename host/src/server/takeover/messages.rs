//! What the two hosts of a takeover send each other, as [`process::control`](crate::process::control) encodes it.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::fs::unix_socket::SocketFile;
use crate::server::listeners::{Listener, ListeningSocket};

/// The version of these messages. [`Hello`] and [`Answer::Refused`] are the same in all versions.
pub(super) const PROTOCOL: u32 = 1;

/// The first message of the new host.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// Its [`PROTOCOL`].
    pub(super) protocol: u32,
    /// Its version, for people.
    pub(super) version: String,
}

/// The running host's answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// It cannot be replaced now; why.
    Refused { reason: String },
    /// It can. Each of these comes with a descriptor, in this order.
    Accepted {
        /// The apps that serve.
        serving: Vec<String>,
        handed: Vec<Handed>,
    },
}

/// The new host accepts connections, and its apps are ready.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Serving {
    /// The numbers of the descriptors that it uses. What it does not use is closed.
    pub(super) kept: Vec<usize>,
}

/// The running host has given up what only one host can have.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Released;

/// What a descriptor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// The lock of the registry file.
    Lock,
    /// The name that is taken together with the lock.
    Name,
    /// The socket that commands connect to.
    Control,
    /// The socket that the next host connects to.
    Takeover,
    /// The admin listener in TCP.
    Admin,
    /// A listener for requests.
    Serve,
    /// A listener whose requests are redirected to HTTPS.
    Redirect,
}

/// A descriptor that is handed over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Handed {
    pub(super) role: Role,
    /// Where it listens, as the operator has written it.
    pub(super) address: Option<String>,
    /// Whether a host has opened it, and no service manager.
    pub(super) is_own: bool,
    /// The file of a Unix socket that a host has made.
    pub(super) file: Option<HandedFile>,
}

/// The file of a Unix socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct HandedFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Handed {
    /// One that is no listener for clients.
    pub(super) fn own(role: Role, file: Option<&SocketFile>) -> Self {
        Self { role, address: None, is_own: true, file: file.map(HandedFile::of) }
    }

    /// A listener for clients, and another descriptor of it.
    pub(crate) fn listener(role: Role, listener: &Listener) -> std::io::Result<(Self, OwnedFd)> {
        let handed = Self {
            role,
            address: listener.address.as_ref().map(ToString::to_string),
            is_own: listener.door.is_some() || listener.file.is_some(),
            file: listener.file.as_ref().map(HandedFile::of),
        };
        Ok((handed, listener.socket.duplicate()?))
    }

    /// The listener; `None`: its file is gone, so that no client finds it.
    pub(super) fn into_listener(self, socket: OwnedFd, number: usize) -> std::io::Result<Option<Listener>> {
        let listener =
            if rustix::net::getsockname(&socket)?.address_family() == rustix::net::AddressFamily::UNIX {
                let mut listener = Listener::of(ListeningSocket::Unix(socket.into()));
                if let Some(file) = self.file {
                    let Some(file) = file.adopt() else { return Ok(None) };
                    listener.file = Some(file);
                }
                listener
            } else if self.is_own {
                Listener::own_tcp(socket.into())?
            } else {
                Listener::of(ListeningSocket::Tcp(socket.into()))
            };
        let address = self.address.and_then(|address| address.parse().ok());
        Ok(Some(Listener { address, inherited: Some(number), ..listener }))
    }
}

impl HandedFile {
    fn of(file: &SocketFile) -> Self {
        let (device, inode) = file.id();
        Self { path: file.path().to_owned(), device, inode }
    }

    /// The file, if it is still there.
    pub(super) fn adopt(self) -> Option<SocketFile> {
        SocketFile::adopt(self.path, (self.device, self.inode))
    }
}
