//! The way of a request through an application: middleware, the route's handlers, and what changes responses.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::http::handler::Step;
use crate::http::outcome::Outcome;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::http::routes::Found;
use crate::worker::application::Application;
use atoll_protocol::Error;

/// What comes of a request.
pub(crate) enum Handled {
    /// The answer: no handler had to be waited for.
    Ready(Result<Response, Error>),
    /// A handler is to be waited for.
    Pending(LocalBoxFuture<'static, Result<Response, Error>>),
}

impl Application {
    /// Begins to answer a request. Panics of handlers come through, here and from the future.
    pub(crate) fn handle(self: &Rc<Self>, request: Request) -> Handled {
        let mut pipeline = Pipeline::new(self, request);
        match pipeline.advance(self) {
            Progress::Answered(answer) => Handled::Ready(pipeline.finish(self, answer)),
            Progress::Waiting(handler) => {
                let app = Rc::clone(self);
                Handled::Pending(async move { pipeline.go_on(&app, handler).await }.boxed_local())
            }
        }
    }

    /// Whether a handler for this request reads the body as it comes.
    pub(crate) fn streams(&self, request: &Request) -> bool {
        let Found::Route { index, .. } = self.routes.find(request.method(), request.path()) else {
            return false;
        };
        let mut next = 0;
        while let Some((handler, after)) = self.routes.next_handler(index, request.method(), next) {
            if handler.is_streamed() {
                return true;
            }
            next = after;
        }
        false
    }

    /// Answers a request as the host would have it answered, for an app's own tests.
    ///
    /// # Errors
    /// What a handler fails with; status 404 when none answers.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    ///
    /// # async fn test() -> Result<(), Error> {
    /// let app = Application::new().get("/", async |_: Request| "hello");
    /// let response = app.call(Request::get("/")).await?;
    /// assert_eq!(response.body_bytes(), b"hello");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call(&self, request: impl Into<Request>) -> Result<Response, Error> {
        let mut pipeline = Pipeline::new(self, request.into());
        match pipeline.advance(self) {
            Progress::Answered(answer) => pipeline.finish(self, answer),
            Progress::Waiting(handler) => pipeline.go_on(self, handler).await,
        }
    }

    /// Answers a request on this thread, for an app's own tests: [`call`](Self::call), with an error
    /// turned into a response as the host does.
    ///
    /// It waits for handlers that are futures, by whatever wakes them. A handler that needs a runtime, such as
    /// tokio's, finds none here: run `call` on one. With the feature `test` there is a `TestApp`, in which an app is
    /// served as in a host.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    ///
    /// let app = Application::new().get("/", |_: Request| "hello");
    /// assert_eq!(app.oneshot(Request::get("/")).body_bytes(), b"hello");
    /// assert_eq!(app.oneshot(Request::get("/nowhere")).status_code(), 404);
    /// ```
    pub fn oneshot(&self, request: impl Into<Request>) -> Response {
        wait_for(self.call(request)).unwrap_or_else(Response::from)
    }
}

/// A request on its way.
struct Pipeline {
    request: Request,
    found: Found,
    /// The next one of the middleware, and then of the route's handlers.
    next: Next,
}

#[derive(Clone, Copy)]
enum Next {
    Middleware(usize),
    Handler(usize),
}

enum Progress {
    Answered(Result<Response, Error>),
    Waiting(LocalBoxFuture<'static, Outcome>),
}

impl Pipeline {
    fn new(app: &Application, mut request: Request) -> Self {
        let found = app.routes.find(request.method(), request.path());
        if let Found::Route { params, .. } = &found {
            request.set_params(params.clone());
        }
        Self { request, found, next: Next::Middleware(0) }
    }

    /// Calls one handler after the other, until one answers or has to be waited for.
    fn advance(&mut self, app: &Application) -> Progress {
        while let Some(step) = self.step(app) {
            match step {
                Step::Done(Ok(None)) => {}
                Step::Done(Ok(Some(response))) => return Progress::Answered(Ok(response)),
                Step::Done(Err(error)) => return Progress::Answered(Err(error)),
                Step::Waiting(handler) => return Progress::Waiting(handler),
            }
        }
        Progress::Answered(self.unanswered())
    }

