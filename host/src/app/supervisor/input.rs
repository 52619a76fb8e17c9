//! What a supervisor is notified of.

use tokio::sync::oneshot;

use crate::app::command::Command;
use crate::app::lifecycle::Number;
use crate::app::live_generation::LiveGeneration;
use crate::app::startup::StartupError;
use crate::library::inspect::Inspected;

/// What a supervisor is notified of. One queue for all, so that it sees first what happened first: a worker's exit before
/// the calls that found its port closed.
#[derive(Debug)]
pub(crate) enum Input {
    /// What others ask of the app.
    Command(Command),
    /// The generation that serves is to get no request until the next one is ready; answered when that is so.
    Hold(oneshot::Sender<()>),
    /// A generation has started.
    Ready(Box<LiveGeneration>),
    /// A generation of the library before has started, as the new one failed to.
    Restored(Box<LiveGeneration>, StartupError),
    /// A generation failed to start.
    NotReady(Number, StartupError),
    /// A worker has returned from the app's code unexpectedly.
    Exited(Number, String),
    /// A retired generation is unloaded, and this is the copy of its library; or it is pinned.
    Gone(Number, Option<Box<Inspected>>),
    /// This generation is to stop, as the next one can only start then; answered when it is gone, with the copy of its
    /// library, unless that is pinned.
    GiveWay(Number, oneshot::Sender<Option<Inspected>>),
}
