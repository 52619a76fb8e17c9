//! Files with keys.

use std::path::PathBuf;

/// A file that does not have the key that it should have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the key in {}: {reason}", path.display())]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// The system's error, or what is expected.
    pub reason: String,
}

#[cfg(feature = "fleet")]
impl KeyFileError {
    /// The content is something else than this.
    pub(super) fn expected(path: &std::path::Path, what: &str) -> Self {
        Self { path: path.to_owned(), reason: format!("expected {what}") }
    }
}

/// The key in the text of a file; `what` is expected there.
#[cfg(feature = "fleet")]
pub(super) fn read<T>(
    path: &std::path::Path,
    what: &str,
    key: impl FnOnce(&str) -> Option<T>,
) -> Result<T, KeyFileError> {
    use crate::fs::regular_file::{SMALL_FILE_LIMIT, read_to_string};

    let text = match read_to_string(path, SMALL_FILE_LIMIT) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => String::new(),
        Err(error) => return Err(KeyFileError { path: path.to_owned(), reason: error.to_string() }),
    };
    key(&text).ok_or_else(|| KeyFileError::expected(path, what))
}
