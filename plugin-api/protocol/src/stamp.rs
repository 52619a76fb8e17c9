//! The stamp: what a library says of itself in a section of its file, so that it can be read before it is loaded.
//!
//! The section [`SECTION`] holds one line of JSON, a [`Stamp`]. `export_app!` writes it.

use serde::{Deserialize, Serialize};

/// The name of the ELF section that holds the stamp.
pub const SECTION: &str = ".atoll.stamp";

/// The compiler that this copy of `atoll-protocol` was built with, as `rustc --version` prints it.
pub const RUSTC: &str = env!("ATOLL_RUSTC");

/// The target that this copy of `atoll-protocol` was built for.
pub const TARGET: &str = env!("ATOLL_TARGET");

/// What a library says of itself.
///
/// ```
/// let text = r#"{"api":1,"rustc":"rustc 1.95.0","target":"x86_64-unknown-linux-gnu",
///     "panic":"unwind","name":"hello","version":"0.1.0","sealed":false}"#;
/// let stamp: atoll_plugin::stamp::Stamp = serde_json::from_str(text).unwrap();
/// assert_eq!(stamp.name, "hello");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// [`API_VERSION`](crate::abi::API_VERSION) of the library.
    pub api: u32,
    /// What built it, as `rustc --version` prints it.
    pub rustc: String,
    /// The target triple that it was built for.
    pub target: String,
    /// `unwind` or `abort`.
    pub panic: String,
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: String,
    /// Whether the file ends with a checksum of all that is before it, as `atoll build` makes it.
    pub sealed: bool,
}

/// What a stamp says of a file without a checksum. The linker writes this.
pub const UNSEALED: &str = "\"sealed\":false";

/// What a stamp says of a file that ends with its checksum, in as many bytes.
pub const SEALED: &str = "\"sealed\":true ";
