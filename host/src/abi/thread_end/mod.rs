//! The end of threads that an app leaves behind, as a process ends its threads when its `main` returns.
//!
//! A thread of an app runs in a [frame](mod@frame) of the host's, to which it can be made to return: destructors of
//! thread-locals run then, and the thread ends as any. It leaves its frames as they are, as `exit` does. That happens
//!
//! - to a thread of an app that is stopped, when it calls `exit`;
//! - after `stop_timeout_ms`, to a thread that only [waits](mod@waits) in a system call.

pub(crate) mod asked;
pub(crate) mod frame;
pub(crate) mod range;
pub(crate) mod waiting;
mod waits;
