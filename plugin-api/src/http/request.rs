//! What a handler is asked.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use self_cell::self_cell;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Error as _};

use crate::abi::call::CallParts;
use crate::http::body::Body;
use crate::http::extensions::Extensions;
use crate::http::header;
use crate::http::params::Params;
use crate::http::payload::Payload;
use crate::http::stream::BodyStream;
use crate::protocol::{self, HttpRequest};
use atoll_protocol::Error;

/// An HTTP request.
///
/// Each handler gets it by value: a clone is another handle to the same request and copies nothing, and the
/// text that is read from it still lies in the host's message. It stays on its worker's thread (not `Send`).
///
/// ```
/// use atoll_plugin::prelude::*;
///
/// let req = Request::get("/search?q=blue+whale&page=2").header("Accept", "text/html").build();
/// assert_eq!((req.method(), req.path()), ("GET", "/search"));
/// assert_eq!(req.query_param("q").as_deref(), Some("blue whale"));
/// assert_eq!(req.header("accept").as_deref(), Some("text/html"));
/// ```
#[derive(Clone)]
pub struct Request {
    inner: Rc<Inner>,
    params: Params,
}

/// What all clones of a request share.
pub(crate) struct Inner {
    head: Head,
    body: Payload,
    /// The body, when it is not there yet.
    stream: RefCell<Option<BodyStream>>,
    deadline: Option<Instant>,
    extensions: Extensions,
}

/// The text of a message, and where in it the request is.
struct Source {
    json: Payload,
    params: Range<usize>,
}

self_cell! {
    struct Head {
        owner: Source,
        #[covariant]
        dependent: HttpRequest,
    }
}

impl Inner {
    pub(crate) fn body(&self) -> &Payload {
        &self.body
    }

    pub(crate) fn into_body(self) -> Payload {
        self.body
    }
}

impl Request {
    /// Reads a request of the host's.
    pub(crate) fn parse(call: CallParts) -> Result<Self, serde_json::Error> {
        let CallParts { json, index, params, mut transfer } = call;
        let body = |index| transfer.take(index).map(Payload::Buffer);
        Self::read(Payload::Buffer(json), params, &index, body)
    }

    pub(crate) fn read(
        json: Payload,
        params: Range<usize>,
        index: &[u8],
        body: impl FnOnce(usize) -> Option<Payload>,
    ) -> Result<Self, serde_json::Error> {
        let head = Head::try_new(Source { json, params }, |source| {
            let text = source.json.as_bytes().get(source.params.clone()).unwrap_or_default();
            HttpRequest::parse(std::str::from_utf8(text).map_err(serde_json::Error::custom)?, index)
        })?;
        let request = head.borrow_dependent();
        let body = match request.body {
            None => Payload::Empty,
            Some(protocol::Body::Transfer(index)) => body(index).ok_or_else(|| {
                serde_json::Error::custom(format_args!("missing buffer {index} for the body"))
            })?,
            Some(protocol::Body::Stream(_)) => Payload::Empty,
            Some(protocol::Body::Websocket(_)) => {
                return Err(serde_json::Error::custom("a request's body cannot be a WebSocket"));
            }
        };
        let deadline =
            request.deadline_ms.and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
        let inner =
            Inner { head, body, stream: RefCell::default(), deadline, extensions: Extensions::default() };
        Ok(Self { inner: Rc::new(inner), params: Params::default() })
    }

    /// Whether the body is still to come.
    pub(crate) fn is_streamed(&self) -> bool {
        matches!(self.head().body, Some(protocol::Body::Stream(_)))
    }

    /// Puts in the body that is to come.
    pub(crate) fn set_stream(&self, stream: BodyStream) {
        self.inner.stream.replace(Some(stream));
    }

    /// Puts in the body that has come.
    pub(crate) fn set_body(&mut self, body: Vec<u8>) {
        if let Some(inner) = Rc::get_mut(&mut self.inner) {
            inner.body = Payload::Vec(body);
        }
    }

    pub(crate) fn set_params(&mut self, params: Params) {
        self.params = params;
    }

