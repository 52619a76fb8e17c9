//! How to build.

use super::symbols::Symbols;

/// How to build.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuildOptions {
    /// With the profile `release`, rather than `dev`, where the settings of a crate name none.
    pub release: bool,
    /// What the libraries keep of their symbols.
    pub symbols: Symbols,
    /// Show a bar of how far cargo is, on a terminal. Nobody else should write to it meanwhile.
    pub progress: bool,
}
