//! The life of a worker: its start, and the requests that are cancelled.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::Error;

/// The parameters of [`method::START`](super::method::START). Its debug output has the names of the variables only, as their
/// values may be secrets.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The app's name in the registry.
    pub app: String,
    /// Which loaded library this is, counted from 1 for each app.
    pub generation: u64,
    /// Which of the generation's workers this is, counted from 0.
    pub worker: usize,
    /// How many workers the generation has.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub workers: usize,
    /// The app's environment: the setting `env`, and the variables of the host that the setting `inherit` lists.
    #[serde(default)]
    pub env: std::collections::BTreeMap<String, String>,
    /// The setting `config` of the app: any JSON.
    #[serde(default)]
    pub config: Value,
    /// What the generation before returned for [`method::STATE_SAVE`](super::method::STATE_SAVE).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
    /// The setting `body_limit`, in bytes: the app refuses a body of more that it would hold in memory whole.
    #[serde(default = "no_limit", skip_serializing_if = "is_no_limit")]
    pub body_limit: u64,
    /// Whether the app sets a logger for the `log` crate itself, so that nobody else is to set one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_logger: bool,
    /// Whether the worker's tokio runtime, where it has one, has more threads.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub multi_thread: bool,
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            app,
            generation,
            worker,
            workers,
            env,
            config,
            state,
            body_limit,
            own_logger,
            multi_thread,
        } = self;
        f.debug_struct("Start")
            .field("app", app)
            .field("generation", generation)
            .field("worker", worker)
            .field("workers", workers)
            .field("env", &env.keys())
            .field("config", config)
            .field("state", state)
            .field("body_limit", body_limit)
            .field("own_logger", own_logger)
            .field("multi_thread", multi_thread)
            .finish()
    }
}

impl Start {
    /// A variable: from the setting `env`, or else from the process's environment; `None` if neither has it, or it is
    /// not UTF-8.
    pub fn var(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned().or_else(|| std::env::var(name).ok())
    }

    /// The setting `config` as a `T`; the default one when it is not set.
    ///
    /// # Errors
    /// The setting is not a `T`; the message contains position and reason.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    ///
    /// #[derive(Default, Deserialize)]
    /// #[serde(crate = "atoll_plugin::serde", default)]
    /// struct Config { greeting: Option<String> }
    ///
    /// fn app(start: Start) -> Result<Application, Error> {
    ///     let greeting = start.config_as::<Config>()?.greeting.unwrap_or_else(|| "hello".to_owned());
    ///     Ok(Application::new().get("/", move |_: Request| greeting.clone()))
    /// }
    /// # atoll_plugin::export_app!(app);
    /// # fn main() {}
    /// ```
    pub fn config_as<T: DeserializeOwned + Default>(&self) -> Result<T, Error> {
        if self.config.is_null() {
            return Ok(T::default());
        }
        T::deserialize(&self.config)
            .map_err(|error| Error::internal(format!("cannot deserialize the setting `config`: {error}")))
    }
}

fn one() -> usize {
    1
}

fn is_one(number: &usize) -> bool {
    *number == 1
}

fn no_limit() -> u64 {
    u64::MAX
}

fn is_no_limit(limit: &u64) -> bool {
    *limit == u64::MAX
}

/// The result of [`method::START`](super::method::START): the worker is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Whether the worker answers [`method::STATE_SAVE`](super::method::STATE_SAVE) with a state. Then a reload waits for its requests before the
    /// state is saved, and new ones wait for the next generation, so that the state is handed over whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub saves: bool,
}

/// The parameters of [`method::CANCEL`](super::method::CANCEL).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The id of the cancelled request.
    pub id: u64,
}

/// The parameters of [`method::BACKGROUND`](super::method::BACKGROUND).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Background {
    /// How many pieces of work there are now.
    pub count: usize,
}

/// The parameters of [`method::LOG_LEVEL`](super::method::LOG_LEVEL).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLevel {
    /// The most verbose level that is sent: 0 (none), 1 (error), 2 (warn), 3 (info), 4 (debug) or 5 (trace).
    pub level: u8,
}
