//! An app under test.

use std::fmt;

use log::{Level, LevelFilter};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::builder::{Builder, maker};
use super::client::Client;
use super::generation::{Maker, Worker};
use super::others::Others;
use super::stream::Stream;
use super::websocket::WebSocket;
use crate::abi::Exit;
use crate::http::request_builder::RequestBuilder;
use crate::make::AnyFunction;
use crate::protocol::{LogLevel, Start, code, method};
use crate::worker::host::Fetched;
use crate::worker::rpc::RpcError;

/// An app that runs in the test's own process, on a separate thread, like a worker in a host.
///
/// It gets the same messages as from a host, through the same port, and uses the same event loop or tokio runtime.
/// Requests and responses are those of a client; the message of an error or a panic is in the problem document of the
/// response. Nothing here is `async`: write an ordinary `#[test]`.
///
/// No wait is longer than the [deadline](Builder::deadline), after which the test fails and reports what it waited for.
/// Dropping this stops the app.
///
/// ```
/// use atoll_plugin::prelude::*;
/// use atoll_plugin::test::TestApp;
///
/// fn app() -> Application {
///     Application::new()
///         .get("/greet/{name}", |req: Request| Response::json(req.params()))
///         .post("/fail", |_: Request| -> &'static str { panic!("not today") })
///         .method("add", |(a, b): (u32, u32)| Ok::<_, Error>(a + b))
/// }
///
/// let app = TestApp::new(app);
/// let response = app.get("/greet/tobe");
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.text(), r#"{"name":"tobe"}"#);
/// let failed = app.send(Request::post("/fail").json(json!({ "n": 1 })));
/// assert_eq!(failed.status(), 500);
/// assert!(failed.text().contains("not today"));
/// assert_eq!(app.call::<_, u32>("add", (1, 2)), Ok(3));
/// ```
pub struct TestApp {
    make: Maker,
    worker: Worker,
    /// Generations that still have requests of the test's.
    retired: Vec<Worker>,
    others: Others,
    _other_workers: Vec<Worker>,
}

impl TestApp {
    /// Starts an app: any function that [`export_app!`](crate::export_app) accepts, or a closure with that signature.
    ///
    /// # Panics
    /// It failed to start; the message is the app's.
    #[track_caller]
    pub fn new<K>(app: impl AnyFunction<K> + Send + Sync) -> Self {
        match Self::builder(app).start() {
            Ok(app) => app,
            Err(error) => panic!("the app failed to start: {error}"),
        }
    }

    /// A builder for an app with settings, or with other apps that it calls.
    pub fn builder<K>(app: impl AnyFunction<K> + Send + Sync) -> Builder {
        Builder::new(maker(app))
    }

    pub(super) fn of_worker(make: Maker, worker: Worker, others: Others, other_workers: Vec<Worker>) -> Self {
        Self { make, worker, retired: Vec::new(), others, _other_workers: other_workers }
    }

    /// Sends a `GET` request and waits for the complete response.
    #[track_caller]
    pub fn get(&self, path: &str) -> Fetched {
        self.send(path)
    }

    /// Sends a request and waits for the complete response.
    ///
    /// # Panics
    /// If the response is incomplete, endless, or a WebSocket.
    #[track_caller]
    pub fn send(&self, request: impl Into<RequestBuilder>) -> Fetched {
        self.begin(request, false).collect()
    }

    /// Sends a request and returns the response as a stream of chunks or events.
    pub fn stream(&self, request: impl Into<RequestBuilder>) -> Stream {
        Stream::new(self.begin(request, false))
    }

    /// Sends a request whose body you send in chunks with [`Stream::send`].
    ///
    /// # Panics
    /// If the request already has a body.
    #[track_caller]
    pub fn upload(&self, request: impl Into<RequestBuilder>) -> Stream {
        let request = request.into();
        assert!(!request.has_body(), "the body of an upload is sent by `send`");
        Stream::new(self.begin(request, true))
    }

    /// Opens a WebSocket.
    ///
    /// # Panics
    /// If the app does not accept it.
    #[track_caller]
    pub fn websocket(&self, request: impl Into<RequestBuilder>) -> WebSocket {
        match self.try_websocket(request) {
            Ok(socket) => socket,
            Err(response) => {
                panic!("no WebSocket was opened, got {}: {}", response.status(), response.text())
            }
        }
    }

    /// Opens a WebSocket.
    ///
    /// # Errors
    /// The response of an app that does not accept it.
    #[track_caller]
    pub fn try_websocket(&self, request: impl Into<RequestBuilder>) -> Result<WebSocket, Fetched> {
        WebSocket::open(self.begin(WebSocket::handshake(request.into()), false))
    }

    fn begin(&self, request: impl Into<RequestBuilder>, uploads: bool) -> Client {
        Client::begin(&self.worker.generation, request.into(), uploads)
    }

