//! What all apps of a host share.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::AppConfig;
use crate::library::Pinned;
use crate::stage::{StageError, Staging};
use crate::watch::Watcher;

/// With more pinned generations than this, each further one is a warning that the host should be restarted.
const PIN_BUDGET: usize = 16;

/// The staging folder, the watcher, and the count of what could not be unloaded.
#[derive(Debug)]
pub struct Services {
    staging: Arc<Staging>,
    watcher: Watcher,
    /// The libraries that a build has just made, by their crate's folder: they come before what is found there.
    built: RefCell<HashMap<PathBuf, PathBuf>>,
    pinned: RefCell<Vec<Pinned>>,
}

/// Why a host cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// The folder for staged copies cannot be made.
    #[error(transparent)]
    Staging(#[from] StageError),
    /// The watcher cannot be started.
    #[error("files cannot be watched: {0}")]
    Watch(#[from] io::Error),
}

impl Services {
    /// Starts what all apps share.
    ///
    /// # Errors
    /// See [`ServicesError`].
    pub fn new() -> Result<Self, ServicesError> {
        Ok(Self {
            staging: Arc::new(Staging::new()?),
            watcher: Watcher::new()?,
            built: RefCell::default(),
            pinned: RefCell::default(),
        })
    }

    /// The service that watches files.
    pub fn watcher(&self) -> &Watcher {
        &self.watcher
    }

    /// Says which library a build of the crate in `folder` made, before the app is registered.
    pub fn set_built(&self, folder: PathBuf, library: PathBuf) {
        self.built.borrow_mut().insert(folder, library);
    }

    /// Where an app's library is to be looked for.
    pub(crate) fn library_path(&self, config: &AppConfig) -> PathBuf {
        self.built.borrow().get(&config.path).unwrap_or(&config.path).clone()
    }

    /// The folder of staged copies.
    pub(crate) fn staging(&self) -> &Arc<Staging> {
        &self.staging
    }

    /// How many generations are pinned.
    pub fn pinned(&self) -> usize {
        self.pinned.borrow().len()
    }

    /// Keeps what is left of a generation that could not be unloaded.
    pub(crate) fn pin(&self, pinned: Pinned) {
        self.pinned.borrow_mut().push(pinned);
        let count = self.pinned();
        if count > PIN_BUDGET {
            log::warn!(
                "{count} generations are pinned (budget {PIN_BUDGET}): restart the host to free their memory"
            );
        }
    }
}
