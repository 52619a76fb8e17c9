//! The environment of an app: variables of the host, files with variables, the setting `env`, and secrets.
//!
//! It is read when a generation starts, and is in no setting: what prints settings prints no secret.

mod check;
mod digest;
mod env_file;
mod error;
mod expand;
mod inherited;
mod secret;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

pub use self::check::{FilesChecked, check_files};
pub(crate) use self::digest::Digest;
pub(crate) use self::env_file::ENV_FILE_LIMIT;
pub use self::error::EnvironmentError;
use self::expand::expand;
use self::inherited::inherited;
pub(crate) use self::secret::SECRET_LIMIT;
use crate::config::{EnvSource, Settings};

/// The variables of an app.
pub(crate) struct Environment {
    pub(crate) variables: BTreeMap<String, String>,
    /// The files of secrets that every user can read.
    pub(crate) public_secrets: Vec<PathBuf>,
}

impl Environment {
    /// Those of an app with these settings: the variables of the host that `inherit` lists, over them those of the files, and
    /// over them those of `env`. Reads files.
    ///
    /// # Errors
    /// See [`EnvironmentError`].
    pub(crate) fn read(settings: &Settings) -> Result<Self, EnvironmentError> {
        let mut variables: BTreeMap<_, _> = inherited(&settings.inherit).collect();
        for file in &settings.env_file {
            variables.extend(env_file::read(file)?);
        }
        let mut public_secrets = Vec::new();
        for (name, value) in &settings.env {
            let place = &value.place;
            let text = match &value.source {
                EnvSource::Text(text) => expand(text, place)?,
                EnvSource::Env(name) => expand::required(name, place)?,
                EnvSource::Credential(name) => secret::read(&secret::credential(name, place)?, place)?,
                EnvSource::File(path) => {
                    if secret::is_public(path) {
                        public_secrets.push(path.clone());
                    }
                    secret::read(path, place)?
                }
            };
            variables.insert(name.clone(), text);
        }
        Ok(Self { variables, public_secrets })
    }

    /// What tells it from another one.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.variables)
    }
}

/// Without the values, which may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

/// The files that the environment of an app with these settings is read from.
pub(crate) fn files(settings: &Settings) -> Vec<PathBuf> {
    let secrets = settings.env.values().filter_map(|value| match &value.source {
        EnvSource::File(path) => Some(path.clone()),
        EnvSource::Credential(name) => secret::credential(name, &value.place).ok(),
        EnvSource::Env(_) | EnvSource::Text(_) => None,
    });
    settings.env_file.iter().cloned().chain(secrets).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::fs;
    use std::path::Path;

    /// The settings of the only app of this file in `folder`.
    fn settings(folder: &Path, app: serde_json::Value) -> Settings {
        let mut entry = serde_json::json!({ "name": "a", "path": "a", "inherit": [] });
        entry.as_object_mut().unwrap().extend(app.as_object().unwrap().clone());
        let text = serde_json::json!([entry]).to_string();
        Config::parse(&text, folder, "apps.json").unwrap().apps.remove(0).settings
    }

    #[test]
    fn later_files_win_and_env_wins_over_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("one"), "A=1\nB=1\nC=1\n").unwrap();
        fs::write(folder.path().join("two"), "B=2\nC=2\n").unwrap();
        fs::write(folder.path().join("secret"), "4\n").unwrap();
        let app = serde_json::json!({
            "env_file": ["one", "two"], "env": { "C": "3", "D": { "file": "secret" }, "E": { "env": "CARGO_MANIFEST_DIR" } },
        });
        let settings = settings(folder.path(), app);
        let environment = Environment::read(&settings).unwrap();
        let expected = [("A", "1"), ("B", "2"), ("C", "3"), ("D", "4"), ("E", env!("CARGO_MANIFEST_DIR"))];
        let found: Vec<_> =
            environment.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, expected);
        assert_eq!(format!("{environment:?}"), r#"{"A", "B", "C", "D", "E"}"#);
        assert_eq!(files(&settings), ["one", "two", "secret"].map(|name| folder.path().join(name)));
    }

    #[test]
    fn an_error_says_where_in_which_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = |app| Environment::read(&settings(folder.path(), app)).unwrap_err().to_string();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let none = error(serde_json::json!({ "env_file": "none" }));
        assert_eq!(
            none,
            format!("cannot read the env_file {}: No such file or directory (os error 2)", path("none"))
        );
        let none = error(serde_json::json!({ "env": { "A": { "file": "none" } } }));
        let place = "apps.json:1:14: apps[0].env.A: ";
        assert_eq!(
            none,
            format!("{place}cannot read the secret {}: No such file or directory (os error 2)", path("none"))
        );
        let none = error(serde_json::json!({ "env": { "A": { "env": "ATOLL_NO_SUCH_VARIABLE" } } }));
        assert_eq!(
            none,
            format!("{place}the variable ATOLL_NO_SUCH_VARIABLE is not set in the environment of the host")
        );
    }
}
