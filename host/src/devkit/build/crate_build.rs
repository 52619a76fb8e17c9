//! A crate to be built, and how.

use crate::config::BuildSettings;
use crate::library::source::Package;

/// A crate to be built, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrateBuild {
    /// The crate.
    pub package: Package,
    /// How it is built.
    pub settings: BuildSettings,
}

impl CrateBuild {
    /// Whether one call of cargo can build this and that: each has its own features, and all of a workspace share a lock file.
    pub(super) fn fits(&self, other: &Self) -> bool {
        let call = |it: &Self| BuildSettings {
            features: Vec::new(),
            no_default_features: false,
            locked: false,
            ..it.settings.clone()
        };
        call(self) == call(other)
    }
}
