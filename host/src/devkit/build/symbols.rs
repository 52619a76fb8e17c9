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
    /// The arguments of a `cargo build --release`. The linker does it, so that no tool is needed for it.
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Profile => &[],
            Self::Names => &["--config", "profile.release.strip=\"debuginfo\""],
            Self::None => &["--config", "profile.release.strip=\"symbols\""],
        }
    }
}
