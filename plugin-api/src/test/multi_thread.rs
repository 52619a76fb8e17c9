//! The setting `runtime` of an app under test.

use std::fmt::Display;

use crate::abi::Exit;
use crate::abi::port::Port;
use crate::make::{
    AnyFunction, Function, Make, MakeSendService, MakeSendServiceLater, TryMakeSendService,
    TryMakeSendServiceLater,
};
use crate::protocol::Start;
use crate::tower::SendHttpService;
use crate::worker::app::App;
use atoll_protocol::Error;

/// An app with the setting `"runtime": "multi-thread"`: a function that makes a tower service such as an axum router.
///
/// [`TestApp`](super::TestApp) takes it wherever it takes the function. As in a host, the service and its futures have to be
/// `Send`.
///
/// ```
/// use axum::{Router, routing::get};
/// use atoll_plugin::test::{MultiThread, TestApp};
///
/// fn app() -> Router {
///     // It panics with the setting's default.
///     Router::new().route("/", get(async || tokio::task::block_in_place(|| "done")))
/// }
///
/// let app = TestApp::new(MultiThread(app));
/// assert_eq!(app.get("/").text(), "done");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MultiThread<F>(pub F);

/// With this setting.
fn multi_thread(start: &Start) -> Start {
    Start { multi_thread: true, ..start.clone() }
}

/// An app that is started with this setting.
struct WithThreads(Box<dyn App>);

impl App for WithThreads {
    fn start(&mut self, start: &Start) -> Result<(), Error> {
        self.0.start(&multi_thread(start))
    }

    fn run(self: Box<Self>, start: &Start, port: Port) -> Exit {
        self.0.run(&multi_thread(start), port)
    }
}

/// `fn() -> Router`.
#[derive(Debug)]
pub struct Plain;

/// `fn() -> Result<Router, E>`.
#[derive(Debug)]
pub struct Fallible;

/// `async fn() -> Router`.
#[derive(Debug)]
pub struct Later;

/// `async fn() -> Result<Router, E>`.
#[derive(Debug)]
pub struct FallibleLater;

impl<F, P> AnyFunction<(P, Plain)> for MultiThread<F>
where
    F: Function<P, Made: SendHttpService>,
{
    fn make(&self, start: &Start) -> Box<dyn App> {
        let made = MakeSendService::make(&&&&&&&&Make::new(self.0.clone()), &multi_thread(start));
        Box::new(WithThreads(made))
    }
}

impl<F, P, S, E> AnyFunction<(P, Fallible)> for MultiThread<F>
where
    F: Function<P, Made = Result<S, E>>,
    S: SendHttpService,
    E: Display,
{
    fn make(&self, start: &Start) -> Box<dyn App> {
        let made = TryMakeSendService::make(&&&&&&&Make::new(self.0.clone()), &multi_thread(start));
        Box::new(WithThreads(made))
    }
}

impl<F, P> AnyFunction<(P, Later)> for MultiThread<F>
where
    F: Function<P, Made: Future<Output: SendHttpService>>,
{
    fn make(&self, start: &Start) -> Box<dyn App> {
        let made = MakeSendServiceLater::make(&&&&&&Make::new(self.0.clone()), &multi_thread(start));
        Box::new(WithThreads(made))
    }
}

impl<F, P, S, E> AnyFunction<(P, FallibleLater)> for MultiThread<F>
where
    F: Function<P, Made: Future<Output = Result<S, E>>>,
    S: SendHttpService,
    E: Display,
{
    fn make(&self, start: &Start) -> Box<dyn App> {
        let made = TryMakeSendServiceLater::make(&&&&&Make::new(self.0.clone()), &multi_thread(start));
        Box::new(WithThreads(made))
    }
}
