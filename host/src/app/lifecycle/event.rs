//! What happens to an app.

/// A generation's number, counted from 1 for each app.
pub type Number = u64;

/// What happens to an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Someone wants it to serve: a call, or `preload`.
    Wanted,
    /// Its library or its settings have changed, or someone asks for a reload.
    Changed,
    /// A generation has started.
    Ready(Number),
    /// A generation does not serve, and nothing of it is left.
    NotReady(Number, Cause),
    /// A worker of a generation has exited unexpectedly.
    Ended(Number),
    /// A generation had nothing to do for the idle timeout, and admits nothing more.
    Idle(Number),
    /// Someone asks that it goes, until the next call.
    Stopped,
    /// Someone asks that it goes, and does not come back for calls.
    Disabled,
    /// Calls may start it again.
    Enabled,
    /// A retired generation is unloaded or pinned.
    Retired(Number),
    /// The pause after a crash, or after a fault of the machine, is over.
    Rested,
    /// So many of its generations are pinned now.
    Pinned(usize),
    /// The app is taken out of the registry, or the host shuts down.
    Closed,
}

/// Why a generation failed to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The library is what serves already.
    Unchanged,
    /// The library is missing or refused: trying it again as it is would be in vain.
    Unusable,
    /// It failed on the way, or when it started.
    Failed,
    /// The machine had no room for it: no file descriptors, threads, memory or disk. It is tried again without end, and
    /// is no crash.
    Machine,
}
