//! Responses.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::http::body::{Body, Content};
use crate::http::header;
use crate::http::ws;
use crate::protocol::Header;
use atoll_protocol::Error;

/// The response to a request: a status, headers and a body.
///
/// Build it by value. Invalid parts (a status outside 200 to 599, a header with a line break, a value that does not
/// serialize to JSON) are detected when you set them, and turn the whole response into an [`Error`] with status 500.
///
/// ```
/// use atoll_plugin::prelude::*;
///
/// let response = Response::text("made").status(201).header("location", "/things/7");
/// assert_eq!(response.status_code(), 201);
/// assert_eq!(response.get_header("Location").as_deref(), Some("/things/7"));
/// assert_eq!(response.get_header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
/// assert_eq!(response.body_bytes(), b"made");
/// ```
#[must_use]
pub struct Response {
    status: u16,
    headers: Vec<Header<'static>>,
    body: Body,
    /// The first thing that went wrong while it was built.
    failure: Option<Box<Error>>,
}

impl Response {
    /// A response with this status, 200 to 599, and nothing else.
    pub fn new(status: u16) -> Self {
        Self { status: 200, headers: Vec::new(), body: Body::default(), failure: None }.status(status)
    }

    /// Status 200 with `value` as JSON. If serialization fails, the error is logged, and the response becomes an
    /// [`Error`].
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    ///
    /// assert_eq!(Response::json(json!({ "n": 1 })).body_bytes(), br#"{"n":1}"#);
    /// ```
    pub fn json(value: impl Serialize) -> Self {
        match serde_json::to_vec(&value) {
            Ok(bytes) => Self::of_type("application/json", bytes.into()),
            Err(error) => {
                log::error!("cannot serialize a response as JSON: {error}");
                Self::new(500)
                    .failed(Error::internal(format_args!("cannot serialize the response as JSON: {error}")))
            }
        }
    }

    /// Status 200 with plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of_type(TEXT, text.into().into())
    }

    /// Status 200 with an HTML page.
    pub fn html(page: impl Into<String>) -> Self {
        Self::of_type("text/html; charset=utf-8", page.into().into())
    }

    /// Status 200 with bytes of no particular type: see [`content_type`](Self::content_type).
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    ///
    /// // An echo: the bytes that came are the bytes that go, without a copy.
    /// let app = Application::new().post("/", |req: Request| Response::bytes(req.into_body()));
    /// assert_eq!(app.oneshot(Request::post("/").body("same")).body_bytes(), b"same");
    /// ```
    pub fn bytes(body: impl Into<Body>) -> Self {
        Self::of_type("application/octet-stream", body.into())
    }

    /// Status 204: no content.
    pub fn empty() -> Self {
        Self::new(204)
    }

    /// Status 303: redirects the client to GET `location`. For other redirects, set the [`status`](Self::status): 307
    /// and 308 keep the method.
    ///
    /// The client sees the host's paths: `/login` of this app is `format!("{}/login", req.prefix())`.
    pub fn redirect(location: impl AsRef<str>) -> Self {
        Self::new(303).header("location", location)
    }

    pub(crate) fn websocket(serve: ws::Serve) -> Self {
        Self { status: 200, headers: Vec::new(), body: Body::websocket(serve), failure: None }
    }

    pub(crate) fn of_type(content_type: &'static str, body: Body) -> Self {
        let content_type = Header(Cow::Borrowed("content-type"), Cow::Borrowed(content_type));
        Self { status: 200, headers: vec![content_type], body, failure: None }
    }

    /// Sets the status, 200 to 599.
    pub fn status(mut self, status: u16) -> Self {
        if !(200..=599).contains(&status) {
            return self
                .failed(Error::new(500, format!("invalid response status {status}: expected 200 to 599")));
        }
        self.status = status;
        self
    }

    /// Adds a header and keeps existing headers of the same name. Non-ASCII text is sent as UTF-8.
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        match header::checked(name, value.as_ref()) {
            Ok(header) => self.headers.push(header),
            Err(error) => return self.failed(error),
        }
        self
    }

    /// Sets a header, replacing all headers of the same name.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    ///
    /// let response = Response::new(200).header("x", "1").header("x", "2").set_header("x", "3");
    /// assert_eq!(response.headers().count(), 1);
    /// ```
    pub fn set_header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.headers.retain(|header| !header.0.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    /// Sets the header `content-type`.
    pub fn content_type(self, content_type: impl AsRef<str>) -> Self {
        self.set_header("content-type", content_type)
    }

    /// Sets the body without changing headers.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// The status.
    pub fn status_code(&self) -> u16 {
        self.failure.as_ref().map_or(self.status, |error| error.status())
    }

    /// The first value of a header; the name is case-insensitive.
    pub fn get_header(&self, name: &str) -> Option<Cow<'_, str>> {
        header::find(&self.headers, name).map(header::value_text)
    }

    /// All headers in order, repeats kept, with names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.headers.iter().map(|header| (&*header.0, header::value_text(header)))
    }

    /// The body's bytes.
    pub fn body_bytes(&self) -> &[u8] {
        self.body.as_bytes()
    }

    /// Reads the body as JSON, as tests do.
    ///
    /// # Errors
    /// If it is not JSON, or not a `T`.
    pub fn body_json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(serde_json::from_slice(self.body_bytes())?)
    }

    /// Its body.
    ///
    /// # Errors
    /// The response cannot be sent.
    pub fn into_body(self) -> Result<Body, Error> {
        Ok(self.checked()?.body)
    }

    fn failed(mut self, error: Error) -> Self {
        self.failure.get_or_insert_with(|| Box::new(error));
        self
    }

    /// The response itself when it can be sent.
    pub(crate) fn checked(self) -> Result<Self, Error> {
        match self.failure {
            None => Ok(self),
            Some(error) => Err(*error),
        }
    }

    /// Status, headers and body, to be sent. Only for a response that [`checked`](Self::checked) has passed.
    pub(crate) fn into_parts(self) -> (u16, Vec<Header<'static>>, Content) {
        debug_assert!(self.failure.is_none(), "an unchecked response");
        (self.status, self.headers, self.body.into_content())
    }
}

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Response");
        debug.field("status", &self.status).field("headers", &self.headers).field("body", &self.body);
        if let Some(failure) = &self.failure {
            debug.field("failure", failure);
        }
        debug.finish()
    }
}