    fn head(&self) -> &HttpRequest<'_> {
        self.inner.head.borrow_dependent()
    }

    /// The method, as sent: `GET`.
    pub fn method(&self) -> &str {
        &self.head().method
    }

    /// The path below [`prefix`](Self::prefix), with its percent-encoding as sent; begins with `/`.
    pub fn path(&self) -> &str {
        &self.head().path
    }

    /// What is behind the `?` of the URL, as sent; empty when there is nothing.
    pub fn query(&self) -> &str {
        &self.head().query
    }

    /// Names and values in the query, decoded, in the order sent, repeats kept. Bytes that are not UTF-8 become
    /// `U+FFFD`.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query().as_bytes())
    }

    /// The first value of this name in the query, decoded.
    pub fn query_param(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query_pairs().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Reads the query into a struct with fields of these names.
    ///
    /// # Errors
    /// Status 400 if a field is missing, duplicate or invalid.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    ///
    /// #[derive(Deserialize)]
    /// #[serde(crate = "atoll_plugin::serde")]
    /// struct Search { q: String, page: Option<u32> }
    ///
    /// let search: Search = Request::get("/?q=blue+whale").build().query_as()?;
    /// assert_eq!((search.q.as_str(), search.page), ("blue whale", None));
    /// assert_eq!(Request::get("/?q=a&page=x").build().query_as::<Search>().err().map(|e| e.status()), Some(400));
    /// # Ok::<_, Error>(())
    /// ```
    pub fn query_as<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_urlencoded::from_str(self.query())
            .map_err(|error| Error::bad_request(format!("cannot deserialize the query: {error}")))
    }

    /// The parameters of the route's pattern.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// One parameter of the route's pattern, percent-decoded.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)
    }

    /// All headers, repeats kept, with names in lower case. Values of one name are in the order sent; names are
    /// in any. A value is read as UTF-8 when it is that, and otherwise as ISO-8859-1.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.head().headers.iter().map(|header| (&*header.0, header::value_text(header)))
    }

    /// The first value of a header, read as in [`headers`](Self::headers); the name's case does not matter.
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        header::find(&self.head().headers, name).map(header::value_text)
    }

    /// The first value of a header, as the bytes that were sent.
    pub fn header_bytes(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        header::find(&self.head().headers, name)?.value_bytes()
    }

    /// The body's bytes; empty when there is no body.
    pub fn body(&self) -> &[u8] {
        self.inner.body.as_bytes()
    }

    /// The body, to be sent on. It is not copied, unless a clone of the request is still held when the
    /// response goes out.
    pub fn into_body(self) -> Body {
        Body::of_request(self.inner)
    }

    /// The body as it comes, for a handler that is [`streamed`](crate::streamed); where the body is there already, it is
    /// the only piece. A stream can be taken once.
    pub fn body_stream(&self) -> BodyStream {
        self.inner
            .stream
            .take()
            .unwrap_or_else(|| BodyStream::whole(Payload::Vec(self.inner.body.as_bytes().to_vec())))
    }

    /// The body as text.
    ///
    /// # Errors
    /// Status 400 when it is not UTF-8.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(self.body())
            .map_err(|error| Error::bad_request(format!("the body is not UTF-8: {error}")))
    }

    /// Reads the body as JSON, of whatever content type it says it is.
    ///
    /// # Errors
    /// Status 400 if it is not JSON or not a `T`, with the position.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    ///
    /// #[derive(Deserialize)]
    /// #[serde(crate = "atoll_plugin::serde")]
    /// struct Point { x: i32, y: i32 }
    ///
    /// let req = Request::post("/").body(r#"{"x": 1, "y": 2}"#).build();
    /// let point: Point = req.json()?;
    /// assert_eq!(point.x + point.y, 3);
    /// # Ok::<_, Error>(())
    /// ```
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_slice(self.body())
            .map_err(|error| Error::bad_request(format!("cannot deserialize the JSON body: {error}")))
    }

    /// Reads the body as a form's fields (`application/x-www-form-urlencoded`).
    ///
    /// # Errors
    /// Status 400 if a field is missing, duplicate or invalid.
    pub fn form<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_urlencoded::from_bytes(self.body())
            .map_err(|error| Error::bad_request(format!("cannot deserialize the form: {error}")))
    }

    /// The client's address, if known.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.head().peer.as_ref()?.parse().ok()
    }

    /// The request's id, as in the host's log and responses.
    pub fn request_id(&self) -> &str {
        &self.head().request_id
    }

    /// The W3C trace context, as sent.
    pub fn traceparent(&self) -> Option<&str> {
        self.head().traceparent.as_deref()
    }

    /// The prefix that the host stripped from the path: `/apps/hello`. Use it for links to the app's own pages.
    pub fn prefix(&self) -> &str {
        &self.head().prefix
    }

    /// When the host stops waiting for the response; `None` if there is no deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.inner.deadline
    }

    /// Values that middleware stores for later handlers.
    pub fn extensions(&self) -> &Extensions {
        &self.inner.extensions
    }
}

