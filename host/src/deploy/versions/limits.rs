//! The limits of versions.

use std::time::Duration;

/// How many versions may serve beside the current one.
pub(crate) const MAX_BESIDE: usize = 4;

/// How many bytes the note of a version may have.
pub const MAX_NOTE: usize = 1000;

/// How many bytes one request may append to a file.
pub(crate) const UPLOAD_PIECE: usize = 4 << 20;

/// How long a file that no version has is kept after the last change, so that its upload may continue.
pub(crate) const UPLOAD_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
