//! What a library keeps of its symbols, which a panic's backtrace is made from.

use clap::ValueEnum;

/// The symbols to keep in a library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Symbols {
    /// As configured in the Cargo.toml profile: files and lines only if it enables debug information.
    #[default]
    Profile,
    /// Function names but no debug information: backtraces have function names without line numbers.
    Names,
    /// No symbols: the smallest library, with no names in backtraces.
    None,
}

impl Symbols {
    /// The arguments of a `cargo build` with this profile. The linker does it, so that no tool is needed for it.
    pub(super) fn arguments(self, profile: &str) -> Vec<String> {
        let strip = match self {
            Self::Profile => return Vec::new(),
            Self::Names => "debuginfo",
            Self::None => "symbols",
        };
        vec!["--config".to_owned(), format!("profile.{profile}.strip=\"{strip}\"")]
    }
}
