//! `quotas` of an `apps.json`: what apps may use in an hour, a day or a month.

mod period;
mod read;
mod settings;

pub use self::period::Period;
pub(super) use self::read::{EXPECTED, read};
pub use self::settings::{Quota, QuotaAction};
