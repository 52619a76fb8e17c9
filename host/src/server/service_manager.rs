//! Sockets from a service manager such as systemd, and notifications to it; see
//! [its protocol](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html).

use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// Why what a service manager hands over cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The clients of the others would wait for ever.
    #[error(
        "the service manager passed {0} sockets, but the host uses one: keep one ListenStream= in the .socket unit"
    )]
    Several(usize),
    /// It is no TCP socket that listens.
    #[error(transparent)]
    Unusable(#[from] io::Error),
}

/// The socket that the service manager listens on for this process, if it does.
///
/// # Errors
/// See [`SocketError`].
pub fn socket() -> Result<Option<TcpListener>, SocketError> {
    let mut sockets = ListenFd::from_env();
    match sockets.len() {
        0 | 1 => Ok(sockets.take_tcp_listener(0)?),
        several => Err(SocketError::Several(several)),
    }
}

/// Notifies the service manager that the process is ready.
pub fn ready() {
    tell(NotifyState::Ready);
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
