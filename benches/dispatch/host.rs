//! The host on the bench's own thread: the registry with apps in it, as `atoll serve` has it, but without HTTP.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use atoll_host::config::{Config, Isolation};
use atoll_host::internal::exchange::{RequestBody, ResponseBody};
use atoll_host::internal::{App, Registrar, RegistrarBuilder, Registry, exchange};
use atoll_plugin::protocol::{Header, HttpRequest, HttpVersion};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use crate::library::Copied;
use crate::request;

/// How a registry is built.
type Build = fn() -> RegistrarBuilder;

/// A host with the library of `hello`, whose apps are taken down when this is dropped.
pub(crate) struct Host {
    runtime: Runtime,
    local: LocalSet,
    registrar: Registrar,
    config: Config,
    library: Copied,
}

impl Host {
    /// One with the app `hello`.
    pub(crate) fn new() -> Self {
        Self::with_idle_timeout(None)
    }

    /// One that unloads the app when it got no request for so long.
    pub(crate) fn with_idle_timeout(timeout: Option<Duration>) -> Self {
        Self::with_hello(Registrar::builder, timeout, |config| config)
    }

    /// As [`with_idle_timeout`](Self::with_idle_timeout), with the app in a separate process.
    pub(crate) fn in_process_with_idle_timeout(timeout: Option<Duration>) -> Self {
        Self::with_hello(Registrar::builder, timeout, in_processes)
    }

    /// As [`in_process_with_idle_timeout`](Self::in_process_with_idle_timeout), where no process waits for an app.
    pub(crate) fn in_new_process_with_idle_timeout(timeout: Option<Duration>) -> Self {
        Self::with_hello(|| Registrar::builder().with_waiting_processes(0), timeout, in_processes)
    }

    fn with_hello(build: Build, timeout: Option<Duration>, change: impl FnOnce(Config) -> Config) -> Self {
        let library = Copied::of("hello");
        let mut config = change(config(&["hello".to_owned()], &library.path()));
        for app in &mut config.apps {
            app.settings.idle_timeout_ms = timeout.map(|timeout| timeout.as_millis() as u64);
        }
        Self::with_config(build, config, library)
    }

    /// One with apps of these names.
    pub(crate) fn with_apps(names: &[String], library: Copied) -> Self {
        Self::with_config(Registrar::builder, config(names, &library.path()), library)
    }

    /// One with apps of these names, each in a separate process.
    pub(crate) fn with_processes(names: &[String], library: Copied) -> Self {
        Self::with_config(Registrar::builder, in_processes(config(names, &library.path())), library)
    }

    fn with_config(build: Build, config: Config, library: Copied) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        let local = LocalSet::new();
        let registrar = local.block_on(&runtime, async { build().build().expect("the host starts") });
        let host = Self { runtime, local, registrar, config, library };
        host.register();
        host
    }

    /// Registers the apps, which starts nothing yet.
    pub(crate) fn register(&self) {
        self.run(async { self.registrar.apply(&self.config) });
    }

    /// Takes all apps down, until nothing of them is left.
    pub(crate) fn close(&self) {
        self.run(self.registrar.close());
    }

    /// The registered apps.
    pub(crate) fn registry(&self) -> &Registry {
        self.registrar.registry()
    }

    /// The app `hello`.
    pub(crate) fn app(&self) -> Arc<App> {
        self.registrar.registry().get("hello").expect("hello is registered")
    }

    /// The library's file.
    pub(crate) fn library(&self) -> &Copied {
        &self.library
    }

    /// Runs `work` with all that the host does on this thread.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.local.block_on(&self.runtime, work)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.close();
    }
}

/// So many names of apps.
pub(crate) fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("app{number}")).collect()
}

/// The registry's file with apps of these names, which all have this library.
pub(crate) fn config(names: &[String], library: &Path) -> Config {
    let apps: Vec<Value> = names.iter().map(|name| json!({ "name": name, "path": library })).collect();
    Config::parse(&json!(apps).to_string(), Path::new("/"), "the bench's apps.json")
        .expect("the registry is well-formed")
}

/// With all apps in separate processes.
pub(crate) fn in_processes(mut config: Config) -> Config {
    config.apps.iter_mut().for_each(|app| app.settings.isolation = Isolation::Process);
    config
}

/// Sends one request to the app, as the host's HTTP side does.
pub(crate) async fn send(app: &App) {
    let headers = [("host", "127.0.0.1:3000")].into_iter().chain(request::HEADERS);
    let request = HttpRequest {
        method: "GET".into(),
        path: request::PATH.into(),
        query: "".into(),
        prefix: "/apps/hello".into(),
        headers: headers.map(|(name, value)| Header::new(name, value)).collect(),
        peer: Some("127.0.0.1:50000".into()),
        request_id: "1a2b-3c4d".into(),
        traceparent: None,
        version: HttpVersion::default(),
        deadline_ms: None,
        body: None,
    };
    let answer = exchange::http(app, request, RequestBody::None, |_, head, body| match body {
        ResponseBody::Whole(bytes) => (head.status, bytes),
        _ => panic!("hello answers with a whole body"),
    })
    .await;
    let (status, body) = answer.unwrap_or_else(|problem| panic!("hello did not answer: {problem:?}"));
    assert_eq!((status, &*body), (200, &br#"{"name":"tobe"}"#[..]));
}
