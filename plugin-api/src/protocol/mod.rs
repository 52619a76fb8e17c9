//! The port's protocol: JSON-RPC 2.0, with the methods that host and app call on each other.
//!
//! `docs/src/protocol.md` describes it with examples. Text borrows from the message wherever JSON allows it.

mod calls;
mod envelope;
mod http;
mod life;
mod streams;
mod wire;

pub use self::calls::{Fetch, RpcCall};
pub use self::envelope::{ErrorData, ErrorObject, Incoming, Request, Response};
pub use self::http::{Header, HttpRequest, HttpResponse, header_text};
pub use self::life::{Cancel, LogLevel, Start, Started};
pub use self::streams::{Body, BodyError, Credit, Stream, WsClose, WsKind, WsMessage, Yes};
pub use self::wire::Head;

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
    /// host → app, notification: which log records the app is to send from now on; params [`LogLevel`](super::LogLevel).
    pub const LOG_LEVEL: &str = "log.level";
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
            || ["state.", "log.", "body.", "ws.", "rpc."].iter().any(|prefix| name.starts_with(prefix))
    }
}

/// How much credit each direction of a stream begins with: what may be sent before the receiver has granted more by
/// [`method::BODY_CREDIT`]. See [`piece_credit`].
pub const INITIAL_CREDIT: u64 = 256 * 1024;

/// The credit that a piece of a stream or a WebSocket message of so many bytes takes: its bytes, and 64 for the message
/// that carries them, so that empty ones have an end as well.
///
/// ```
/// use atoll_plugin::protocol::piece_credit;
/// assert_eq!((piece_credit(0), piece_credit(1000)), (64, 1064));
/// ```
pub const fn piece_credit(bytes: usize) -> u64 {
    64 + bytes as u64
}

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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde::{Deserialize, Serialize};
    use serde_json::Value;
    use serde_json::value::RawValue;

    use super::*;

    /// The JSON examples of the protocol's description.
    fn examples() -> Vec<&'static str> {
        include_str!("../../../docs/src/protocol.md").lines().filter(|line| line.starts_with('{')).collect()
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
                (Some(method::LOG_LEVEL), None) => params::<LogLevel>(incoming.params.unwrap()),
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
            method::LOG_LEVEL,
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
