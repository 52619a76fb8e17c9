//! Functions that answer requests.

use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::http::outcome::{IntoOutcome, Outcome};
use crate::http::request::Request;

/// A function or closure that answers requests, or passes them on: `Fn(Request) -> R`, or an async one, with any
/// `R` that is [`IntoOutcome`].
///
/// `M` only tells the two kinds apart; the compiler finds it. A worker is one thread, so that neither a handler
/// nor its future needs to be `Send`: what handlers share goes in an [`Rc`], and a `Cell` or `RefCell` in it.
///
/// A handler that blocks its thread holds up all requests of its worker; an async one only while it computes.
///
/// ```
/// use std::cell::Cell;
/// use atoll_plugin::prelude::*;
///
/// async fn hello(req: Request) -> String {
///     format!("hello {}", req.param("name").unwrap_or("you"))
/// }
///
/// let visits = Cell::new(0);
/// let app = Application::new()
///     .get("/hello/{name}", hello)
///     .get("/count", move |_: Request| {
///         visits.set(visits.get() + 1);
///         visits.get().to_string()
///     });
/// assert_eq!(app.oneshot(Request::get("/hello/ann")).body_bytes(), b"hello ann");
/// assert_eq!(app.oneshot(Request::get("/count")).body_bytes(), b"1");
/// assert_eq!(app.oneshot(Request::get("/count")).body_bytes(), b"2");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "not a handler",
    note = "expected `|req: Request| ..`, `async |req: Request| ..`, or a function with that signature",
    note = "that returns a `Response`, `()`, `Option`, `Result`, string, bytes, `Json` or `(u16, ..)`, and is `'static`"
)]
pub trait Handler<M>: Sized + 'static {
    /// The handler as the application keeps it.
    fn boxed(self) -> BoxedHandler;
}

/// A handler of any kind; see [`Handler::boxed`].
pub struct BoxedHandler {
    function: Box<dyn Fn(Request) -> Step>,
    streamed: bool,
}

/// Has a handler called before the request's body is there, to read it as it comes by
/// [`Request::body_stream`]; of any size, as `body_limit` is for bodies that are held in memory whole. Middleware, too,
/// sees such a request without its body.
///
/// ```
/// use atoll_plugin::prelude::*;
///
/// async fn count(req: Request) -> Result<String, Error> {
///     let (mut body, mut bytes) = (req.body_stream(), 0);
///     while let Some(chunk) = body.chunk().await {
///         bytes += chunk?.len();
///     }
///     Ok(format!("{bytes} bytes"))
/// }
///
/// let app = Application::new()
///     .post("/count", streamed(count))
///     .post("/echo", streamed(|req: Request| Response::bytes(req.body_stream())));
/// assert_eq!(app.oneshot(Request::post("/count").body("four")).body_bytes(), b"4 bytes");
/// ```
pub fn streamed<M>(handler: impl Handler<M>) -> BoxedHandler {
    BoxedHandler { streamed: true, ..handler.boxed() }
}

/// Marks handlers that are boxed already.
#[doc(hidden)]
#[derive(Debug)]
pub struct Boxed;

impl Handler<Boxed> for BoxedHandler {
    fn boxed(self) -> BoxedHandler {
        self
    }
}

/// How far a handler came when it was called.
pub(crate) enum Step {
    Done(Outcome),
    Waiting(LocalBoxFuture<'static, Outcome>),
}

impl BoxedHandler {
    pub(crate) fn call(&self, request: Request) -> Step {
        (self.function)(request)
    }

    /// Whether it reads the body as it comes.
    pub(crate) fn is_streamed(&self) -> bool {
        self.streamed
    }
}

/// Marks handlers that answer when they are called.
#[doc(hidden)]
#[derive(Debug)]
pub struct Immediate<R>(R);

/// Marks handlers that answer with a future.
#[doc(hidden)]
#[derive(Debug)]
pub struct Eventual<R>(R);

impl<F, R> Handler<Immediate<R>> for F
where
    F: Fn(Request) -> R + 'static,
    R: IntoOutcome,
{
    fn boxed(self) -> BoxedHandler {
        BoxedHandler {
            function: Box::new(move |request| Step::Done(self(request).into_outcome())),
            streamed: false,
        }
    }
}

impl<F, R> Handler<Eventual<R>> for F
where
    F: AsyncFn(Request) -> R + 'static,
    R: IntoOutcome,
{
    fn boxed(self) -> BoxedHandler {
        // The future of an async closure borrows the closure, so it has to hold it.
        let handler = Rc::new(self);
        BoxedHandler {
            function: Box::new(move |request| {
                let handler = Rc::clone(&handler);
                Step::Waiting(async move { handler(request).await.into_outcome() }.boxed_local())
            }),
            streamed: false,
        }
    }
}

impl std::fmt::Debug for BoxedHandler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BoxedHandler")
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::ready;
    use std::pin::Pin;

    use super::*;
    use crate::http::response::Response;
    use atoll_protocol::Error;

    fn answer<M>(handler: impl Handler<M>) -> String {
        let step = handler.boxed().call(Request::get("/").build());
        let outcome = match step {
            Step::Done(outcome) => outcome,
            Step::Waiting(future) => future.now_or_never().unwrap(),
        };
        match outcome {
            Ok(Some(response)) => String::from_utf8(response.body_bytes().to_vec()).unwrap(),
            Ok(None) => "passed on".to_owned(),
            Err(error) => format!("failed: {error}"),
        }
    }

    #[test]
    fn functions_and_closures_of_both_kinds_are_handlers() {
        fn function(_: Request) -> Result<&'static str, std::num::ParseIntError> {
            "x".parse::<u8>().map(|_| "ok")
        }
        async fn async_function(req: Request) -> Response {
            ready(()).await;
            Response::text(req.path())
        }
        assert_eq!(answer(function), "failed: invalid digit found in string");
        assert_eq!(answer(async_function), "/");
        assert_eq!(answer(|_: Request| {}), "passed on");
        assert_eq!(answer(|_: Request| async {}), "passed on");
        assert_eq!(answer(async |_: Request| Some("some")), "some");
        assert_eq!(answer(|_: Request| async { Err::<(), _>(Error::internal("no")) }), "failed: no");
        let pinned = |_: Request| -> Pin<Box<dyn Future<Output = &'static str>>> { Box::pin(ready("boxed")) };
        assert_eq!(answer(pinned), "boxed");
    }

    #[test]
    fn an_async_closure_may_borrow_what_it_owns() {
        let seen = RefCell::new(Vec::new());
        let handler = async move |req: Request| {
            seen.borrow_mut().push(req.path().to_owned());
            ready(()).await;
            seen.borrow().join(",")
        };
        assert_eq!(answer(handler), "/");
    }
}
