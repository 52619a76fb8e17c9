//! System calls with conditions on their arguments.

use std::collections::BTreeMap;

use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

/// The calls of a filter, each with the rules of which one has to match; without rules, every call matches.
pub(super) type Calls = BTreeMap<i64, Vec<SeccompRule>>;

/// A condition on the lower 32 bits of the argument with this index, which is all that the kernel reads of an `int`.
pub(super) fn int(index: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
}

/// Whether the argument is another number than this.
pub(super) fn is_not(index: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    int(index, SeccompCmpOp::Ne, value)
}

/// Whether the bits of the argument that are in `mask` are these.
pub(super) fn bits(index: u8, mask: u64, value: u64) -> Result<SeccompCondition, BackendError> {
    int(index, SeccompCmpOp::MaskedEq(mask), value)
}

/// A rule with one condition.
pub(super) fn when(condition: SeccompCondition) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![condition])
}

/// A number of libc's, of which none that is used here is negative.
pub(super) fn number(value: i32) -> u64 {
    u64::from(value.unsigned_abs())
}
