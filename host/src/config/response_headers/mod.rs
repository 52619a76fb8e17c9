//! The setting `headers` of an app.

mod read;
mod rules;

pub(super) use self::read::{read, schema};
pub use self::rules::ResponseHeaders;
