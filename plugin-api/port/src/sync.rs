//! The locks and atomics of what several threads share. The tests of their orderings (`host/models/`) put others in their
//! place.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub(crate) use crossbeam_queue::SegQueue;
pub(crate) use futures_util::task::AtomicWaker;
