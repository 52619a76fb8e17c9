//! The setting `cors` of an app.

mod read;
mod settings;
mod web_origin;

pub(super) use self::read::{read, schema};
pub use self::settings::CorsSettings;

#[cfg(test)]
mod tests;
