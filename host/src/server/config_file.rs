//! The registry file that a host follows.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use crate::config::{Config, ConfigError, FleetSettings};
use crate::fs::regular_file;
use crate::registry::Registrar;
use crate::watch::{FileWatch, Watcher};

/// When the registry file is read again if there was no thread for it.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Reloads the registry when its file changes; an invalid file is logged and ignored.
pub(crate) async fn follow_config(
    mut file: ConfigFile,
    registrar: Rc<Registrar>,
    mut fleet: Option<FleetSettings>,
) {
    loop {
        let config = file.changed().await;
        if config.fleet != fleet {
            log::warn!("{}: `fleet` has changed; restart the host to apply it", file.path().display());
            fleet = config.fleet.clone();
        }
        let changes = registrar.apply(&config);
        log::info!("{}: {changes}", file.path().display());
    }
}

/// A registry file that is watched.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    watch: FileWatch,
    /// Whether it has changed, and was not read since.
    is_news: bool,
}

impl ConfigFile {
    /// Watches the file, from what it is now.
    pub fn watch(path: PathBuf, watcher: &Watcher) -> Self {
        Self { watch: watcher.watch_file(&path), path, is_news: false }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says now.
    ///
    /// # Errors
    /// See [`Config::load`].
    pub fn load(&self) -> Result<Config, ConfigError> {
        Config::load(&self.path)
    }

    /// Waits until the file has changed, and can be used: one that cannot changes nothing but the log.
    ///
    /// Cancel safe: dropping the future loses nothing.
    pub async fn changed(&mut self) -> Config {
        loop {
            if !self.is_news && !self.watch.changed().await.is_present() {
                log::warn!("{} was removed; the apps keep running", self.path.display());
                continue;
            }
            self.is_news = true;
            let path = self.path.clone();
            let loaded = regular_file::in_background(move || Config::load(path)).await;
            self.is_news = false;
            match loaded {
                Ok(Ok(config)) => return config,
                Ok(Err(error)) => log::error!("keeping the current apps:\n{error}"),
                Err(error) => {
                    log::warn!("cannot read {}, trying again: {error}", self.path.display());
                    self.is_news = true;
                    tokio::time::sleep(READ_AGAIN).await;
                }
            }
        }
    }
}
