//! A generation between its start-up and its teardown.

use std::sync::Arc;

use crate::generation::handle::Generation;
use crate::library::content_hash::ContentHash;
use crate::library::loaded::Loaded;
use crate::library::preflight::Passed;

/// A generation that is ready, with its library.
#[derive(Debug)]
pub(crate) struct LiveGeneration {
    pub(crate) generation: Arc<Generation>,
    pub(crate) loaded: Loaded,
    pub(crate) hash: ContentHash,
    /// How the library has passed its preflight; `None` without one.
    pub(crate) preflight: Option<Passed>,
}
