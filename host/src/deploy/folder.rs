//! The folder that `atoll build` writes and a host serves: libraries, and an `apps.json` with paths in it.
//!
//! Each file takes the place of the one before in one step, so that a host that serves the folder meanwhile never sees
//! half of one. Libraries come first, each behind the shared libraries that it needs, then `apps.json`, and what that names
//! no longer is removed last.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use atoll_plugin::stamp::Stamp;

use super::error::DeployError;
use super::files::{Outcome, file_name, put_library, remove_library};
use crate::config::{Config, ConfigError};
use crate::fs::atomic_file;
use crate::library::check::Checked;
use crate::library::content_hash::ContentHash;
use crate::library::needed::{bundle_hash, content_hash};
use crate::library::seal::seal;

/// The registry's name in the folder.
const REGISTRY: &str = "apps.json";

/// A folder that may be written, or is to be made.
#[derive(Debug)]
pub struct Deployment {
    folder: PathBuf,
    /// The apps that it has.
    apps: Vec<String>,
}

impl Deployment {
    /// Looks at the folder, which need not be there, and changes nothing.
    ///
    /// # Errors
    /// It has an `apps.json` that is somebody else's.
    pub fn open(folder: &Path) -> Result<Self, DeployError> {
        let folder = std::path::absolute(folder)
            .map_err(|reason| DeployError::Read { path: folder.to_owned(), reason })?;
        let registry = folder.join(REGISTRY);
        let apps = match Config::load(&registry) {
            Ok(config) => config.apps,
            Err(ConfigError::Missing { .. }) => Vec::new(),
            Err(error) => return Err(DeployError::NotOurs { registry, reason: error.to_string() }),
        };
        if let Some(app) = apps.iter().find(|app| app.path != folder.join(file_name(&app.name))) {
            let reason = format!("its app {} has the path {}", app.name, app.path.display());
            return Err(DeployError::NotOurs { registry, reason });
        }
        Ok(Self { folder, apps: apps.into_iter().map(|app| app.name).collect() })
    }

    /// The folder, absolute.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The registry to serve.
    pub fn registry(&self) -> PathBuf {
        self.folder.join(REGISTRY)
    }

    /// The library of an app of this name.
    pub fn library(&self, app: &str) -> PathBuf {
        self.folder.join(file_name(app))
    }

    /// Whether there is an app of this name.
    pub fn has(&self, app: &str) -> bool {
        self.apps.iter().any(|name| name == app)
    }

    /// Makes the folder, and keeps others from writing to it until the end.
    ///
    /// # Errors
    /// It cannot be made, or somebody writes to it.
    pub fn begin(self) -> Result<Writing, DeployError> {
        let unwritable = |reason| DeployError::Write { path: self.folder.clone(), reason };
        fs::create_dir_all(&self.folder).map_err(unwritable)?;
        let lock = File::open(&self.folder).map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DeployError::Busy { folder: self.folder }),
            Err(TryLockError::Error(reason)) => return Err(unwritable(reason)),
        }
        // What it has may have changed while nobody was kept from it.
        Ok(Writing { deployment: Self::open(&self.folder)?, _lock: lock })
    }
}

/// A folder that is being written.
#[derive(Debug)]
pub struct Writing {
    deployment: Deployment,
    _lock: File,
}

impl Writing {
    /// The library of an app of this name.
    pub fn library(&self, app: &str) -> PathBuf {
        self.deployment.library(app)
    }

    /// Puts an app's library there with a checksum at its end, and the shared libraries that it needs in a folder beside it,
    /// unless they are there already; what it is there.
    ///
    /// # Errors
    /// It is not what was checked, or cannot be copied; what was there before stays.
    pub fn put(&self, app: &str, checked: Checked) -> Result<(Outcome, Checked), DeployError> {
        let from = &checked.path;
        let content = fs::read(from).map_err(|reason| DeployError::Read { path: from.clone(), reason })?;
        if ContentHash::compute(&content) != checked.file_hash {
            return Err(DeployError::Changed { library: from.clone() });
        }
        let needed = checked.needed.iter().map(|needed| (needed.name.as_str(), needed.hash));
        let bundle = (!checked.needed.is_empty()).then(|| bundle_hash(needed));
        let content = seal(&content, bundle).ok_or_else(|| DeployError::NoStamp { library: from.clone() })?;
        let to = self.deployment.library(app);
        let outcome = put_library(&to, &content, &checked.needed)?;
        let (hash, file_hash) = (content_hash(&to)?, ContentHash::compute(&content));
        let stamp = Stamp { sealed: true, ..checked.stamp };
        let size = content.len() as u64;
        Ok((outcome, Checked { path: to, stamp, hash, file_hash, size, ..checked }))
    }

