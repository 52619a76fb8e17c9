//! How much of a stream may be sent.

use atoll_protocol::INITIAL_CREDIT;

/// A stream's credit when the app has granted more: never more than it begins with, as an app cannot have taken what it
/// was not sent.
pub(super) fn with_grant(credit: i64, granted: u64) -> i64 {
    credit.saturating_add_unsigned(granted).min(INITIAL_CREDIT as i64)
}
