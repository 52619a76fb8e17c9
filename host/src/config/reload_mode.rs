//! The setting `reload`.

use schemars::JsonSchema;
use serde::Serialize;

/// When the generation that serves stops, with respect to the start of the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum ReloadMode {
    /// When the next one is ready.
    #[default]
    SideBySide,
    /// Before the next one starts. Requests wait meanwhile.
    StopFirst,
}

impl ReloadMode {
    /// What is expected where it is written.
    pub(super) const EXPECTED: &str = "\"side-by-side\" or \"stop-first\"";

    /// `None`: it is another word.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        match word {
            "side-by-side" => Some(Self::SideBySide),
            "stop-first" => Some(Self::StopFirst),
            _ => None,
        }
    }
}
