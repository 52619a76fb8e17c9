//! The setting `isolation`.

use schemars::JsonSchema;
use serde::Serialize;

/// Where an app's workers run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Isolation {
    /// On threads of the host.
    #[default]
    Thread,
    /// In a separate process.
    Process,
    /// On threads of the host, until a generation cannot be unloaded: then in a separate process, with that library.
    Auto,
}

impl Isolation {
    /// What is expected where it is written.
    pub(super) const EXPECTED: &str = "\"thread\", \"process\" or \"auto\"";

    /// `None`: it is another word.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        match word {
            "thread" => Some(Self::Thread),
            "process" => Some(Self::Process),
            "auto" => Some(Self::Auto),
            _ => None,
        }
    }
}