impl fmt::Debug for Request {
    /// Without the values of headers and the body: they may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("path", &self.path())
            .field("params", &self.params)
            .field("request_id", &self.request_id())
            .field("body", &format_args!("{} bytes", self.body().len()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;
    use crate::abi::{Buffer, Buffers};
    use crate::http::body::Content;
    use crate::http::response::Response;

    /// A buffer of leaked bytes, as if it were the host's.
    fn buffer(bytes: &str) -> Buffer {
        extern "C" fn nothing(_: *const u8, _: *mut u8, _: usize, _: usize) {}
        let bytes = bytes.as_bytes().to_vec().leak();
        // SAFETY: the bytes are never freed, and nothing else has them.
        unsafe { Buffer::from_raw_parts(bytes.as_mut_ptr(), bytes.len(), bytes.len(), ptr::null(), nothing) }
    }

    fn transfer(body: &str) -> Buffers {
        extern "C" fn nothing(_: *const u8, _: *mut Buffer, _: usize, _: usize) {}
        let list = vec![buffer(body)].leak();
        // SAFETY: as for `buffer`.
        unsafe { Buffers::from_raw_parts(list.as_mut_ptr(), 1, 1, ptr::null(), nothing) }
    }

    fn message(params: &str, body: &str) -> Result<Request, serde_json::Error> {
        let before = r#"{"jsonrpc":"2.0","params":"#;
        let json = buffer(&format!("{before}{params}}}"));
        let (index, params) = (Buffer::default(), before.len()..before.len() + params.len());
        Request::parse(CallParts { json, index, params, transfer: transfer(body) })
    }

    const PARAMS: &str = r#"{"method":"POST","path":"/a%20b","query":"x=1&y=a+b%21&x=2","prefix":"/apps/t",
        "headers":[["accept","*/*"],["x","caf\u00c3\u00a9"],["x","\u00e9"]],"peer":"[::1]:80",
        "request_id":"r1","deadline_ms":60000,"body":{"transfer":0}}"#;

    #[test]
    fn a_message_of_the_host_is_read() {
        let req = message(PARAMS, "[1,2]").unwrap();
        assert_eq!((req.method(), req.path(), req.query()), ("POST", "/a%20b", "x=1&y=a+b%21&x=2"));
        assert_eq!((req.prefix(), req.request_id(), req.traceparent()), ("/apps/t", "r1", None));
        assert_eq!(req.peer().map(|peer| peer.port()), Some(80));
        let left = req.deadline().unwrap().saturating_duration_since(Instant::now());
        assert!(left <= Duration::from_secs(60) && left > Duration::from_secs(50), "{left:?}");

        assert_eq!(req.query_param("x").as_deref(), Some("1"));
        assert_eq!(req.query_param("y").as_deref(), Some("a b!"));
        assert_eq!(req.query_pairs().count(), 3);

        assert_eq!(req.header("X").as_deref(), Some("café"));
        assert_eq!(req.headers().map(|(_, value)| value).collect::<Vec<_>>(), ["*/*", "café", "é"]);
        assert_eq!(req.header_bytes("x").as_deref(), Some("café".as_bytes()));

        assert_eq!(req.text().unwrap(), "[1,2]");
        assert_eq!(req.json::<[u8; 2]>().unwrap(), [1, 2]);
        let error = req.json::<[bool; 2]>().unwrap_err();
        assert_eq!(error.status(), 400);
        assert!(error.message().contains("line 1 column 2"), "{error}");
        let error = req.query_as::<(u8, u8)>().unwrap_err();
        assert_eq!(error.status(), 400);
        assert!(error.message().starts_with("cannot deserialize the query: invalid type"), "{error}");
        let error = req.form::<(u8, u8)>().unwrap_err();
        assert_eq!(error.status(), 400);
        assert!(error.message().starts_with("cannot deserialize the form: invalid type"), "{error}");
    }

    #[test]
    fn a_message_that_is_not_a_request_is_an_error() {
        assert!(message("null", "").is_err());
        assert!(message(r#"{"method":"GET"}"#, "").is_err());
        let error = message(r#"{"method":"GET","path":"/","body":{"transfer":1}}"#, "").unwrap_err();
        assert!(error.to_string().contains("missing buffer 1"), "{error}");
        let (json, index, transfer) = (buffer("{}"), Buffer::default(), Buffers::default());
        assert!(Request::parse(CallParts { json, index, params: 0..9, transfer }).is_err());
    }

    #[test]
    fn an_echo_does_not_copy() {
        let req = message(PARAMS, "the body").unwrap();
        let place = req.body().as_ptr();
        let clone = req.clone();
        let response = Response::bytes(req.into_body());
        assert_eq!(response.body_bytes(), b"the body");
        drop(clone);
        let (_, _, Content::Whole(Payload::Buffer(body))) = response.into_parts() else {
            panic!("not the host's buffer")
        };
        assert_eq!(body.as_ptr(), place);
    }

    #[test]
    fn a_request_that_is_still_held_keeps_its_body() {
        let req = message(PARAMS, "the body").unwrap();
        let (_, _, body) = Response::bytes(req.clone().into_body()).into_parts();
        let Content::Whole(body) = body else { panic!("a stream") };
        assert_eq!(body.as_bytes(), req.body());
        assert_ne!(body.as_bytes().as_ptr(), req.body().as_ptr());
    }

    #[test]
    fn debug_shows_no_secrets() {
        let shown = format!("{:?}", Request::post("/").header("cookie", "s3cret").body("s3cret").build());
        assert!(shown.contains("6 bytes") && !shown.contains("s3cret"), "{shown}");
    }
}
