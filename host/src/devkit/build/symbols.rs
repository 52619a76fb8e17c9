//! What a library keeps of its symbols, which a panic's backtrace is made from.

use clap::ValueEnum;

/// What a library keeps of its symbols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Symbols {
    /// As the profile says, in Cargo.toml: files and lines only if it asks for debug information.
    #[default]
    Profile,
    /// Function names, and no debug information: backtraces name functions without their lines.
    Names,
    /// Nothing: the smallest library, whose backtraces name nothing.
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
