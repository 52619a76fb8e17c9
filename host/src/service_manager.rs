//! What a service manager such as systemd hands over, and is told; see
//! [its protocol](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html).

use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// The socket that the service manager listens on for this process, if it does.
///
/// # Errors
/// What was handed over is no TCP socket that listens.
pub fn socket() -> io::Result<Option<TcpListener>> {
    ListenFd::from_env().take_tcp_listener(0)
}

/// Says that the process serves.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// Says that the process ends.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Without a service manager there is nobody to tell.
fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        log::warn!("the service manager cannot be told: {error}");
    }
}
