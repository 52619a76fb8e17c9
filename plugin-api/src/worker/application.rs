//! An app as its author describes it.

use std::fmt;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::http::handler::{BoxedHandler, Handler};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::routes::{Method, Routes};
use crate::protocol::Start;
use crate::worker::rpc::{Methods, RpcHandler};
use atoll_protocol::Error;

pub(crate) use crate::worker::pipeline::Handled;

/// An app: its routes, methods and hooks.
///
/// Pass a function that returns one to `export_app!`; each worker calls that function and runs its own application on
/// its own thread.
///
/// # Routes
/// A pattern is compared with the path as sent. `{name}` matches one segment or a part of it, `{*name}` at the end
/// matches the rest, which may be empty: `/files/{*path}` matches `/files/`, but not `/files`. `{{` and `}}` are
/// literal braces. If several patterns match, the most specific one wins, regardless of the order in which they were
/// added: at the first segment that differs, plain text goes before `{name}`, and that before `{*name}`.
///
/// Handlers of the same pattern run in the order in which they were added, until one returns a response; a handler that
/// returns `()` or `None` passes the request on. If there is no route, or all handlers pass, the response is 404; if
/// the path only has routes for other methods, it is 405 with the header `allow`. A `HEAD` request uses the `GET`
/// handlers if the pattern has none for `HEAD`, and the host drops the body.
///
/// ```
/// use atoll_plugin::prelude::*;
///
/// fn app() -> Application {
///     Application::new()
///         .get("/greet/{name}", |req: Request| Response::json(req.params()))
///         .all("/{*path}", |_: Request| Response::json(json!({ "hello": "serverless world!" })))
/// }
///
/// let response = app().oneshot(Request::get("/greet/tobe"));
/// assert_eq!(response.body_bytes(), br#"{"name":"tobe"}"#);
/// let response = app().oneshot(Request::post("/"));
/// assert_eq!(response.body_bytes(), br#"{"hello":"serverless world!"}"#);
/// ```
#[derive(Default)]
#[must_use]
pub struct Application {
    pub(crate) routes: Routes,
    pub(crate) methods: Methods,
    pub(crate) middleware: Vec<BoxedHandler>,
    pub(crate) after: Vec<Box<After>>,
    on_start: Vec<Box<OnStart>>,
    on_stop: Vec<Box<OnStop>>,
    on_save: Option<Box<OnSave>>,
    on_restore: Option<Box<OnRestore>>,
}

type After = dyn Fn(&Request, Response) -> Response;
type OnStart = dyn Fn(&Start) -> Result<(), Error>;
type OnStop = dyn Fn() -> LocalBoxFuture<'static, Result<(), Error>>;
type OnSave = dyn Fn() -> Result<Value, Error>;
type OnRestore = dyn Fn(Value) -> Result<(), Error>;

macro_rules! method {
    ($(#[doc = $doc:literal] $name:ident $method:literal;)+) => {$(
        #[doc = $doc]
        ///
        /// # Panics
        /// If the pattern is malformed or conflicts with another one.
        #[track_caller]
        pub fn $name<M>(self, pattern: &str, handler: impl Handler<M>) -> Self {
            self.route(Some($method), pattern, handler.boxed())
        }
    )+};
}

impl Application {
    /// An application that responds to every request with 404.
    pub fn new() -> Self {
        Self::default()
    }

    method! {
        /// Adds a handler for `GET` requests to a pattern, which also serves `HEAD` requests.
        get "GET";
        /// Adds a handler for `POST` requests to a pattern.
        post "POST";
        /// Adds a handler for `PUT` requests to a pattern.
        put "PUT";
        /// Adds a handler for `PATCH` requests to a pattern.
        patch "PATCH";
        /// Adds a handler for `DELETE` requests to a pattern.
        delete "DELETE";
        /// Adds a handler for `HEAD` requests to a pattern.
        head "HEAD";
        /// Adds a handler for `OPTIONS` requests to a pattern.
        options "OPTIONS";
    }

    /// Adds a handler for requests of any method to a pattern.
    ///
    /// # Panics
    /// If the pattern is malformed or conflicts with another one.
    #[track_caller]
    pub fn all<M>(self, pattern: &str, handler: impl Handler<M>) -> Self {
        self.route(None, pattern, handler.boxed())
    }

