//! A builder for requests to other apps and in tests.

use std::net::SocketAddr;

use serde::Serialize;

use crate::http::header;
use crate::http::payload::Payload;
use crate::http::request::Request;
use crate::protocol::{Body, Header, HttpRequest, HttpVersion};

/// Builds a request to another app ([`Host::fetch`](crate::Host::fetch)), or for tests.
///
/// ```
/// use atoll_plugin::prelude::*;
///
/// fn app() -> Application {
///     Application::new().post("/double", |req: Request| -> Result<_, Error> {
///         Ok(Json(req.json::<i64>()? * 2))
///     })
/// }
///
/// let response = app().oneshot(Request::post("/double").json(21));
/// assert_eq!(response.body_json::<i64>()?, 42);
/// # Ok::<_, Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RequestBuilder {
    head: HttpRequest<'static>,
    body: Vec<u8>,
}

impl Request {
    /// A builder of requests for tests; `GET /` by default.
    pub fn builder() -> RequestBuilder {
        let head = HttpRequest {
            method: "GET".into(),
            path: "/".into(),
            query: "".into(),
            prefix: "".into(),
            headers: Vec::new(),
            peer: None,
            request_id: "test".into(),
            traceparent: None,
            version: HttpVersion::default(),
            deadline_ms: None,
            body: None,
        };
        RequestBuilder { head, body: Vec::new() }
    }

    /// A builder of a `GET` request for tests; see [`RequestBuilder::path`].
    pub fn get(path: &str) -> RequestBuilder {
        Self::builder().path(path)
    }

    /// A builder of a `POST` request for tests; see [`RequestBuilder::path`].
    pub fn post(path: &str) -> RequestBuilder {
        Self::builder().method("POST").path(path)
    }

    /// A builder of a `PUT` request for tests; see [`RequestBuilder::path`].
    pub fn put(path: &str) -> RequestBuilder {
        Self::builder().method("PUT").path(path)
    }

    /// A builder of a `DELETE` request for tests; see [`RequestBuilder::path`].
    pub fn delete(path: &str) -> RequestBuilder {
        Self::builder().method("DELETE").path(path)
    }
}

impl RequestBuilder {
    /// Sets the method.
    pub fn method(mut self, method: &str) -> Self {
        self.head.method = method.to_owned().into();
        self
    }

    /// Sets the path as sent, percent-encoded, with an optional query after `?`.
    pub fn path(mut self, path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        self.head.path = path.to_owned().into();
        self.head.query = query.to_owned().into();
        self
    }

    /// Sets the prefix that the host stripped from the path: `/apps/hello`.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.head.prefix = prefix.to_owned().into();
        self
    }

    /// Sets the client's address.
    pub fn peer(mut self, peer: SocketAddr) -> Self {
        self.head.peer = Some(peer.to_string().into());
        self
    }

    /// Adds a header. Non-ASCII text is sent as UTF-8.
    ///
    /// # Panics
    /// If the name or the value is not valid in HTTP.
    #[track_caller]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match header::checked(name, value) {
            Ok(header) => self.head.headers.push(header),
            Err(error) => panic!("{error}"),
        }
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to `value` as JSON, and adds the header `content-type`.
    ///
    /// # Panics
    /// If the value does not serialize to JSON.
    #[track_caller]
    pub fn json(mut self, value: impl Serialize) -> Self {
        match serde_json::to_vec(&value) {
            Ok(body) => self.body = body,
            Err(error) => panic!("cannot serialize the body as JSON: {error}"),
        }
        self.head.headers.push(Header("content-type".into(), "application/json".into()));
        self
    }

    /// What is sent, for a request to another app.
    pub(crate) fn into_parts(self) -> (HttpRequest<'static>, Vec<u8>) {
        (self.head, self.body)
    }

    /// As it comes from a client over a connection.
    #[cfg(feature = "test")]
    pub(crate) fn of_client(mut self) -> Self {
        if !self.head.headers.iter().any(|header| header.0 == "host") {
            self.head.headers.push(Header("host".into(), "localhost".into()));
        }
        self.head.peer.get_or_insert_with(|| "127.0.0.1:40000".into());
        self
    }

    #[cfg(feature = "test")]
    pub(crate) fn has_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// The request, which has gone through the protocol's text as one of the host's does.
    pub fn build(self) -> Request {
        let Self { mut head, body } = self;
        head.body = (!body.is_empty()).then_some(Body::Transfer(0));
        let json = serde_json::to_vec(&head).expect("a request can be written as JSON");
        let params = 0..json.len();
        Request::read(Payload::Vec(json), params, &[], |_| Some(Payload::Vec(body)))
            .expect("what was written as a request can be read as one")
    }
}

impl From<&str> for RequestBuilder {
    /// A `GET` request for this path.
    fn from(path: &str) -> Self {
        Request::get(path)
    }
}

impl From<RequestBuilder> for Request {
    fn from(builder: RequestBuilder) -> Self {
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_what_a_handler_sees() {
        let builder = Request::builder().method("POST").path("/x?y=1").prefix("/apps/a");
        let request = builder.peer(([127, 0, 0, 1], 80).into()).header("X-Name", "é").body("b").build();
        assert_eq!((request.method(), request.path(), request.query()), ("POST", "/x", "y=1"));
        assert_eq!((request.prefix(), request.peer()), ("/apps/a", Some(([127, 0, 0, 1], 80).into())));
        assert_eq!((request.header("x-name").as_deref(), request.body()), (Some("é"), &b"b"[..]));
        assert_eq!(Request::get("/").build().body(), b"");
    }

    #[test]
    #[should_panic(expected = "invalid header name")]
    fn a_bad_header_is_a_bug_of_the_test() {
        let _ = Request::get("/").header("a b", "");
    }
}