    /// Waits for a handler, and for those after it if need be.
    async fn go_on(
        mut self,
        app: &Application,
        mut handler: LocalBoxFuture<'static, Outcome>,
    ) -> Result<Response, Error> {
        loop {
            let answer = match handler.await {
                Ok(None) => match self.advance(app) {
                    Progress::Answered(answer) => answer,
                    Progress::Waiting(next) => {
                        handler = next;
                        continue;
                    }
                },
                Ok(Some(response)) => Ok(response),
                Err(error) => Err(error),
            };
            return self.finish(app, answer);
        }
    }

    /// Calls the next handler; `None` when there is none left.
    fn step(&mut self, app: &Application) -> Option<Step> {
        if let Next::Middleware(index) = self.next {
            if let Some(handler) = app.middleware.get(index) {
                self.next = Next::Middleware(index + 1);
                return Some(handler.call(self.request.clone()));
            }
            self.next = Next::Handler(0);
        }
        let (Next::Handler(from), Found::Route { index, .. }) = (self.next, &self.found) else {
            return None;
        };
        let (handler, next) = app.routes.next_handler(*index, self.request.method(), from)?;
        self.next = Next::Handler(next);
        Some(handler.call(self.request.clone()))
    }

    /// The answer when no handler has one.
    fn unanswered(&self) -> Result<Response, Error> {
        let (method, path) = (self.request.method(), self.request.path());
        match &self.found {
            Found::OtherMethods { allow } => {
                // A response rather than an error, because an error has no headers.
                let error = Error::new(405, format!("{path} takes {allow}, not {method}"));
                Ok(Response::from(error).header("allow", allow))
            }
            Found::Malformed(error) => Err(error.clone()),
            Found::Nothing | Found::Route { .. } => {
                Err(Error::not_found(format!("no route for {method} {path}")))
            }
        }
    }

    fn finish(self, app: &Application, answer: Result<Response, Error>) -> Result<Response, Error> {
        let changes = app.after.iter();
        changes.fold(answer?, |response, change| change(&self.request, response)).checked()
    }
}

/// Polls a future on this thread until it is ready.
fn wait_for<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::http::body::Content;
    use crate::http::payload::Payload;

    /// Gives way once, as a handler does that waits for something.
    async fn pause() {
        let mut paused = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut paused, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn text(response: &Response) -> &str {
        std::str::from_utf8(response.body_bytes()).unwrap()
    }

    #[test]
    fn handlers_run_in_order_until_one_answers() {
        let log = Rc::new(RefCell::new(Vec::new()));
        let note = |name: &'static str| {
            let log = log.clone();
            move || log.borrow_mut().push(name)
        };
        let (m1, m2, h1, h2, h3) = (note("m1"), note("m2"), note("h1"), note("h2"), note("h3"));
        let app = Application::new()
            .get("/", move |_: Request| h1())
            .middleware(move |_: Request| m1())
            .post("/", |_: Request| "not this one")
            .all("/", async move |_: Request| {
                pause().await;
                h2();
                None::<Response>
            })
            .middleware(async move |_: Request| {
                pause().await;
                m2();
            })
            .get("/", move |_: Request| {
                h3();
                "answer"
            })
            .get("/", |_: Request| -> Response { unreachable!("there is an answer already") });
        assert_eq!(text(&app.oneshot(Request::get("/"))), "answer");
        assert_eq!(*log.borrow(), ["m1", "m2", "h1", "h2", "h3"]);
    }

    #[test]
    fn middleware_gets_requests_without_a_route() {
        let app = Application::new()
            .middleware(|req: Request| (req.path() == "/health").then_some("ok"))
            .middleware(|req: Request| req.param("id").map(|id| format!("middleware sees {id}")))
            .get("/{id}/x", |_: Request| "handler");
        assert_eq!(text(&app.oneshot(Request::get("/health"))), "ok");
        assert_eq!(text(&app.oneshot(Request::get("/7/x"))), "middleware sees 7");
        assert_eq!(app.oneshot(Request::get("/7")).status_code(), 404);
    }

