//! The signals that a host acts on.

use std::io;
use std::task::{Context, Poll};

use futures_util::{Stream, stream};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::watch::Watcher;

/// The signals that stop the process, by name. From this call on, they do not end it by themselves.
///
/// # Errors
/// The signals cannot be used.
pub fn stop_signals() -> io::Result<impl Stream<Item = &'static str>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(stream::poll_fn(move |context| {
        let received = |signal: &mut Signal, context: &mut Context<'_>| signal.poll_recv(context).is_ready();
        if received(&mut interrupt, context) {
            Poll::Ready(Some("SIGINT"))
        } else if received(&mut terminate, context) {
            Poll::Ready(Some("SIGTERM"))
        } else {
            Poll::Pending
        }
    }))
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
