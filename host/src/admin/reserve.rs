//! The control socket is reached also when the process has used up its file descriptors: a connection that waits there is
//! accepted with one of those that are kept for it.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::sleep;

use crate::fs::readiness;
use crate::fs::spare_files::SpareFiles;

/// How long a connection waits until it is looked whether the server can accept it.
const PAUSE: Duration = Duration::from_millis(50);

/// When it is tried again to get descriptors back that were given up.
const AGAIN: Duration = Duration::from_secs(1);

/// Keeps descriptors for those who connect to this listener, which is a duplicate of the server's.
pub(super) async fn keep(listener: OwnedFd) {
    // It is only asked whether somebody waits, which the type for a connection can do, and that for a listener cannot.
    let Ok(listener) = UnixStream::from_std(StdUnixStream::from(listener)) else { return };
    let mut spare = SpareFiles::default();
    loop {
        let is_full = spare.take(&listener);
        tokio::select! {
            ready = listener.readable() => {
                if ready.is_err() {
                    return;
                }
                // What has come until now is looked at below.
                let seen = || -> io::Result<()> { Err(ErrorKind::WouldBlock.into()) };
                let _ = listener.try_io(Interest::READABLE, seen);
            }
            () = sleep(AGAIN), if !is_full => continue,
        }
        loop {
            sleep(PAUSE).await;
            if readiness::now(listener.as_fd(), libc::POLLIN) & libc::POLLIN == 0 {
                break;
            }
            spare.give_up_if_needed(&listener);
        }
    }
}