    #[test]
    fn what_nobody_answers_is_404_and_another_method_405() {
        let app = Application::new()
            .get("/", |_: Request| "x")
            .put("/", |_: Request| "x")
            .all("/pass", |_: Request| ());
        let missing = app.oneshot(Request::get("/missing"));
        assert_eq!(missing.status_code(), 404);
        assert!(text(&missing).contains("no route for GET /missing"));
        assert_eq!(app.oneshot(Request::get("/pass")).status_code(), 404);

        let other = app.oneshot(Request::delete("/"));
        assert_eq!(other.status_code(), 405);
        assert_eq!(other.get_header("allow").as_deref(), Some("GET, HEAD, PUT"));
        assert_eq!(app.oneshot(Request::get("/%ff")).status_code(), 404);
    }

    #[test]
    fn a_path_that_is_not_text_is_400_where_it_is_needed() {
        let app = Application::new().get("/{name}", |req: Request| req.param("name").map(str::to_owned));
        assert_eq!(app.oneshot(Request::get("/%ff")).status_code(), 400);
        assert_eq!(text(&app.oneshot(Request::get("/a%2Fb"))), "a/b");
    }

    #[test]
    fn head_is_answered_as_get() {
        let app = Application::new().get("/", |req: Request| req.method().to_owned());
        assert_eq!(text(&app.oneshot(Request::builder().method("HEAD"))), "HEAD");
        let app = app.head("/", |_: Request| Response::empty());
        assert_eq!(app.oneshot(Request::builder().method("HEAD")).status_code(), 204);
    }

    #[test]
    fn responses_can_be_changed_and_errors_not() {
        let app = Application::new()
            .get("/", |_: Request| "x")
            .get("/fails", |_: Request| Error::bad_request("no"))
            .after(|req: &Request, res: Response| res.header("x-path", req.path()))
            .after(|_: &Request, res: Response| {
                let path = res.get_header("x-path").map(|path| path.into_owned()).unwrap_or_default();
                if path == "/fails" { res.status(200) } else { res.header("x-seen", path) }
            });
        assert_eq!(app.oneshot(Request::get("/")).get_header("x-seen").as_deref(), Some("/"));
        assert_eq!(app.oneshot(Request::post("/")).get_header("x-seen").as_deref(), Some("/"));
        assert_eq!(app.oneshot(Request::get("/fails")).status_code(), 400);

        let app = app.after(|_: &Request, res: Response| res.header("x", "\r\n"));
        assert_eq!(app.oneshot(Request::get("/")).status_code(), 500);
    }

    #[test]
    fn only_what_waits_is_a_future() {
        let app =
            Rc::new(Application::new().get("/now", |_: Request| "now").get("/later", async |_: Request| {
                pause().await;
                Err::<(), _>(Error::new(418, "tea"))
            }));
        assert!(matches!(app.handle(Request::get("/now").build()), Handled::Ready(Ok(_))));
        let Handled::Pending(future) = app.handle(Request::get("/later").build()) else { panic!("ready") };
        assert_eq!(wait_for(future).unwrap_err().status(), 418);
    }

    #[test]
    fn an_echo_goes_through_without_a_copy() {
        let app = Rc::new(
            Application::new()
                .middleware(|req: Request| assert_eq!(req.extensions().insert(1), None))
                .post("/now", |req: Request| Response::bytes(req.into_body()))
                .post("/later", async |req: Request| {
                    pause().await;
                    req.into_body()
                })
                .after(|req: &Request, res: Response| res.header("x-length", req.body().len().to_string())),
        );
        for path in ["/now", "/later"] {
            let request = Request::post(path).body("the body").build();
            let place = request.body().as_ptr();
            let answer = match app.handle(request) {
                Handled::Ready(answer) => answer,
                Handled::Pending(future) => wait_for(future),
            };
            let (status, headers, body) = answer.unwrap().into_parts();
            assert_eq!((status, headers.len()), (200, 2));
            assert!(
                matches!(&body, Content::Whole(Payload::Vec(bytes)) if bytes.as_ptr() == place),
                "{path}"
            );
        }
    }
}
