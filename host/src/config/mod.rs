//! What an operator writes in `apps.json`, read, checked and made complete.
//!
//! The file has two forms. The short one is a list of apps:
//!
//! ```json
//! [{ "id": "0", "name": "hello", "path": "apps/hello" }]
//! ```
//!
//! The long one adds settings that every app starts from. An app's own settings win; `env`, `headers` and `build` are merged
//! name by name, everything else is replaced:
//!
//! ```json
//! {
//!   "$schema": "docs/apps.schema.json",
//!   "defaults": { "workers": 2, "env": { "RUST_LOG": "info" } },
//!   "apps": [
//!     { "name": "hello", "path": "apps/hello" },
//!     { "name": "shop", "path": "apps/shop", "workers": 8, "body_limit": "64MiB" }
//!   ]
//! }
//! ```
//!
//! A file is accepted as a whole or not at all, and all its errors are reported together, each with its place:
//!
//! ```
//! use atoll_host::config::Config;
//! use std::path::Path;
//!
//! let text = r#"[{ "name": "hello", "path": "apps/hello", "workers": "two" }]"#;
//! let error = Config::parse(text, Path::new("/srv"), "apps.json").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     r#"apps.json:1:54: apps[0].workers: expected a whole number from 1 to 1024, found "two"
//!   1 | [{ "name": "hello", "path": "apps/hello", "workers": "two" }]
//!     |                                                      ^^^^^"#
//! );
//! ```

mod app;
mod app_pattern;
mod build;
pub(crate) mod byte_size;
mod cors;
mod diagnostic;
mod document;
mod edit;
mod entry;
mod env_value;
mod error;
mod excerpt;
mod fields;
mod fleet;
mod instances;
mod isolation;
mod json;
mod labels;
mod merge;
mod node;
mod on_fault;
mod origin;
mod place;
mod quota;
mod ranges;
mod reload_mode;
mod response_headers;
mod rollout;
mod route;
mod runtime;
mod sandbox;
mod schema;
mod settings;
mod slots;
mod sticky;
mod suggest;
mod syntax_tree;
mod template;
mod tenant;

pub use app::AppConfig;
pub(crate) use app::{MAX_APP_NAME, is_app_name};
pub use app_pattern::{AppPattern, NoAppPattern};
pub use build::BuildSettings;
pub use cors::CorsSettings;
pub use diagnostic::Diagnostic;
pub use entry::Entry;
pub(crate) use entry::{NOT_IN_ENTRY, sorted};
pub(crate) use env_value::EnvSource;
pub use env_value::EnvValue;
pub use error::ConfigError;
pub(crate) use fleet::MAX_SIGNERS;
pub use fleet::{FleetSettings, FleetTls, NatsUrl, NoNatsUrl};
pub use instances::Instances;
pub use isolation::Isolation;
pub(crate) use labels::{MAX_LABEL, MAX_LABELS};
pub use on_fault::OnFault;
pub use origin::{Origin, Origins};
pub(crate) use place::Place;
pub use quota::{Period, Quota, QuotaAction};
pub use reload_mode::ReloadMode;
pub use response_headers::ResponseHeaders;
pub use rollout::RolloutSettings;
pub use route::Route;
pub(crate) use route::is_reserved;
pub use runtime::Runtime;
pub use sandbox::SandboxSettings;
pub use schema::{schema, schema_json};
pub use settings::Settings;
pub(crate) use slots::{SLOTS, Slots};
pub use sticky::Sticky;
pub(crate) use suggest::nearest_app;
pub(crate) use template::{Piece, Without, pieces};

pub use crate::sandbox::{FileAccess, FileRule, FileRuleError, Namespace, Ports, Preset, Require};

use std::path::Path;

use self::document::Document;
use crate::fs::regular_file;

/// How many bytes `apps.json` may have.
pub const FILE_LIMIT: u64 = 16 << 20;

