//! Why a library could not be loaded.

use std::io;

use atoll_plugin::abi::ROOT_SYMBOL;

use super::open_error::OpenError;

/// Why a library could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The dynamic linker refused it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It does not export what `export_app!` makes.
    #[error("the library has no symbol {ROOT_SYMBOL}; is `atoll_plugin::export_app!` in its crate root?")]
    NoRoot,
    /// Its idea of the interface differs from the host's.
    #[error(
        "the library's interface does not match this host (atoll-plugin {host}): {reason}. Build it with this version \
        of atoll-plugin"
    )]
    Interface {
        /// The host's version of atoll-plugin.
        host: &'static str,
        /// What differs.
        reason: String,
    },
    /// There is no thread to open it on.
    #[error("cannot open the library: cannot start a thread: {0}")]
    Thread(io::Error),
    /// `LibReloader` could not load it.
    #[cfg(feature = "standalone")]
    #[error("cannot load the library: {0}")]
    HotReload(hot_lib_reloader::HotReloaderError),
}
