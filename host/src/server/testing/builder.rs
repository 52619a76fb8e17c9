//! What a host in a test is to serve.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::error::TestHostError;
use super::{TestHost, serve};
use crate::config::Config;
use crate::devkit::build::BuildOptions;

/// How long cargo may take, with all that the apps depend on.
const BUILD_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// A host about to be started, with the apps that it is to serve: [`TestHost::builder`].
///
/// ```no_run
/// use atoll_host::testing::TestHost;
/// use serde_json::json;
///
/// let host = TestHost::builder()
///     .app("notes", "../notes")
///     .settings(json!({ "env": { "NOTES_DB": "/tmp/notes.db" }, "workers": 2 }))
///     .app("layout", "../target/debug/liblayout.so")
///     .start()?;
/// # Ok::<_, atoll_host::testing::TestHostError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    apps: Vec<Map<String, Value>>,
    options: BuildOptions,
    build_deadline: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self { apps: Vec::new(), options: BuildOptions::default(), build_deadline: BUILD_DEADLINE }
    }
}

impl Builder {
    /// Adds an app. As in `apps.json`, `path` is the folder of a crate, which is built, a folder with a library in it, or
    /// a library; relative to the current folder, which `cargo test` makes that of the crate under test.
    pub fn app(mut self, name: &str, path: impl AsRef<Path>) -> Self {
        let app = [("name", json!(name)), ("path", json!(path.as_ref().to_string_lossy()))];
        self.apps.push(app.map(|(name, value)| (name.to_owned(), value)).into_iter().collect());
        self
    }

    /// Sets settings of the app that was added last, as they are in `apps.json`: an object.
    ///
    /// # Panics
    /// They are no object, or there is no app.
    #[track_caller]
    pub fn settings(mut self, settings: Value) -> Self {
        let Value::Object(settings) = settings else { panic!("an app's settings are an object: {settings}") };
        self.apps.last_mut().expect("settings follow the app that has them").extend(settings);
        self
    }

    /// Builds the crates with the profile `release`, rather than `dev`.
    pub fn release(mut self) -> Self {
        self.options.release = true;
        self
    }

    /// Sets how long the builds may take; 15 minutes otherwise.
    pub fn build_deadline(self, build_deadline: Duration) -> Self {
        Self { build_deadline, ..self }
    }

    /// Builds what is a crate, and starts the host. The apps start at their first requests, unless `preload` is set.
    ///
    /// # Errors
    /// See [`TestHostError`].
    pub fn start(self) -> Result<TestHost, TestHostError> {
        let folder = std::env::current_dir()?;
        let text = Value::from_iter(self.apps).to_string();
        let config = Config::parse(&text, &folder, "the apps of this test")?;
        let host = serve::start(config, self.options, self.build_deadline)?;
        Ok(TestHost { host })
    }
}