/// A checked `apps.json`: every app with all of its settings, and the quotas.
///
/// Compare the [`AppConfig`]s of two of these to see which apps an edit of the file changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// The apps in the order of the file. Their names differ, and so do their ids where given.
    pub apps: Vec<AppConfig>,
    /// What they may use. An app may share several.
    pub quotas: Vec<Quota>,
    /// The hosts that share the apps; `None`: this host has them for itself.
    pub fleet: Option<FleetSettings>,
}

impl Config {
    /// Reads and checks the file. Relative paths in it are taken from the file's folder.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Missing`] and [`ConfigError::Unreadable`] when there is nothing to parse, otherwise as
    /// [`Config::parse`].
    ///
    /// ```no_run
    /// use atoll_host::config::Config;
    ///
    /// let config = Config::load("apps.json")?;
    /// for app in &config.apps {
    ///     println!("/apps/{}/ has {} workers", app.name, app.settings.workers);
    /// }
    /// # Ok::<(), atoll_host::config::ConfigError>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<Config, ConfigError> {
        let path = path.as_ref();
        let bytes =
            regular_file::read(path, FILE_LIMIT).map_err(|reason| ConfigError::from_read(path, reason))?;
        let file_name = path.display().to_string();
        let text = json::utf8(&bytes, &file_name)?;
        Config::parse(text, path.parent().unwrap_or(Path::new("")), &file_name)
    }

    /// Checks the text of an `apps.json`. `base_dir` is the folder that relative paths start from, and `file_name` is
    /// what errors call the file; the file system is not touched.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with everything that is wrong, in the order of the text. A syntax error comes alone,
    /// because what follows it cannot be read.
    ///
    /// ```
    /// use atoll_host::config::Config;
    /// use std::path::Path;
    ///
    /// let text = r#"{ "defaults": { "workers": 2 }, "apps": [{ "name": "hello", "path": "apps/hello" }] }"#;
    /// let config = Config::parse(text, Path::new("/srv"), "apps.json")?;
    /// assert_eq!(config.apps[0].settings.workers, 2);
    /// assert_eq!(config.apps[0].path, Path::new("/srv/apps/hello"));
    /// # Ok::<(), atoll_host::config::ConfigError>(())
    /// ```
    pub fn parse(text: &str, base_dir: &Path, file_name: &str) -> Result<Config, ConfigError> {
        let Document { apps, quotas, fleet } = document::read(text, base_dir, file_name)?;
        Ok(Config { apps, quotas, fleet })
    }

    /// The app with this name.
    ///
    /// ```
    /// # use atoll_host::config::Config;
    /// # use std::path::Path;
    /// let text = r#"[{ "name": "hello", "path": "apps/hello" }]"#;
    /// let config = Config::parse(text, Path::new("/srv"), "apps.json")?;
    /// assert!(config.app("hello").is_some());
    /// assert!(config.app("Hello").is_none());
    /// # Ok::<(), atoll_host::config::ConfigError>(())
    /// ```
    pub fn app(&self, name: &str) -> Option<&AppConfig> {
        self.apps.iter().find(|app| app.name == name)
    }

    /// What is said of a name that no app has: with the nearest name that one has, or else all names.
    ///
    /// ```
    /// # use atoll_host::config::Config;
    /// # use std::path::Path;
    /// let text = r#"[{ "name": "hello", "path": "apps/hello" }]"#;
    /// let config = Config::parse(text, Path::new("/srv"), "apps.json")?;
    /// assert_eq!(config.no_such_app("helo"), "unknown app `helo`: did you mean `hello`?");
    /// assert_eq!(config.no_such_app("shop"), "unknown app `shop`; registered: hello");
    /// # Ok::<(), atoll_host::config::ConfigError>(())
    /// ```
    pub fn no_such_app(&self, name: &str) -> String {
        let names: Vec<&str> = self.apps.iter().map(|app| app.name.as_str()).collect();
        match nearest_app(name, names.iter().copied()) {
            Some(near) => format!("unknown app `{name}`: did you mean `{near}`?"),
            None if names.is_empty() => format!("unknown app `{name}`; no apps are registered"),
            None => format!("unknown app `{name}`; registered: {}", names.join(", ")),
        }
    }
}
