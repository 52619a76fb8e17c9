//! One app of a folder that a host serves: what is there of it, and another version instead.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::error::DeployError;
use super::files::{file_name, put_library, remove_library};
use crate::config::{AppConfig, Config, Entry, FILE_LIMIT, NOT_IN_ENTRY};
use crate::fs::{atomic_file, regular_file};
use crate::library::check::NeededFile;
use crate::library::content_hash::ContentHash;

/// The folder of a registry file that a host serves.
#[derive(Clone, Debug)]
pub(crate) struct ServedFolder {
    registry: PathBuf,
    folder: PathBuf,
}

/// What is to be there of an app.
#[derive(Debug)]
pub(crate) struct Installation {
    /// A file with its library, which is copied.
    pub(crate) library: PathBuf,
    /// The shared libraries that it needs.
    pub(crate) needed: Vec<NeededFile>,
    pub(crate) entry: Entry,
}

/// What is there of an app.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Installed {
    /// The hash of its library's file.
    pub(crate) library: ContentHash,
    pub(crate) entry: Entry,
}

impl ServedFolder {
    /// That of this registry file.
    pub(crate) fn new(registry: &Path) -> Self {
        let registry = std::path::absolute(registry).unwrap_or_else(|_| registry.to_owned());
        let folder = registry.parent().unwrap_or(Path::new("/")).to_owned();
        Self { registry, folder }
    }

    /// The library of an app of this name.
    pub(crate) fn library(&self, app: &str) -> PathBuf {
        self.folder.join(file_name(app))
    }

    /// Whether the library of an app is where this folder has it.
    pub(crate) fn has(&self, app: &AppConfig) -> bool {
        app.path == self.library(&app.name)
    }

    /// What is there of an app; `None`: nothing, or its library is elsewhere.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(crate) fn installed(&self, app: &str) -> Result<Option<Installed>, DeployError> {
        let text = self.read()?;
        let Some(entry) = Config::entry(&text, app) else { return Ok(None) };
        if !self.parse(&text)?.app(app).is_some_and(|app| self.has(app)) {
            return Ok(None);
        }
        let path = self.library(app);
        match ContentHash::of_file(&path) {
            Ok(library) => Ok(Some(Installed { library, entry })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(DeployError::Read { path, reason }),
        }
    }

    /// Checks that an app could have this entry.
    ///
    /// # Errors
    /// The registry file would not be valid with it.
    pub(crate) fn check(&self, app: &str, entry: &Entry) -> Result<AppConfig, DeployError> {
        let text = self.with(app, entry)?;
        self.app(&text, app)
    }

    /// Puts a version of an app there: its library, and then, if its entry is another one, the registry file, each in one step. What
    /// the registry file has of it then.
    ///
    /// # Errors
    /// A file cannot be written, or the registry file would not be valid; then all stays as it was.
    pub(crate) fn install(&self, app: &str, new: &Installation) -> Result<AppConfig, DeployError> {
        let _lock = self.lock()?;
        let (before, text) = (self.read()?, self.with(app, &new.entry)?);
        let config = self.app(&text, app)?;
        let content = fs::read(&new.library)
            .map_err(|reason| DeployError::Read { path: new.library.clone(), reason })?;
        put_library(&self.library(app), &content, &new.needed)?;
        if text != before {
            self.write(&text)?;
        }
        Ok(config)
    }

    /// Removes an app from the registry file, and then its library.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn remove(&self, app: &str) -> Result<(), DeployError> {
        let _lock = self.lock()?;
        let text = Config::without_entry(&self.read()?, app, &self.registry.display().to_string())?;
        self.write(&text)?;
        remove_library(&self.library(app))
    }

    /// Keeps others from writing, waiting for those that do.
    fn lock(&self) -> Result<File, DeployError> {
        let failed = |reason| DeployError::Write { path: self.folder.clone(), reason };
        let lock = File::open(&self.folder).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(lock)
    }

    fn read(&self) -> Result<String, DeployError> {
        regular_file::read_to_string(&self.registry, FILE_LIMIT)
            .map_err(|reason| DeployError::Read { path: self.registry.clone(), reason })
    }

    fn write(&self, text: &str) -> Result<(), DeployError> {
        atomic_file::replace(&self.registry, text.as_bytes())
            .map_err(|reason| DeployError::Write { path: self.registry.clone(), reason })
    }

    fn with(&self, app: &str, entry: &Entry) -> Result<String, DeployError> {
        if let Some(field) = NOT_IN_ENTRY.into_iter().find(|field| entry.contains_key(*field)) {
            return Err(DeployError::OwnField { app: app.to_owned(), field });
        }
        let shown = self.registry.display().to_string();
        let text = self.read()?;
        if let Some(other) = self.parse(&text)?.app(app).filter(|app| !self.has(app)) {
            return Err(DeployError::Elsewhere { app: app.to_owned(), path: other.path.clone() });
        }
        Ok(Config::with_entry(&text, app, &file_name(app), entry, &shown)?)
    }

    fn parse(&self, text: &str) -> Result<Config, DeployError> {
        Ok(Config::parse(text, &self.folder, &self.registry.display().to_string())?)
    }

    fn app(&self, text: &str, app: &str) -> Result<AppConfig, DeployError> {
        let found = self.parse(text)?.app(app).cloned();
        found.ok_or_else(|| DeployError::Elsewhere { app: app.to_owned(), path: self.registry.clone() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fs::atomic_file::tests::names;

    fn entry(workers: u32) -> Entry {
        json!({ "workers": workers }).as_object().unwrap().clone()
    }

    #[test]
    fn an_app_is_installed_changed_and_removed() {
        let place = tempfile::tempdir().unwrap();
        let registry = place.path().join("apps.json");
        fs::write(&registry, "[]").unwrap();
        let library = place.path().join("upload");
        fs::write(&library, "one").unwrap();
        let folder = ServedFolder::new(&registry);
        assert_eq!(folder.installed("a").unwrap(), None);
        let new =
            |workers| Installation { library: library.clone(), needed: Vec::new(), entry: entry(workers) };
        let config = folder.install("a", &new(2)).unwrap();
        assert_eq!((config.settings.workers, &config.path), (2, &folder.library("a")));
        let installed = folder.installed("a").unwrap().unwrap();
        assert_eq!(installed, Installed { library: ContentHash::compute(b"one"), entry: entry(2) });

        let before = fs::read(&registry).unwrap();
        fs::write(&library, "two").unwrap();
        folder.install("a", &new(2)).unwrap();
        assert_eq!(
            (fs::read(&registry).unwrap(), fs::read(folder.library("a")).unwrap()),
            (before, b"two".to_vec())
        );
        folder.remove("a").unwrap();
        assert_eq!(names(place.path()), ["apps.json", "upload"]);
        assert_eq!(Config::load(&registry).unwrap().apps, []);
    }

    #[test]
    fn an_app_whose_library_is_elsewhere_is_not_touched() {
        let place = tempfile::tempdir().unwrap();
        let registry = place.path().join("apps.json");
        let text = r#"[{ "name": "a", "path": "crates/a" }]"#;
        fs::write(&registry, text).unwrap();
        let folder = ServedFolder::new(&registry);
        let refused = folder.check("a", &entry(2)).unwrap_err().to_string();
        assert!(refused.contains("crates/a"), "{refused}");
        assert_eq!(folder.installed("a").unwrap(), None);
        assert!(folder.check("b", &json!({ "wokers": 1 }).as_object().unwrap().clone()).is_err());
        assert_eq!(fs::read_to_string(&registry).unwrap(), text);
    }
}
