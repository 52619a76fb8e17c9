//! The port's protocol: JSON-RPC 2.0, with the methods that host and app call on each other.
//!
//! `docs/src/protocol.md` describes it with examples. Text borrows from the message wherever JSON allows it.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::Error;

/// The methods of the protocol; any other name is an RPC method of the app's own.
pub mod method {
    /// host → app: the first message; params [`Start`](super::Start), result
    /// [`Started`](super::Started).
    pub const START: &str = "start";
    /// host → app: one HTTP request; params [`HttpRequest`](super::HttpRequest), result
    /// [`HttpResponse`](super::HttpResponse).
    pub const HTTP: &str = "http";
    /// host → app: the state for the next generation; result: any JSON.
    pub const STATE_SAVE: &str = "state.save";
    /// host → app, notification: nobody waits for a request any more; params [`Cancel`](super::Cancel).
    pub const CANCEL: &str = "cancel";
    /// host → app, notification: finish what is in flight and return.
    pub const STOP: &str = "stop";
    /// app → host: an RPC method of another app; params [`RpcCall`](super::RpcCall), result: that method's.
    pub const CALL: &str = "call";
    /// app → host: an HTTP request to another app; params [`Fetch`](super::Fetch), result
    /// [`HttpResponse`](super::HttpResponse).
    pub const FETCH: &str = "fetch";
    /// Both ways, notification: a piece of a body, the message's only buffer; params [`Stream`](super::Stream).
    pub const BODY_CHUNK: &str = "body.chunk";
    /// Both ways, notification: a body is complete; params [`Stream`](super::Stream).
    pub const BODY_END: &str = "body.end";
    /// Both ways, notification: a body ends incomplete; params [`BodyError`](super::BodyError).
    pub const BODY_ERROR: &str = "body.error";
    /// Both ways, notification: the receiver has taken bytes, so as many more may be sent; params
    /// [`Credit`](super::Credit).
    pub const BODY_CREDIT: &str = "body.credit";
    /// Both ways, notification: one WebSocket message, the message's only buffer; params
    /// [`WsMessage`](super::WsMessage).
    pub const WS_MESSAGE: &str = "ws.message";
    /// Both ways, notification: the WebSocket is closed; params [`WsClose`](super::WsClose).
    pub const WS_CLOSE: &str = "ws.close";

    /// Whether a name is the protocol's, and so cannot be an RPC method of an app's.
    ///
    /// ```
    /// use atoll_plugin::protocol::method;
    /// assert!(method::is_reserved("http") && method::is_reserved("body.chunk") && method::is_reserved("rpc.x"));
    /// assert!(!method::is_reserved("add"));
    /// ```
    pub fn is_reserved(name: &str) -> bool {
        [START, HTTP, CANCEL, STOP, CALL, FETCH].contains(&name)
            || ["state.", "body.", "ws.", "rpc."].iter().any(|prefix| name.starts_with(prefix))
    }
}

/// How many bytes of a stream may be sent before the receiver has granted more by [`method::BODY_CREDIT`].
pub const INITIAL_CREDIT: u64 = 256 * 1024;

/// The error codes of the protocol: those of JSON-RPC 2.0, and Atoll's in the range left to implementations.
pub mod code {
    /// The text is not JSON.
    pub const PARSE_ERROR: i64 = -32700;
    /// The JSON is not a request.
    pub const INVALID_REQUEST: i64 = -32600;
    /// There is no such method.
    pub const METHOD_NOT_FOUND: i64 = -32601;
    /// The parameters are not what the method takes.
    pub const INVALID_PARAMS: i64 = -32602;
    /// Something failed on the way.
    pub const INTERNAL_ERROR: i64 = -32603;
    /// A handler returned an error; `data` is an [`ErrorData`](super::ErrorData).
    pub const HANDLER_FAILED: i64 = -32000;
    /// A handler panicked.
    pub const HANDLER_PANICKED: i64 = -32001;
    /// The request was cancelled and its handler dropped.
    pub const CANCELLED: i64 = -32002;
    /// The app could not start.
    pub const START_FAILED: i64 = -32003;
    /// An app that was called cannot serve now, or does not exist.
    pub const UNAVAILABLE: i64 = -32004;
    /// No answer came in time.
    pub const DEADLINE_EXCEEDED: i64 = -32005;
    /// A call would come back to an app that waits for it already.
    pub const CALL_CYCLE: i64 = -32006;
    /// The request's body is larger than [`Start::body_limit`](super::Start::body_limit).
    pub const BODY_TOO_LARGE: i64 = -32007;
}

