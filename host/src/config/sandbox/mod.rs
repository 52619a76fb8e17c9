//! The setting `sandbox` of an app.

mod read;
mod settings;

pub(super) use read::{read, schema};
pub use settings::SandboxSettings;
