//! What happens to an app.

use std::time::Duration;

use super::policy::Policy;
use crate::library::content_hash::ContentHash;

/// A generation's number, counted from 1 for each app.
pub type Number = u64;

/// What happens to an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The supervisor has begun: an app that is preloaded starts.
    Registered,
    /// A call needs a generation that serves.
    Wanted,
    /// A user asks for a generation that serves, also after the app has failed.
    StartRequested,
    /// A user asks for another generation: of the library on disk, or of an earlier one with this content.
    ReloadRequested(Option<ContentHash>),
    /// A user asks that the library on disk serves: for another generation, unless it is that of the one that serves.
    UpdateRequested,
    /// A user asks that the app stops until the next call.
    StopRequested,
    /// A user asks that the app stops, and that calls do not start it.
    Disabled,
    /// Calls may start it again.
    Enabled,
    /// The app stops, and calls do not start it, until this host may run it.
    StandBy,
    /// This host may run the app.
    Freed,
    /// A fault of the app ended the host before, and calls are not to start it: what happened.
    Faulted(String),
    /// There is another library; the change was noticed at this time.
    LibraryChanged(Duration),
    /// The files of its environment may have another content; the change was noticed at this time.
    EnvironmentChanged(Duration),
    /// The registry has a new entry for the app.
    Configured(Policy),
    /// The heap of a generation is above its limit.
    HeapExceeded(Number),
    /// The state of the serving generation is about to be saved for the next one: it gets no more requests.
    HandOver,
    /// A generation has started.
    Ready(Number),
    /// A generation of the library before has started, as the new library failed to start after the generation before was
    /// stopped: why it failed.
    Restored(Number, String),
    /// A generation failed to start, and nothing of it is left.
    NotReady(Number, Cause, String),
    /// A worker of a generation has exited unexpectedly: why.
    Exited(Number, String),
    /// A generation had nothing to do for the idle timeout, or stops before the next one starts; it admits nothing more.
    Idle(Number),
    /// A retired generation is unloaded or pinned.
    Gone(Number),
    /// The [pause](super::Lifecycle::pause_until) is over.
    PauseOver,
    /// This many of its generations are pinned now.
    Pinned(usize),
    /// The app is removed from the registry, or the host shuts down.
    Closed,
}

/// Why a generation failed to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The library and the environment are those of the generation that serves.
    Unchanged,
    /// The crate does not compile. The compiler has reported it.
    Build,
    /// The library is missing or refused: another attempt with the same file would fail too.
    Unusable,
    /// It failed on the way, or when it started.
    Failed,
    /// The machine had no room for it: no file descriptors, threads, memory or disk. It is tried again without end, and
    /// does not count as a crash.
    Machine,
}
