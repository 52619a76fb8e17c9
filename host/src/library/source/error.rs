//! Why there is no library.

use std::io;
use std::path::{Path, PathBuf};

use super::package::Package;
use super::path::SourcePath;

/// Why there is no library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The path leads nowhere.
    #[error("no such path: {}{}", path.display(), did_you_mean(suggestion.as_deref()))]
    NotFound {
        /// The path.
        path: PathBuf,
        /// A path that exists and may have been meant, relative to the folder that `path` is in.
        suggestion: Option<PathBuf>,
    },
    /// The path names a library that does not exist.
    #[error(
        "no library at {} (yet): build it, or correct the path{}",
        path.display(),
        did_you_mean(suggestion.as_deref())
    )]
    NoFile {
        /// The path.
        path: PathBuf,
        /// A path that exists and may have been meant, relative to the folder that `path` is in.
        suggestion: Option<PathBuf>,
    },
    /// A folder that is no crate's and has no library in it.
    #[error(
        "nothing to load in {}: found neither Cargo.toml nor one lib*.so; set `path` to a crate folder, a folder with \
        a library, or a library",
        folder.display()
    )]
    EmptyFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder with several libraries in it, none of which is called like the app.
    #[error(
        "{} libraries in {}, but none is named {expected}: found {}; set `path` to one of them",
        found.len(),
        folder.display(),
        found.join(", ")
    )]
    Ambiguous {
        /// The folder.
        folder: PathBuf,
        /// The file names of the libraries in it.
        found: Vec<String>,
        /// The file name that would have been chosen.
        expected: String,
    },
    /// The crate has not been built, or its library has been removed.
    #[error(
        "the library of crate {} is not built: looked for {}; run `cargo build -p {}{}{}` in {}",
        package.name,
        list(looked_for),
        package.name,
        option("profile", wanted.profile.as_deref()),
        option("target", wanted.target.as_deref()),
        package.workspace.display()
    )]
    NotBuilt {
        /// The crate.
        package: Package,
        /// The profile and the target triple that it is to be built with.
        wanted: Box<SourcePath>,
        /// Where its library was looked for.
        looked_for: Box<[PathBuf]>,
    },
    /// The crate does not build a library that can be loaded.
    #[error(
        "crate {package} does not build a cdylib: {} has {}; add `crate-type = [\"cdylib\"]` under `[lib]`",
        manifest.display(),
        crate_types(found)
    )]
    NotCdylib {
        /// The crate's name.
        package: String,
        /// Its `Cargo.toml`.
        manifest: PathBuf,
        /// The crate types that it asks for. Empty: it does not say, so it builds an ordinary Rust library.
        found: Vec<String>,
    },
    /// A `Cargo.toml` of a workspace only.
    #[error("{} belongs to a workspace, not a crate: set `path` to the folder of one of its \
        members", manifest.display())]
    NoPackage {
        /// The `Cargo.toml`.
        manifest: PathBuf,
    },
    /// A `Cargo.toml` that cannot be understood.
    #[error("cannot parse {}: {reason}", manifest.display())]
    Manifest {
        /// The `Cargo.toml`.
        manifest: PathBuf,
        /// What is wrong with it.
        reason: Box<toml::de::Error>,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
}

fn did_you_mean(suggestion: Option<&Path>) -> String {
    suggestion.map(|path| format!("; did you mean {}?", path.display())).unwrap_or_default()
}

fn option(name: &str, value: Option<&str>) -> String {
    value.map(|value| format!(" --{name} {value}")).unwrap_or_default()
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn crate_types(found: &[String]) -> String {
    match found {
        [] => "no crate-type".to_owned(),
        found => format!("crate-type = {found:?}"),
    }
}
