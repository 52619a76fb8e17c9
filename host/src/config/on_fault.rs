//! The setting `on_fault`.

use schemars::JsonSchema;
use serde::Serialize;

/// What to do with an app when the host starts again after a fault in it ended the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[non_exhaustive]
pub enum OnFault {
    /// It runs in a separate process, until it is enabled, or its library changes.
    #[default]
    Process,
    /// It runs as before.
    Restart,
    /// Its requests are rejected until it is enabled, or its library changes.
    Disable,
}

impl OnFault {
    /// What is expected where it is written.
    pub(super) const EXPECTED: &str = "\"process\", \"restart\" or \"disable\"";

    /// `None`: it is another word.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        match word {
            "process" => Some(Self::Process),
            "restart" => Some(Self::Restart),
            "disable" => Some(Self::Disable),
            _ => None,
        }
    }
}
