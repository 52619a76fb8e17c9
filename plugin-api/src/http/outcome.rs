//! What handlers may return, and what it means.

use serde::Serialize;
use serde_json::Value;

use crate::http::body::Body;
use crate::http::response::{Response, TEXT};
use atoll_protocol::Error;

/// What a handler came to: an answer, an error, or `Ok(None)`: the next handler is to have a look.
pub type Outcome = Result<Option<Response>, Error>;

/// What a handler may return.
///
/// | type | answer |
/// |---|---|
/// | [`Response`] | itself |
/// | `()` | none: the next handler gets the request |
/// | `Option<R>` | that of `R`; for `None` the next handler gets the request |
/// | `Result<R, E>` | that of `R`, or the error as an [`Error`] |
/// | `&'static str`, `String` | status 200, plain text |
/// | `Vec<u8>`, [`Body`] | status 200, bytes |
/// | [`Json<T>`](Json), [`serde_json::Value`] | status 200, JSON |
/// | `(u16, R)` | that of `R` with this status; when `R` has none, the status alone |
///
/// In a closure the error type of a `Result` cannot be guessed: `Ok::<_, Error>(..)` or
/// `|req: Request| -> Result<_, Error> { .. }` says it.
///
/// ```
/// use atoll_plugin::prelude::*;
///
/// let app = Application::new()
///     .get("/text", |_: Request| "hello")
///     .get("/json", |_: Request| Json(vec![1, 2]))
///     .post("/made", |_: Request| (201, Json("it")))
///     .get("/number/{n}", |req: Request| -> Result<_, Error> {
///         let n: u32 = req.param("n").unwrap_or_default().parse()?;
///         Ok(format!("{}", n + 1))
///     });
/// assert_eq!(app.oneshot(Request::get("/text")).body_bytes(), b"hello");
/// assert_eq!(app.oneshot(Request::get("/json")).body_bytes(), b"[1,2]");
/// assert_eq!(app.oneshot(Request::post("/made")).status_code(), 201);
/// assert_eq!(app.oneshot(Request::get("/number/41")).body_bytes(), b"42");
/// assert_eq!(app.oneshot(Request::get("/number/x")).status_code(), 500);
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "expected a `Response`, `()`, `Option`, `Result`, string, bytes, `Json` or `(u16, ..)`"
)]
pub trait IntoOutcome {
    /// What the returned value means.
    ///
    /// # Errors
    /// When the value is an error, or a response that cannot be sent.
    fn into_outcome(self) -> Outcome;
}

/// A value to be sent as JSON; see [`Response::json`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl IntoOutcome for Response {
    fn into_outcome(self) -> Outcome {
        self.checked().map(Some)
    }
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Outcome {
        Ok(None)
    }
}

impl<R: IntoOutcome> IntoOutcome for Option<R> {
    fn into_outcome(self) -> Outcome {
        self.map_or(Ok(None), R::into_outcome)
    }
}

impl<R: IntoOutcome, E: Into<Error>> IntoOutcome for Result<R, E> {
    fn into_outcome(self) -> Outcome {
        self.map_err(E::into).and_then(R::into_outcome)
    }
}

impl IntoOutcome for Error {
    fn into_outcome(self) -> Outcome {
        Err(self)
    }
}

impl IntoOutcome for &'static str {
    fn into_outcome(self) -> Outcome {
        Ok(Some(Response::of_type(TEXT, self.into())))
    }
}

impl IntoOutcome for String {
    fn into_outcome(self) -> Outcome {
        Ok(Some(Response::text(self)))
    }
}

impl IntoOutcome for Vec<u8> {
    fn into_outcome(self) -> Outcome {
        Ok(Some(Response::bytes(self)))
    }
}

impl IntoOutcome for Body {
    fn into_outcome(self) -> Outcome {
        Ok(Some(Response::bytes(self)))
    }
}

impl<T: Serialize> IntoOutcome for Json<T> {
    fn into_outcome(self) -> Outcome {
        Response::json(self.0).into_outcome()
    }
}

impl IntoOutcome for Value {
    fn into_outcome(self) -> Outcome {
        Json(self).into_outcome()
    }
}

impl<R: IntoOutcome> IntoOutcome for (u16, R) {
    fn into_outcome(self) -> Outcome {
        let (status, answer) = self;
        let response = match answer.into_outcome()? {
            Some(response) => response.status(status),
            None => Response::new(status),
        };
        response.into_outcome()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: impl IntoOutcome) -> Result<Option<u16>, u16> {
        match value.into_outcome() {
            Ok(response) => Ok(response.map(|response| response.status_code())),
            Err(error) => Err(error.status()),
        }
    }

    #[test]
    fn only_nothing_passes_on() {
        assert_eq!(status(()), Ok(None));
        assert_eq!(status(None::<Response>), Ok(None));
        assert_eq!(status(Some(())), Ok(None));
        assert_eq!(status(Ok::<(), Error>(())), Ok(None));
        assert_eq!(status(Response::empty()), Ok(Some(204)));
        assert_eq!(status(String::new()), Ok(Some(200)));
        assert_eq!(status(Vec::new()), Ok(Some(200)));
        assert_eq!(status(Value::Null), Ok(Some(200)));
    }

    #[test]
    fn a_status_goes_with_anything() {
        assert_eq!(status((404, ())), Ok(Some(404)));
        assert_eq!(status((201, "made")), Ok(Some(201)));
        assert_eq!(status((201, Err::<(), _>(Error::new(409, "there already")))), Err(409));
        assert_eq!(status((42, "not a status")), Err(500));
    }

    #[test]
    fn errors_of_any_kind_are_errors() {
        assert_eq!(status("x".parse::<u8>().map(|_| ())), Err(500));
        assert_eq!(status(Error::bad_request("")), Err(400));
        assert_eq!(status(Response::new(200).header("x", "\n")), Err(500));
    }
}
