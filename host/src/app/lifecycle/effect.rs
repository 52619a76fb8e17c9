//! What is to be done for an app.

use std::time::Duration;

use super::event::Number;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Stage, inspect, load and start a generation; report [`Event::Ready`](super::Event::Ready) or
    /// [`Event::NotReady`](super::Event::NotReady).
    Bring(Number),
    /// Send new requests to this generation, and those that wait for one.
    Serve(Number),
    /// Send no new request to any generation.
    Withdraw,
    /// Drain, stop and unload a generation; report [`Event::Retired`](super::Event::Retired).
    Retire(Number),
    /// Tell those that wait for a generation that there is none.
    Refuse,
    /// Report [`Event::Rested`](super::Event::Rested) after this time.
    Rest(Duration),
    /// Report that no generation is begun, because too many are pinned.
    Block,
    /// Report that the next generation is begun later, because too many finish what they have.
    Postpone,
    /// All is done.
    Finish,
}