impl From<Error> for Response {
    /// A problem document (RFC 9457), much as the host answers for an error.
    fn from(error: Error) -> Self {
        let status = error.status();
        let problem = json!({ "type": "about:blank", "status": status, "detail": error.message() });
        Self::json(problem).status(status).content_type("application/problem+json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_repeat_or_replace() {
        let response = Response::text("x").header("Set-Cookie", "a=1").header("set-cookie", "b=2");
        let cookies: Vec<_> = response.headers().filter(|(name, _)| *name == "set-cookie").collect();
        assert_eq!(cookies, [("set-cookie", "a=1".into()), ("set-cookie", "b=2".into())]);

        let response = response.content_type("text/css").set_header("SET-COOKIE", "c=3");
        let all: Vec<_> = response.headers().collect();
        assert_eq!(all, [("content-type", "text/css".into()), ("set-cookie", "c=3".into())]);
    }

    #[test]
    fn what_cannot_be_sent_is_an_error() {
        let bad = [
            Response::text("secret").header("x", "a\r\nb: c"),
            Response::text("secret").header("x y", "a"),
            Response::redirect("/\n"),
            Response::new(99),
            Response::new(101),
            Response::text("secret").status(600),
            Response::json(std::collections::HashMap::from([((1, 2), 3)])),
        ];
        for response in bad {
            let response = response.status(200);
            assert_eq!(response.status_code(), 500, "{response:?}");
            assert_eq!(response.checked().unwrap_err().status(), 500);
        }
        assert!(Response::new(599).checked().is_ok());
    }

    #[test]
    fn constructors_say_what_they_hold() {
        let of = |response: Response| {
            (
                response.status_code(),
                response.get_header("content-type").map(Cow::into_owned),
                response.body_bytes().to_vec(),
            )
        };
        assert_eq!(of(Response::json([1, 2])), (200, Some("application/json".into()), b"[1,2]".to_vec()));
        assert_eq!(
            of(Response::html("<p>")),
            (200, Some("text/html; charset=utf-8".into()), b"<p>".to_vec())
        );
        assert_eq!(
            of(Response::bytes(b"\0\x01")),
            (200, Some("application/octet-stream".into()), b"\0\x01".to_vec())
        );
        assert_eq!(of(Response::empty()), (204, None, Vec::new()));
        assert_eq!(of(Response::redirect("/x")), (303, None, Vec::new()));
        assert_eq!(of(Error::not_found("gone").into()).0, 404);
    }

    #[test]
    fn a_vector_is_not_copied() {
        let bytes = b"bytes".to_vec();
        let place = bytes.as_ptr();
        let (_, _, Content::Whole(body)) = Response::bytes(bytes).into_parts() else { panic!("a stream") };
        assert_eq!(body.as_bytes().as_ptr(), place);
    }
}
