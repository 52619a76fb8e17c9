//! The setting `sandbox` of an app.

mod read;
mod settings;

pub(super) use read::{read, schema};
pub use settings::SandboxSettings;

use serde::{Serialize, Serializer};

/// Writes the setting as people do: by the name of its preset, if it is no more than that.
pub(super) fn write<S: Serializer>(setting: &Option<SandboxSettings>, to: S) -> Result<S::Ok, S::Error> {
    match setting {
        Some(sandbox) if *sandbox == SandboxSettings::of(sandbox.preset) => sandbox.preset.serialize(to),
        other => other.serialize(to),
    }
}