/// Any message as it comes from the other side: a request, a notification or a response.
#[derive(Debug, Deserialize)]
pub struct Incoming<'a> {
    /// The request's number; absent in a notification.
    pub id: Option<u64>,
    /// The method; absent in a response.
    #[serde(borrow, default)]
    pub method: Option<Cow<'a, str>>,
    /// The method's parameters, unparsed.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
    /// A response's result, unparsed.
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
    /// A response's error.
    #[serde(borrow, default)]
    pub error: Option<ErrorObject<'a>>,
}

/// The `error` of a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorObject<'a> {
    /// One of [`code`], or an app's own.
    pub code: i64,
    /// One sentence for people.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// More, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// The `data` of a [`code::HANDLER_FAILED`] error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorData {
    /// The HTTP status that the error stands for.
    pub status: u16,
}

/// A request or, without an `id`, a notification, to be written.
#[derive(Debug, Serialize)]
pub struct Request<'a, P> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    method: &'a str,
    params: P,
}

impl<'a, P: Serialize> Request<'a, P> {
    /// A request with a number, which will be answered.
    ///
    /// ```
    /// use atoll_plugin::protocol::Request;
    /// let text = serde_json::to_string(&Request::new(7, "add", [1, 2])).unwrap();
    /// assert_eq!(text, r#"{"jsonrpc":"2.0","id":7,"method":"add","params":[1,2]}"#);
    /// ```
    pub fn new(id: u64, method: &'a str, params: P) -> Self {
        Self { jsonrpc: "2.0", id: Some(id), method, params }
    }

    /// A notification, which will not be answered.
    pub fn notification(method: &'a str, params: P) -> Self {
        Self { jsonrpc: "2.0", id: None, method, params }
    }
}

/// A response to be written.
#[derive(Debug, Serialize)]
pub struct Response<'a, R> {
    jsonrpc: &'static str,
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<R>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject<'a>>,
}

impl<R: Serialize> Response<'_, R> {
    /// The answer to request `id`.
    pub fn result(id: u64, result: R) -> Self {
        Self { jsonrpc: "2.0", id, result: Some(result), error: None }
    }
}

impl<'a> Response<'a, ()> {
    /// The answer to request `id` that it failed.
    pub fn error(id: u64, error: ErrorObject<'a>) -> Self {
        Self { jsonrpc: "2.0", id, result: None, error: Some(error) }
    }
}

/// The parameters of [`method::START`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The app's name in the registry.
    pub app: String,
    /// Which loaded library this is, counted from 1 for each app.
    pub generation: u64,
    /// Which of the generation's workers this is, counted from 0.
    pub worker: usize,
    /// The settings `env` of the app.
    #[serde(default)]
    pub env: std::collections::BTreeMap<String, String>,
    /// The setting `config` of the app: any JSON.
    #[serde(default)]
    pub config: Value,
    /// What the generation before returned for [`method::STATE_SAVE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
    /// The setting `body_limit`, in bytes: the app refuses a body of more that it would hold in memory whole.
    #[serde(default = "no_limit", skip_serializing_if = "is_no_limit")]
    pub body_limit: u64,
}

impl Start {
    /// A variable: from the setting `env`, or else from the process's environment; `None` if neither has it, or it is
    /// not UTF-8.
    pub fn var(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned().or_else(|| std::env::var(name).ok())
    }

    /// The setting `config` as a `T`; the default one when it is not set.
    ///
    /// # Errors
    /// The setting is no `T`; the message says where and why.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    ///
    /// #[derive(Default, Deserialize)]
    /// #[serde(crate = "atoll_plugin::serde", default)]
    /// struct Config { greeting: Option<String> }
    ///
    /// fn app(start: Start) -> Result<Application, Error> {
    ///     let greeting = start.config_as::<Config>()?.greeting.unwrap_or_else(|| "hello".to_owned());
    ///     Ok(Application::new().get("/", move |_: Request| greeting.clone()))
    /// }
    /// # atoll_plugin::export_app!(app);
    /// # fn main() {}
    /// ```
    pub fn config_as<T: DeserializeOwned + Default>(&self) -> Result<T, Error> {
        if self.config.is_null() {
            return Ok(T::default());
        }
        T::deserialize(&self.config)
            .map_err(|error| Error::internal(format!("the setting `config`: {error}")))
    }
}

fn no_limit() -> u64 {
    u64::MAX
}

fn is_no_limit(limit: &u64) -> bool {
    *limit == u64::MAX
}

/// The result of [`method::START`]: the worker is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Whether the worker answers [`method::STATE_SAVE`] with a state. Then a reload waits for its requests before the
    /// state is saved, and new ones wait for the next generation, so that the state is handed over whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub saves: bool,
}

/// The parameters of [`method::CANCEL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The number of the request that nobody waits for any more.
    pub id: u64,
}

