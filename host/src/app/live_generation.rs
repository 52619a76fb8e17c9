//! A generation between its start-up and its teardown.

use std::sync::Arc;

use crate::generation::handle::Generation;
use crate::library::content_hash::ContentHash;
use crate::library::loaded::Loaded;

/// A generation that is ready, with its library.
#[derive(Debug)]
pub(crate) struct LiveGeneration {
    pub(crate) generation: Arc<Generation>,
    pub(crate) loaded: Loaded,
    pub(crate) hash: ContentHash,
}
