//! The signals that a host acts on.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use crate::watch::Watcher;

/// Waits for a signal that stops the process and returns its name. From this call on, these signals do not end it by
/// themselves.
///
/// # Errors
/// The signals cannot be used.
pub fn stop_signal() -> io::Result<impl Future<Output = &'static str>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    })
}

/// Reads all files that are watched again at each SIGHUP, which does not end the process from then on.
///
/// # Errors
/// The signal cannot be used.
pub fn reread_at_hangup(watcher: Watcher) -> io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            log::info!("SIGHUP: rereading apps.json, certificates and libraries");
            watcher.reread();
        }
    })
}
