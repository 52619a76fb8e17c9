//! What others ask of an app.

use std::fmt;
use std::time::Instant;

#[cfg(feature = "fleet")]
use serde_json::Value;
use tokio::sync::oneshot;

use crate::app::lifecycle::Number;
use crate::app::unavailable::Unavailable;
use crate::config::{AppConfig, Settings};

/// What others ask of an app, which its supervisor does.
#[derive(Debug)]
pub(crate) enum Command {
    /// A call found nothing that serves.
    Wanted(oneshot::Sender<Result<(), Unavailable>>),
    /// Someone asks for a generation that serves, also after it has failed.
    Start(oneshot::Sender<Result<(), Unavailable>>),
    /// What serves is to go, until the next call; answered when it has gone.
    Stop(oneshot::Sender<()>),
    /// What serves is to go, and calls are not to start another; answered when it has gone.
    Disable(oneshot::Sender<()>),
    /// Calls may start it again.
    Enable(oneshot::Sender<()>),
    /// The app is to stop, and calls are not to start it until it is taken up; answered when it has gone.
    #[cfg(feature = "fleet")]
    StandBy(oneshot::Sender<()>),
    /// The app may run, and starts with these states of its workers.
    #[cfg(feature = "fleet")]
    TakeUp(Vec<Value>, oneshot::Sender<Result<(), Unavailable>>),
    /// Someone asks for another generation, and for the number of the one that serves then.
    Reload(Reload, oneshot::Sender<Result<Number, String>>),
    /// Do nothing else until the other end of the receiver is dropped: what the app is made of is replaced file by file. The
    /// sender is answered when that begins.
    Hold(oneshot::Sender<()>, oneshot::Receiver<()>),
    /// A build has made another library, from what was changed at this time, or it failed.
    Rebuilt(Instant),
    /// The registry has a new entry for the app.
    Configure(Box<AppConfig>),
    /// The registry has a new entry for the app, with which it runs as before.
    Adjust(Box<Settings>),
    /// Stop the app.
    Close(oneshot::Sender<()>),
}

/// Which library a reload that was asked for brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reload {
    /// The one on disk, also when it is what serves.
    Current,
    /// The one on disk, unless it is what serves.
    Changed,
    /// The one before, of those that were kept.
    Previous,
}

/// The way to an app's supervisor.
pub(crate) struct Commands(Box<dyn Fn(Command) -> bool + Send + Sync>);

impl Commands {
    /// `send` hands a command over, unless the supervisor has ended: `false`.
    pub(crate) fn new(send: impl Fn(Command) -> bool + Send + Sync + 'static) -> Self {
        Self(Box::new(send))
    }

    /// Whether the supervisor takes the command: one that has ended takes none.
    pub(crate) fn send(&self, command: Command) -> bool {
        (self.0)(command)
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Commands")
    }
}
