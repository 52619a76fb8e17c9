//! What the app's setting `config` may say.

use std::fmt::Display;

use axum::http::StatusCode;
use serde::Deserialize;

use crate::problem::Problem;

/// The limits.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The largest request body, in bytes.
    pub(crate) max_bytes: usize,
    /// The largest image, in pixels: width times height. A few bytes may say that they are a very large image.
    pub(crate) max_pixels: u64,
    /// How many images each worker works on at the same time.
    pub(crate) at_once: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_bytes: 16 << 20, max_pixels: 50_000_000, at_once: 2 }
    }
}

impl Config {
    /// Why a body could not be read.
    pub(crate) fn unread(&self, status: StatusCode, error: impl Display) -> Problem {
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            return Problem::new(status, format!("the body is larger than max_bytes = {}", self.max_bytes));
        }
        Problem::new(status, error)
    }
}