/// Where a body is.
///
/// ```
/// use atoll_plugin::protocol::Body;
/// assert_eq!(serde_json::to_string(&Some(Body::Transfer(0))).unwrap(), r#"{"transfer":0}"#);
/// assert_eq!(serde_json::to_string(&None::<Body>).unwrap(), "null");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// The whole body is the buffer with this index in the message's `transfer`.
    Transfer(usize),
    /// The body follows, piece by piece, as [`method::BODY_CHUNK`] with the number of the request.
    Stream(Yes),
    /// In an answer to a WebSocket handshake: the handshake is accepted, and [`method::WS_MESSAGE`] follow.
    Websocket(Yes),
}

impl Body {
    /// A body that follows piece by piece.
    pub const STREAM: Self = Self::Stream(Yes);
    /// A handshake that is accepted.
    pub const WEBSOCKET: Self = Self::Websocket(Yes);
}

/// `true`, where nothing else makes sense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "bool", into = "bool")]
pub struct Yes;

impl From<Yes> for bool {
    fn from(Yes: Yes) -> Self {
        true
    }
}

impl TryFrom<bool> for Yes {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, Self::Error> {
        value.then_some(Yes).ok_or("expected true")
    }
}

/// The parameters of [`method::BODY_CHUNK`] and [`method::BODY_END`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// The number of the request that the body belongs to.
    pub id: u64,
}

/// The parameters of [`method::BODY_ERROR`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyError<'a> {
    /// The number of the request that the body belongs to.
    pub id: u64,
    /// Why the body is incomplete.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
}

/// The parameters of [`method::BODY_CREDIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// The number of the request that the stream belongs to.
    pub id: u64,
    /// How many bytes more may be sent.
    pub bytes: u64,
}

/// The parameters of [`method::WS_MESSAGE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WsMessage {
    /// The number of the request that opened the WebSocket.
    pub id: u64,
    /// What kind of message it is.
    pub kind: WsKind,
}

/// The kinds of WebSocket messages (RFC 6455, section 5.6 and 5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WsKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
    /// A ping, at most 125 bytes. The host answers a client's itself.
    Ping,
    /// The answer to a ping.
    Pong,
}

/// The parameters of [`method::WS_CLOSE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WsClose<'a> {
    /// The number of the request that opened the WebSocket.
    pub id: u64,
    /// The status code (RFC 6455, section 7.4); 1005: none was given; 1006: the connection was lost.
    pub code: u16,
    /// The reason, at most 123 bytes.
    #[serde(borrow, default)]
    pub reason: Cow<'a, str>,
}

/// The parameters of [`method::CALL`].
#[derive(Debug, Serialize, Deserialize)]
pub struct RpcCall<'a> {
    /// The name of the app that is called.
    #[serde(borrow)]
    pub app: Cow<'a, str>,
    /// The method that is called.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// The method's parameters.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub params: Option<&'a RawValue>,
    /// The number of the host's request on whose behalf this is: its deadline and id are carried on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
}

/// The parameters of [`method::FETCH`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fetch<'a> {
    /// The name of the app that is asked.
    #[serde(borrow)]
    pub app: Cow<'a, str>,
    /// The request. Its prefix, peer, id, trace context and deadline are the host's to set.
    #[serde(borrow)]
    pub request: HttpRequest<'a>,
    /// The number of the host's request on whose behalf this is: its deadline and id are carried on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
}

/// The parameters of [`method::HTTP`].
///
/// A header's value is text in ISO-8859-1: each byte is the character with the same number, so that any bytes
/// that HTTP allows come through unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpRequest<'a> {
    /// The method, as sent: `GET`.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// The path below `prefix`, with its percent-encoding as sent; begins with `/`.
    #[serde(borrow)]
    pub path: Cow<'a, str>,
    /// What is behind the `?`, as sent; empty when there is nothing.
    #[serde(borrow, default)]
    pub query: Cow<'a, str>,
    /// What the host took off the path: `/apps/hello`.
    #[serde(borrow, default)]
    pub prefix: Cow<'a, str>,
    /// The headers, repeats kept, names in lower case. Values of one name are in the order sent; names are in any.
    #[serde(borrow, default)]
    pub headers: Vec<Header<'a>>,
    /// The client's address, `IP:port`, when it is known.
    #[serde(borrow, default)]
    pub peer: Option<Cow<'a, str>>,
    /// The request's id in logs, `X-Request-Id`.
    #[serde(borrow, default)]
    pub request_id: Cow<'a, str>,
    /// W3C trace context, as sent.
    #[serde(borrow, default)]
    pub traceparent: Option<Cow<'a, str>>,
    /// Milliseconds until the host stops waiting.
    #[serde(default)]
    pub deadline_ms: Option<u64>,
    /// The body; `None` when there is none.
    #[serde(default)]
    pub body: Option<Body>,
}

