//! Whether a new version of an app is as good as the current one, while both serve.

mod counts;
mod evidence;
mod judge;
#[cfg(test)]
mod simulation;

pub(crate) use self::counts::Counts;
pub(crate) use self::judge::{Comparison, Judge, Tolerance};
