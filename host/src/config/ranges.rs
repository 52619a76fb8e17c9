//! The ranges of values that several kinds of settings have.

use std::ops::RangeInclusive;

/// The largest whole number that every JSON tool reads exactly (2^53 - 1): the limit where nothing else limits.
pub(super) const MAX: u64 = (1 << 53) - 1;
pub(super) const BODY_LIMIT: RangeInclusive<u64> = 0..=MAX;
pub(super) const HEAP_SOFT_LIMIT: RangeInclusive<u64> = 1..=MAX;
pub(super) const SOME_BYTES: RangeInclusive<u64> = 1024..=MAX;
/// Less is too little for the code that starts a thread; more than any machine has address space for.
pub(super) const STACK_SIZE: RangeInclusive<u64> = 64 << 10..=1 << 40;
/// For times that make no sense when they are zero.
pub(super) const SOME_TIME: RangeInclusive<u64> = 1..=MAX;
/// For times where zero means "do not wait".
pub(super) const ANY_TIME: RangeInclusive<u64> = 0..=MAX;
