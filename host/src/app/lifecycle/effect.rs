//! What is to be done for an app.

use super::event::Number;
use super::start::Start;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Stage, inspect, load and start a generation; report [`Event::Ready`](super::Event::Ready) or
    /// [`Event::NotReady`](super::Event::NotReady).
    Start(Number, Start),
    /// Send new requests to this generation.
    Serve {
        /// The generation.
        number: Number,
        /// The generation that served before; `None` after a cold start.
        replaces: Option<Number>,
        /// Whether the generation before was replaced because its heap had grown too large.
        relieves_heap: bool,
    },
    /// Hold new requests back from this generation, while its state is saved.
    Hold(Number),
    /// Send new requests to this generation again, which was on hold.
    Resume(Number),
    /// Send no new request to any generation.
    Withdraw,
    /// Drain, stop and unload a generation; report [`Event::Gone`](super::Event::Gone).
    Retire(Number),
    /// Answer the calls that wait for a generation: one serves.
    Admit,
    /// Answer the calls that wait for a generation: there is none, see
    /// [`Lifecycle::unavailable`](super::Lifecycle::unavailable).
    Refuse,
    /// Answer those that asked for a reload: with the number of the generation that serves, or why there is no new one.
    ReloadDone(Result<Number, String>),
    /// Answer those that asked the app to stop: its generations are gone, unless a call has started it again meanwhile.
    StopDone,
    /// Copy and inspect the library, for the call that starts the app.
    Prepare,
    /// Tell the operator.
    Report(Report),
    /// Everything is done.
    Finish,
}

/// What an operator wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// There was nothing to reload.
    Unchanged,
    /// A generation failed to start.
    Failed(Number, String),
    /// The new library failed to start, and this generation is of the library before.
    Restored(Number, String),
    /// The serving generation has crashed.
    Crashed(Number, String),
    /// No generation is started because too many are pinned.
    Blocked(String),
    /// The next generation starts later, because this many are still draining.
    Postponed(usize),
}
