//! Why there is no new library.

use std::io;
use std::path::PathBuf;

use super::output;

/// Why there is no new library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no cargo, or it cannot be started.
    #[error("cannot run {}: {reason}; is Rust installed, and `cargo` in PATH?", program.display())]
    Cargo {
        /// What was to be run.
        program: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// Cargo cannot read the crate or its workspace, or the crate does not compile.
    #[error("the build failed:\n{message}")]
    Failed {
        /// The beginning of what cargo and the compiler said, without colours.
        message: String,
        /// The same with the control sequences of a terminal.
        colored: String,
    },
    /// Cargo has built a crate, but no library of it.
    #[error("cargo built {package} without a `cdylib`{}", why_none(target.as_deref()))]
    NoLibrary {
        /// The crate.
        package: String,
        /// The target triple that it was built for, if its settings name one.
        target: Option<String>,
    },
    /// Two crates have the same file for their libraries: which of them it is, or whether there is one, depends on the moment.
    #[error("{one} and {other} both build {library}: give one of them another `name` under `[lib]`")]
    SameFile {
        /// The file's name.
        library: String,
        /// One crate.
        one: String,
        /// The other one.
        other: String,
    },
}

fn why_none(target: Option<&str>) -> String {
    match target {
        Some(target) if target.contains("-musl") => {
            format!(": for {target} there is one only with `-C target-feature=-crt-static` in RUSTFLAGS")
        }
        Some(target) => format!(": see what cargo says of {target}"),
        None => ": add `crate-type = [\"cdylib\"]` under `[lib]`".to_owned(),
    }
}

impl BuildError {
    /// A failure with this text, which may have a terminal's control sequences in it.
    pub(super) fn failed(text: String) -> Self {
        Self::Failed { message: output::plain(&text), colored: text }
    }
}