    /// Writes `apps.json`: what `text` says, from the file `registry`, of the apps whose names are in `apps`. Removes the
    /// libraries of apps that are no longer there; their names.
    ///
    /// # Errors
    /// It cannot be written; then the one before stays, and nothing is removed.
    pub fn finish(self, registry: &Path, text: &str, apps: &[&str]) -> Result<Vec<String>, DeployError> {
        let path_of = |name: &str| apps.contains(&name).then(|| file_name(name));
        let moved = Config::moved(text, &registry.display().to_string(), path_of)?;
        let to = self.deployment.registry();
        let written = match to.exists() {
            true => atomic_file::replace(&to, moved.as_bytes()),
            // No more open than the original, as `env` may have secrets.
            false => {
                let mode = fs::metadata(registry).map_or(0o600, |metadata| metadata.permissions().mode());
                atomic_file::write_to_disk(&to, mode & 0o666, |file| file.write_all(moved.as_bytes()))
            }
        };
        written.map_err(|reason| DeployError::Write { path: to, reason })?;
        self.remove_unfinished();
        let gone = self.deployment.apps.iter().filter(|name| !apps.contains(&name.as_str()));
        let mut removed = Vec::new();
        for name in gone {
            remove_library(&self.deployment.library(name))?;
            removed.push(name.clone());
        }
        Ok(removed)
    }

    /// Removes what a build that was killed has left.
    fn remove_unfinished(&self) {
        let entries = fs::read_dir(&self.deployment.folder).into_iter().flatten().flatten();
        let unfinished =
            entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(atomic_file::UNFINISHED));
        for entry in unfinished {
            if let Err(error) = fs::remove_file(entry.path()) {
                log::warn!("cannot remove {}: {error}", entry.path().display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::atomic_file::tests::names;
    use crate::library::inspect::tests::good_library;

    fn checked(path: &Path) -> Checked {
        let stamp = r#"{"api":1,"rustc":"","target":"","panic":"unwind","name":"a","version":"1.0.0","sealed":false}"#;
        let content = fs::read(path).unwrap();
        Checked {
            path: path.to_owned(),
            stamp: serde_json::from_str(stamp).unwrap(),
            size: content.len() as u64,
            hash: ContentHash::compute(&content),
            file_hash: ContentHash::compute(&content),
            needed: Vec::new(),
            stays: None,
        }
    }

    #[test]
    fn a_folder_has_what_its_registry_says() {
        let place = tempfile::tempdir().unwrap();
        let (folder, registry) = (place.path().join("out"), place.path().join("apps.json"));
        let library = place.path().join("liba.so");
        let text =
            r#"[{ "name": "a", "path": "x" }, { "name": "b", "path": "y" }, { "name": "c", "path": "z" }]"#;
        fs::write(&registry, text).unwrap();
        fs::set_permissions(&registry, fs::Permissions::from_mode(0o600)).unwrap();
        let content = |text: &str| [good_library(), text.into()].concat();
        fs::write(&library, content("one")).unwrap();

        let writing = Deployment::open(&folder).unwrap().begin().unwrap();
        assert!(matches!(Deployment::open(&folder).unwrap().begin(), Err(DeployError::Busy { .. })));
        for app in ["a", "b"] {
            assert_eq!(writing.put(app, checked(&library)).unwrap().0, Outcome::New);
        }
        fs::write(folder.join(format!("{}x", atomic_file::UNFINISHED)), "half").unwrap();
        assert_eq!(writing.finish(&registry, text, &["a", "b"]).unwrap(), Vec::<String>::new());
        assert_eq!(names(&folder), ["a.so", "apps.json", "b.so"]);
        let mode = fs::metadata(folder.join("apps.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let deployment = Deployment::open(&folder).unwrap();
        assert!(deployment.has("b") && !deployment.has("c"));
        let writing = deployment.begin().unwrap();
        let before = checked(&library);
        assert_eq!(writing.put("a", before.clone()).unwrap().0, Outcome::Unchanged);
        fs::write(&library, content("two")).unwrap();
        let changed = writing.put("a", before).unwrap_err().to_string();
        assert!(
            changed.ends_with("liba.so has changed since it was checked; run the command again"),
            "{changed}"
        );
        let (outcome, sealed) = writing.put("a", checked(&library)).unwrap();
        assert_eq!(outcome, Outcome::Changed);
        assert_eq!(writing.finish(&registry, text, &["a"]).unwrap(), ["b"]);
        assert_eq!(names(&folder), ["a.so", "apps.json"]);
        let written = fs::read(folder.join("a.so")).unwrap();
        assert_eq!(written, seal(&content("two"), None).unwrap());
        assert_eq!((sealed.path, sealed.size), (folder.join("a.so"), written.len() as u64));
        assert_eq!(sealed.hash, ContentHash::compute(&written));
    }

    #[test]
    fn a_folder_of_somebody_else_is_not_touched() {
        let place = tempfile::tempdir().unwrap();
        for text in [r#"[{ "name": "a", "path": "apps/a" }]"#, "[", r#"[{ "name": "a", "path": "../a.so" }]"#]
        {
            fs::write(place.path().join("apps.json"), text).unwrap();
            let refused = Deployment::open(place.path()).unwrap_err();
            assert!(matches!(refused, DeployError::NotOurs { .. }), "{refused}");
        }
    }
}