    /// Calls one of the app's methods, as another app or a client does.
    ///
    /// # Errors
    /// The method's error, or a serialization error of the parameters or the result.
    pub fn call<P: Serialize, R: DeserializeOwned>(&self, name: &str, params: P) -> Result<R, RpcError> {
        let params =
            to_raw_value(&params).map_err(|error| RpcError::new(code::INVALID_PARAMS, error.to_string()))?;
        let result = self.worker.call(name, params)?;
        serde_json::from_str(result.get()).map_err(|error| {
            let what = format!("cannot deserialize the result of `{name}`: {error}; it is {result}");
            RpcError::new(code::INTERNAL_ERROR, what)
        })
    }

    /// The state that the app would hand over now; `null` if it has none.
    ///
    /// # Errors
    /// That of the app's `on_save`.
    pub fn save(&self) -> Result<Value, RpcError> {
        self.worker.save()
    }

    /// Replaces the app with a new generation, as a host does when its library is rebuilt: server-sent events and
    /// WebSockets are closed, the app's state is saved, and the new one starts with it.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    ///
    /// use atoll_plugin::prelude::*;
    /// use atoll_plugin::test::TestApp;
    ///
    /// fn app() -> Application {
    ///     let count = Rc::new(Cell::new(0));
    ///     let (saved, restored) = (count.clone(), count.clone());
    ///     Application::new()
    ///         .on_save(move || Ok(saved.get()))
    ///         .on_restore(move |count: u32| Ok(restored.set(count)))
    ///         .post("/", move |_: Request| {
    ///             count.set(count.get() + 1);
    ///             Json(count.get())
    ///         })
    /// }
    ///
    /// let app = TestApp::new(app);
    /// assert_eq!(app.send(Request::post("/")).text(), "1");
    /// let app = app.reload();
    /// assert_eq!(app.send(Request::post("/")).text(), "2");
    /// ```
    ///
    /// # Panics
    /// The new generation failed to start; or the app has a state, and the test has requests open that do not end.
    #[track_caller]
    pub fn reload(self) -> Self {
        let make = self.make.clone();
        self.replace(make)
    }

    /// Like [`reload`](Self::reload), with another app: its next version, which must accept the state of this one.
    ///
    /// # Panics
    /// As for [`reload`](Self::reload).
    #[track_caller]
    pub fn reload_as<K>(self, app: impl AnyFunction<K> + Send + Sync) -> Self {
        self.replace(maker(app))
    }

    #[track_caller]
    fn replace(mut self, make: Maker) -> Self {
        let old = &self.worker;
        old.end_endless();
        let mut lost = None;
        let state = if old.generation.workers.saves() {
            self.settle("be reloaded");
            old.save().inspect_err(|error| lost = Some(error.to_string())).ok()
        } else {
            None
        };
        let settings = &old.generation.start;
        let start = Start { generation: settings.generation + 1, state, ..settings.clone() };
        let new = match Worker::start(&make, start, self.others.clone(), old.generation.patience) {
            Ok(new) => new,
            Err(error) => panic!("generation {} failed to start: {error}", settings.generation + 1),
        };
        if let Some(why) = lost {
            new.journal
                .add(Level::Warn, &format!("starting without the state of the previous generation: {why}"));
        }
        self.make = make;
        let mut old = std::mem::replace(&mut self.worker, new);
        if old.in_flight() > 0 || old.stop().is_none() {
            old.notify(method::STOP, ());
            self.retired.push(old);
        }
        self
    }

    /// Waits until the app has no request of the test's.
    #[track_caller]
    fn settle(&self, to: &str) {
        let (patience, open) = (self.worker.generation.patience, self.worker.drain());
        assert!(
            open == 0,
            "the app `{}` cannot {to}: after {patience:?}, {open} requests are still open; read their answers to \
             the end, or drop them",
            self.worker.generation.start.app
        );
    }

    /// Lets the app finish its requests and stop, as a host does on shutdown; returns how it ended.
    ///
    /// # Panics
    /// If it does not stop in time.
    #[track_caller]
    pub fn stop(mut self) -> Exit {
        self.worker.end_endless();
        match self.worker.stop() {
            Some(exit) => exit,
            None => {
                let (generation, open) = (&self.worker.generation, self.worker.in_flight());
                let (app, patience) = (&generation.start.app, generation.patience);
                panic!("the app `{app}` did not stop within {patience:?}; {open} requests are open")
            }
        }
    }

    /// Sets the app's maximum log level; the default is `info`. The level is process-wide, like that of `log`.
    pub fn set_log_level(&self, level: LevelFilter) {
        self.worker.notify(method::LOG_LEVEL, LogLevel { level: level as u8 });
    }

    /// The levels and messages that this generation has logged on its worker's thread so far. Empty if the test has
    /// installed its own logger, which then gets the records.
    ///
    /// ```
    /// use atoll_plugin::log::Level;
    /// use atoll_plugin::prelude::*;
    /// use atoll_plugin::test::TestApp;
    ///
    /// let app = TestApp::new(|| {
    ///     Application::new().get("/", |_: Request| log::warn!("someone was here"))
    /// });
    /// app.get("/");
    /// assert_eq!(app.log(), [(Level::Warn, "someone was here".to_owned())]);
    /// ```
    pub fn log(&self) -> Vec<(Level, String)> {
        self.worker.journal.records()
    }
}

impl fmt::Debug for TestApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestApp").field("start", &self.worker.generation.start).finish_non_exhaustive()
    }
}
