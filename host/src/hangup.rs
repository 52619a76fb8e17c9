//! SIGHUP: everything that was read from files is to be read again.

use std::future::pending;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears of the signal, which does not end the process from then on.
#[derive(Debug)]
pub(crate) struct Hangup(Option<Signal>);

impl Hangup {
    /// Begins to listen.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn listen() -> Self {
        let signal = signal(SignalKind::hangup());
        Self(signal.inspect_err(|error| log::warn!("SIGHUP will not be heard: {error}")).ok())
    }

    /// Waits for the next one.
    ///
    /// Cancel safe: dropping the future loses nothing.
    pub(crate) async fn received(&mut self) {
        match &mut self.0 {
            Some(signal) if signal.recv().await.is_some() => {}
            _ => pending().await,
        }
    }
}
