//! What an app under test is given.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::app::TestApp;
use super::generation::{Maker, Worker};
use super::others::Others;
use crate::make::AnyFunction;
use crate::protocol::Start;
use crate::worker::rpc::RpcError;

/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(10);

/// A host's setting `body_limit`, when it is not set.
const BODY_LIMIT: u64 = 8 << 20;

/// An app under test that is about to start: [`TestApp::builder`].
///
/// ```
/// use atoll_plugin::prelude::*;
/// use atoll_plugin::test::TestApp;
///
/// fn app(start: Start) -> Result<Application, Error> {
///     let name = start.var("NAME").ok_or_else(|| Error::internal("NAME is not set"))?;
///     Ok(Application::new().get("/", move |_: Request| name.clone()))
/// }
///
/// let named = TestApp::builder(app).env("NAME", "reef").start()?;
/// assert_eq!(named.get("/").text(), "reef");
/// let nameless = TestApp::builder(app).start();
/// assert_eq!(nameless.unwrap_err().message(), "NAME is not set");
/// # Ok::<_, atoll_plugin::RpcError>(())
/// ```
#[must_use]
pub struct Builder {
    make: Maker,
    start: Start,
    others: Vec<(String, Maker)>,
    deadline: Duration,
}

impl Builder {
    pub(super) fn new(make: Maker) -> Self {
        Self { make, start: first("test"), others: Vec::new(), deadline: DEADLINE }
    }

    /// Sets the app's name, which is in its prefix; it is `test` otherwise.
    pub fn name(mut self, name: &str) -> Self {
        self.start.app = name.to_owned();
        self
    }

    /// Sets a variable of the app's setting `env`.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.start.env.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the app's setting `config`.
    ///
    /// # Panics
    /// It does not serialize to JSON.
    #[track_caller]
    pub fn config(mut self, config: impl Serialize) -> Self {
        self.start.config = json(config);
        self
    }

    /// Sets what the generation before has saved; without, there was none.
    ///
    /// # Panics
    /// It does not serialize to JSON.
    #[track_caller]
    pub fn state(mut self, state: impl Serialize) -> Self {
        self.start.state = Some(json(state));
        self
    }

    /// Sets the app's setting `body_limit`, in bytes; it is that of a host otherwise, 8 MiB.
    pub fn body_limit(mut self, bytes: u64) -> Self {
        self.start.body_limit = bytes;
        self
    }

    /// Sets how long the test waits for anything, before it fails; 10 seconds otherwise. It is also the deadline of requests
    /// and calls, as a host's setting `deadline_ms` is.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Adds another app, which this one can call by its name. It is whatever [`export_app!`](crate::export_app) takes:
    /// often a closure that makes an [`Application`](crate::Application) with the few answers that the test needs. It
    /// cannot call others.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    /// use atoll_plugin::Host;
    /// use atoll_plugin::test::TestApp;
    ///
    /// async fn bill(_: Request) -> Result<String, Error> {
    ///     let sum: i64 = Host::current().call("calculator", "add", [1, 2]).await?;
    ///     Ok(format!("{sum} pearls"))
    /// }
    ///
    /// let app = TestApp::builder(|| Application::new().get("/bill", bill))
    ///     .other_app("calculator", || {
    ///         Application::new().method("add", |numbers: Vec<i64>| Ok::<_, Error>(numbers.iter().sum::<i64>()))
    ///     })
    ///     .start()?;
    /// assert_eq!(app.get("/bill").text(), "3 pearls");
    /// # Ok::<_, atoll_plugin::RpcError>(())
    /// ```
    pub fn other_app<K>(mut self, name: &str, app: impl AnyFunction<K> + Send + Sync) -> Self {
        self.others.push((name.to_owned(), maker(app)));
        self
    }

    /// Starts it, and waits until it is ready for its first request.
    ///
    /// # Errors
    /// The start has failed, of this app or another one; the message is the app's.
    pub fn start(self) -> Result<TestApp, RpcError> {
        let Self { make, start, others, deadline } = self;
        let body_limit = usize::try_from(start.body_limit).unwrap_or(usize::MAX);
        let mut other_apps = Others { body_limit, ..Others::default() };
        let mut workers = Vec::new();
        for (name, make) in others {
            let worker =
                Worker::start(&make, first(&name), Others::default(), deadline).map_err(|error| {
                    let what = format!("the other app `{name}` failed to start: {}", error.message());
                    RpcError::new(error.code(), what)
                })?;
            other_apps.apps.insert(name, worker.generation.clone());
            workers.push(worker);
        }
        let worker = Worker::start(&make, start, other_apps.clone(), deadline)?;
        Ok(TestApp::of_worker(make, worker, other_apps, workers))
    }
}

/// How the first generation of an app without settings starts.
fn first(app: &str) -> Start {
    Start {
        app: app.to_owned(),
        generation: 1,
        worker: 0,
        env: BTreeMap::new(),
        config: Value::Null,
        state: None,
        body_limit: BODY_LIMIT,
        own_logger: false,
        multi_thread: false,
        workers: 1,
    }
}

/// What makes an app, of any kind.
pub(super) fn maker<K>(app: impl AnyFunction<K> + Send + Sync) -> Maker {
    Arc::new(move |start: &Start| app.make(start))
}

#[track_caller]
fn json(value: impl Serialize) -> Value {
    match serde_json::to_value(value) {
        Ok(value) => value,
        Err(error) => panic!("cannot serialize it as JSON: {error}"),
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("start", &self.start).finish_non_exhaustive()
    }
}
