//! The ranges of values that several kinds of settings have.

use std::ops::RangeInclusive;

/// The largest whole number that every JSON tool reads exactly (2^53 - 1): the limit where nothing else limits.
pub(super) const MAX: u64 = (1 << 53) - 1;
pub(super) const BODY_LIMIT: RangeInclusive<u64> = 0..=MAX;
pub(super) const HEAP_SOFT_LIMIT: RangeInclusive<u64> = 1..=MAX;
pub(super) const SOME_BYTES: RangeInclusive<u64> = 1024..=MAX;
