//! The setting `runtime`.

use schemars::JsonSchema;
use serde::Serialize;

/// The tokio runtime of a worker whose app is a `tower` service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum Runtime {
    /// All tasks run on the worker's thread.
    #[default]
    CurrentThread,
    /// Tasks run on more threads, one for each processor, as with `#[tokio::main]`.
    MultiThread,
}

impl Runtime {
    /// What is expected where it is written.
    pub(super) const EXPECTED: &str = "\"current-thread\" or \"multi-thread\"";

    /// `None`: it is another word.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        match word {
            "current-thread" => Some(Self::CurrentThread),
            "multi-thread" => Some(Self::MultiThread),
            _ => None,
        }
    }
}