    /// Adds a JSON-RPC method, which other apps call with [`Host::call`](crate::Host::call), and clients at `POST
    /// /rpc/{app}`. See [`RpcHandler`] for parameters and errors.
    ///
    /// # Panics
    /// If a method with this name exists already, or the name is reserved for the port's protocol: `http`, `start`,
    /// `stop`, `cancel`, `call`, `fetch`, or one that starts with `rpc.`, `state.`, `body.` or `ws.`.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    ///
    /// let app = Application::new()
    ///     .method("add", |numbers: Vec<f64>| Ok::<_, Error>(numbers.iter().sum::<f64>()));
    /// ```
    #[track_caller]
    pub fn method<M>(mut self, name: &str, handler: impl RpcHandler<M>) -> Self {
        self.methods.add(name, handler.boxed());
        self
    }

    #[track_caller]
    fn route(mut self, method: Method, pattern: &str, handler: BoxedHandler) -> Self {
        self.routes.add(method, pattern, handler);
        self
    }

    /// Adds a handler that runs for every request before the handlers of its route, even if there is no route. It
    /// returns a response, or passes the request on by returning `()` or `None`. It can store values in
    /// [`Request::extensions`].
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    ///
    /// let app = Application::new()
    ///     .middleware(|req: Request| req.header("authorization").is_none().then_some((401, "who are you?")))
    ///     .get("/", |_: Request| "welcome");
    /// assert_eq!(app.oneshot(Request::get("/")).status_code(), 401);
    /// assert_eq!(app.oneshot(Request::get("/").header("authorization", "me")).status_code(), 200);
    /// ```
    pub fn middleware<M>(mut self, handler: impl Handler<M>) -> Self {
        self.middleware.push(handler.boxed());
        self
    }

    /// Adds a function that every response passes through, in the order in which they were added. An
    /// [`Error`], such as the one for a path without a route, is not a response: the host turns it into one.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    ///
    /// let app = Application::new()
    ///     .get("/", |_: Request| "welcome")
    ///     .after(|_: &Request, res: Response| res.header("x-served-by", "atoll"));
    /// let response = app.oneshot(Request::get("/"));
    /// assert_eq!(response.get_header("x-served-by").as_deref(), Some("atoll"));
    /// ```
    pub fn after(mut self, change: impl Fn(&Request, Response) -> Response + 'static) -> Self {
        self.after.push(Box::new(change));
        self
    }

    /// Adds a hook that runs once on each worker, before its first request: [`Start`] has the app's settings.
    /// If it fails, the app fails to start.
    ///
    /// ```
    /// use std::{cell::RefCell, rc::Rc};
    /// use atoll_plugin::prelude::*;
    ///
    /// fn app() -> Application {
    ///     let greeting = Rc::new(RefCell::new(String::new()));
    ///     let configured = greeting.clone();
    ///     Application::new()
    ///         .on_start(move |start| {
    ///             let text = start.config["greeting"].as_str().ok_or_else(|| Error::internal("no greeting"))?;
    ///             configured.replace(text.to_owned());
    ///             Ok(())
    ///         })
    ///         .get("/", move |_: Request| greeting.borrow().clone())
    /// }
    /// # app();
    /// ```
    pub fn on_start(mut self, hook: impl Fn(&Start) -> Result<(), Error> + 'static) -> Self {
        self.on_start.push(Box::new(hook));
        self
    }