/// The result of [`method::HTTP`]. For header values see [`HttpRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpResponse<'a> {
    /// The status code, 200 to 599.
    pub status: u16,
    /// The headers, repeats kept. Values of one name are sent in this order; names in any.
    #[serde(borrow, default)]
    pub headers: Vec<Header<'a>>,
    /// The body; `None` when there is none.
    #[serde(default)]
    pub body: Option<Body>,
}

/// One header: `["content-type", "text/plain"]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header<'a>(#[serde(borrow)] pub Cow<'a, str>, #[serde(borrow)] pub Cow<'a, str>);

impl<'a> Header<'a> {
    /// A header from a name and a value's bytes as text; see [`header_text`].
    pub fn new(name: &'a str, value: &'a str) -> Self {
        Self(Cow::Borrowed(name), header_text(value.as_bytes()))
    }

    /// The value's bytes; `None` when it has a character that no byte stands for.
    ///
    /// ```
    /// use atoll_plugin::protocol::Header;
    /// assert_eq!(Header("x".into(), "café".into()).value_bytes().as_deref(), Some(&b"caf\xe9"[..]));
    /// ```
    pub fn value_bytes(&self) -> Option<Cow<'_, [u8]>> {
        if self.1.is_ascii() {
            return Some(Cow::Borrowed(self.1.as_bytes()));
        }
        self.1.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<_>>>().map(Cow::Owned)
    }
}

/// A header value's bytes as text: the other direction of [`Header::value_bytes`].
pub fn header_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The JSON examples of the protocol's description.
    fn examples() -> Vec<&'static str> {
        include_str!("../../docs/src/protocol.md").lines().filter(|line| line.starts_with('{')).collect()
    }

    fn params<'a, T: Deserialize<'a> + Serialize>(params: &'a RawValue) {
        let read: T = serde_json::from_str(params.get()).unwrap();
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(params.get()).unwrap());
    }

    #[test]
    fn the_examples_of_the_description_are_what_the_types_say() {
        let mut seen = Vec::new();
        for example in examples() {
            let incoming: Incoming<'_> = serde_json::from_str(example).unwrap();
            match (incoming.method.as_deref(), incoming.id) {
                (Some(method::START), Some(1)) => params::<Start>(incoming.params.unwrap()),
                (Some(method::HTTP), Some(3)) => params::<HttpRequest<'_>>(incoming.params.unwrap()),
                (Some(method::CANCEL), None) => params::<Cancel>(incoming.params.unwrap()),
                (Some(method::BODY_CHUNK | method::BODY_END), None) => {
                    params::<Stream>(incoming.params.unwrap());
                }
                (Some(method::BODY_ERROR), None) => params::<BodyError<'_>>(incoming.params.unwrap()),
                (Some(method::BODY_CREDIT), None) => params::<Credit>(incoming.params.unwrap()),
                (Some(method::WS_MESSAGE), None) => params::<WsMessage>(incoming.params.unwrap()),
                (Some(method::WS_CLOSE), None) => params::<WsClose<'_>>(incoming.params.unwrap()),
                (Some(method::STATE_SAVE), Some(9)) | (Some(method::STOP), None) => {}
                (Some(method::CALL), Some(2)) => params::<RpcCall<'_>>(incoming.params.unwrap()),
                (Some(method::FETCH), Some(4)) => params::<Fetch<'_>>(incoming.params.unwrap()),
                (Some(own), Some(11)) => assert!(!method::is_reserved(own)),
                (None, Some(1)) => params::<Started>(incoming.result.unwrap()),
                (None, Some(3)) => match incoming.error {
                    Some(error) => {
                        let data: ErrorData = serde_json::from_value(error.data.unwrap()).unwrap();
                        assert_eq!((error.code, data.status), (code::HANDLER_FAILED, 503));
                    }
                    None => params::<HttpResponse<'_>>(incoming.result.unwrap()),
                },
                (None, Some(4)) => params::<HttpResponse<'_>>(incoming.result.unwrap()),
                (None, Some(2 | 9 | 11)) => assert!(incoming.result.is_some()),
                other => panic!("{other:?} is not in this test: {example}"),
            }
            seen.push(incoming.method.map(Cow::into_owned));
        }
        let described = [
            method::START,
            method::HTTP,
            method::CANCEL,
            method::STATE_SAVE,
            method::STOP,
            method::BODY_CHUNK,
            method::BODY_END,
            method::BODY_ERROR,
            method::BODY_CREDIT,
            method::WS_MESSAGE,
            method::WS_CLOSE,
            method::CALL,
            method::FETCH,
        ];
        for name in described {
            assert!(seen.iter().flatten().any(|seen| seen == name), "no example of {name}");
        }
    }

    #[test]
    fn any_bytes_of_a_header_come_through() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = header_text(&bytes).into_owned();
        assert_eq!(Header("x".into(), text.into()).value_bytes().unwrap(), bytes);
    }
}
