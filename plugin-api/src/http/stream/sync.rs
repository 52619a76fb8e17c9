//! The locks of what several threads share. The tests of their orderings (`host/models/`) put others in their place.

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
