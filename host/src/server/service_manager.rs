//! Sockets from a service manager such as systemd, and notifications to it; see
//! [its protocol](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html).

use std::fmt;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use super::address::ListenAddress;
use super::listeners::{Listener, ListeningSocket};

/// Why what a service manager passes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// It is no socket that listens.
    #[error("the socket {0} is no TCP or Unix socket that listens: use ListenStream= in the .socket unit")]
    Unusable(PassedName),
    /// Its clients would wait for ever.
    #[error(
        "no --listen uses the socket {0}: add --listen fd:NAME with the FileDescriptorName= of its .socket unit, or remove \
         it from there"
    )]
    Unused(PassedName),
}

/// A passed socket in an error: its name, and its number from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedName {
    name: String,
    number: usize,
}

impl fmt::Display for PassedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (number {})", self.name, self.number)
    }
}

/// The sockets that the service manager listens on for this process, as far as nobody uses them yet.
#[derive(Debug, Default)]
pub struct PassedSockets(Vec<(PassedName, Listener)>);

impl PassedSockets {
    /// Takes them from the environment.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn from_env() -> Result<Self, SocketError> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<&str> = names.split(':').collect();
        let mut sockets = ListenFd::from_env();
        let count = sockets.len();
        let take = |index: usize| {
            let name = names.get(index).copied().unwrap_or_default().to_owned();
            let name = PassedName { name, number: index + 1 };
            let socket = match sockets.take_tcp_listener(index) {
                Ok(Some(tcp)) => Some(ListeningSocket::Tcp(tcp)),
                // What is no TCP socket is still there.
                _ => sockets.take_unix_listener(index).ok().flatten().map(ListeningSocket::Unix),
            };
            let address = ListenAddress::Passed(name.name.clone());
            let listener = socket.map(|socket| Listener::of(socket).at(address));
            listener.map(|listener| (name.clone(), listener)).ok_or(SocketError::Unusable(name))
        };
        (0..count).map(take).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes those for an address: of its name, or those that listen there.
    pub fn take(&mut self, address: &ListenAddress) -> Vec<Listener> {
        let is_it = |name: &PassedName, socket: &Listener| match address {
            ListenAddress::Passed(wanted) => name.name == *wanted,
            address => socket.listens_on(address),
        };
        self.0.extract_if(.., |(name, socket)| is_it(name, socket)).map(|(_, socket)| socket).collect()
    }

    /// Takes all of them.
    pub fn take_all(&mut self) -> Vec<Listener> {
        self.0.drain(..).map(|(_, socket)| socket).collect()
    }

    /// Whether all of them were taken.
    ///
    /// # Errors
    /// [`SocketError::Unused`] with the first one that was not.
    pub fn are_used(&self) -> Result<(), SocketError> {
        self.0.first().map_or(Ok(()), |(name, _)| Err(SocketError::Unused(name.clone())))
    }
}

/// Notifies the service manager that the process is ready.
pub(crate) fn ready() {
    tell(NotifyState::Ready);
}

/// Notifies the service manager that another process of the service is the main one now.
pub(crate) fn taken_over_by(process: u32) {
    tell(NotifyState::MainPid(process));
}

/// Notifies the service manager that the process is stopping.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Without a service manager there is nobody to tell.
fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        log::warn!("cannot notify the service manager: {error}");
    }
}