    /// Adds a hook that runs once on each worker, when the app is stopped or its library was replaced, and its requests have
    /// ended. The host waits for it for `stop_timeout_ms`, and then drops it. If it fails, that is logged. Hooks run in the
    /// order in which they were added.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    ///
    /// fn app() -> Application {
    ///     Application::new()
    ///         .on_stop(async || {
    ///             log::info!("good bye");
    ///             Ok(())
    ///         })
    ///         .get("/", |_: Request| "hello")
    /// }
    /// # app();
    /// ```
    pub fn on_stop<F>(mut self, hook: impl Fn() -> F + 'static) -> Self
    where
        F: Future<Output = Result<(), Error>> + 'static,
    {
        self.on_stop.push(Box::new(move || hook().boxed_local()));
        self
    }

    /// Sets the hook that returns the state for the next generation when the app's library is replaced. The state can
    /// be any type that serializes to JSON; see [`on_restore`](Self::on_restore).
    ///
    /// If it fails, the next generation starts without state.
    pub fn on_save<T: Serialize>(mut self, hook: impl Fn() -> Result<T, Error> + 'static) -> Self {
        self.on_save = Some(Box::new(move || Ok(serde_json::to_value(hook()?)?)));
        self
    }

    /// Sets the hook that restores the state of the previous generation; it runs after [`on_start`](Self::on_start),
    /// and only if there is a state.
    ///
    /// If the state is not a `T` or the hook fails, the app starts without it and a warning is logged. A `T` of
    /// [`serde_json::Value`] accepts any state.
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    /// use atoll_plugin::prelude::*;
    ///
    /// fn app() -> Application {
    ///     let count = Rc::new(Cell::new(0));
    ///     let (save, restore) = (count.clone(), count.clone());
    ///     Application::new()
    ///         .on_save(move || Ok(save.get()))
    ///         .on_restore(move |saved: u64| {
    ///             restore.set(saved);
    ///             Ok(())
    ///         })
    ///         .get("/", move |_: Request| {
    ///             count.set(count.get() + 1);
    ///             count.get().to_string()
    ///         })
    /// }
    /// # app();
    /// ```
    pub fn on_restore<T: DeserializeOwned>(
        mut self,
        hook: impl Fn(T) -> Result<(), Error> + 'static,
    ) -> Self {
        self.on_restore = Some(Box::new(move |state| hook(serde_json::from_value(state)?)));
        self
    }

    /// Runs the hooks of the start.
    ///
    /// # Errors
    /// That of an `on_start` hook. A state that cannot be restored is no error.
    pub(crate) fn start(&self, start: &Start) -> Result<(), Error> {
        for hook in &self.on_start {
            hook(start)?;
        }
        if let (Some(state), Some(restore)) = (&start.state, &self.on_restore)
            && let Err(error) = restore(state.clone())
        {
            log::warn!("cannot restore the state of the previous generation, starting without it: {error}");
        }
        Ok(())
    }

    /// Runs the hooks of the end.
    pub(crate) async fn stop(&self) {
        for hook in &self.on_stop {
            if let Err(error) = hook().await {
                log::error!("a hook of `on_stop` failed: {error}");
            }
        }
    }

    /// Whether there is a state for the next generation.
    pub(crate) fn saves(&self) -> bool {
        self.on_save.is_some()
    }

    /// The state for the next generation; `null` when the app has none.
    ///
    /// # Errors
    /// That of the `on_save` hook.
    pub(crate) fn save(&self) -> Result<Value, Error> {
        self.on_save.as_ref().map_or(Ok(Value::Null), |hook| hook())
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application")
            .field("routes", &self.routes)
            .field("methods", &self.methods)
            .field("middleware", &self.middleware.len())
            .field("after", &self.after.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use serde_json::json;

    use super::*;

    fn start(state: Option<Value>) -> Start {
        Start {
            app: "test".to_owned(),
            generation: 2,
            worker: 0,
            env: [("NAME".to_owned(), "value".to_owned())].into(),
            config: json!({ "n": 1 }),
            state,
            body_limit: 1 << 20,
            own_logger: false,
            multi_thread: false,
            workers: 1,
        }
    }

    #[test]
    fn state_goes_from_one_generation_to_the_next() {
        let count = Rc::new(Cell::new(5));
        let (save, restore) = (count.clone(), count.clone());
        let app = Application::new().on_save(move || Ok(save.get())).on_restore(move |saved: u64| {
            restore.set(saved);
            Ok(())
        });
        assert_eq!(app.save().unwrap(), json!(5));
        app.start(&start(Some(json!(7)))).unwrap();
        assert_eq!(count.get(), 7);
        app.start(&start(Some(json!("not a number")))).unwrap();
        app.start(&start(None)).unwrap();
        assert_eq!(count.get(), 7);
    }

    #[test]
    fn an_app_without_hooks_has_no_state() {
        assert_eq!(Application::new().save().unwrap(), Value::Null);
        Application::new().start(&start(Some(json!(1)))).unwrap();
    }

    #[test]
    fn a_hook_that_fails_says_so() {
        let app = Application::new().on_save(|| Err::<(), _>(Error::internal("busy")));
        assert_eq!(app.save().unwrap_err().message(), "busy");

        let reached = Rc::new(Cell::new(false));
        let seen = reached.clone();
        let app = Application::new()
            .on_start(|start| match start.env.get("NAME").map(String::as_str) {
                Some("value") => Ok(()),
                _ => Err(Error::internal("no NAME")),
            })
            .on_start(|_| Err(Error::internal("no database")))
            .on_restore(move |_: Value| {
                seen.set(true);
                Ok(())
            });
        assert_eq!(app.start(&start(Some(json!(1)))).unwrap_err().message(), "no database");
        assert!(!reached.get());
    }
}
