//! The methods of the protocol; any other name is an RPC method of the app's own.

/// host → app: the first message; params [`Start`](super::Start), result
/// [`Started`](super::Started).
pub const START: &str = "start";
/// host → app: one HTTP request; params [`HttpRequest`](super::HttpRequest), result
/// [`HttpResponse`](super::HttpResponse).
pub const HTTP: &str = "http";
/// host → app: the state for the next generation; result: any JSON.
pub const STATE_SAVE: &str = "state.save";
/// host → app, notification: cancels a request; params [`Cancel`](super::Cancel).
pub const CANCEL: &str = "cancel";
/// host → app, notification: finish what is in flight and return.
pub const STOP: &str = "stop";
/// host → app, notification: which log records the app is to send from now on; params [`LogLevel`](super::LogLevel).
pub const LOG_LEVEL: &str = "log.level";
/// app → host, notification: how much the worker does besides its requests; params [`Background`](super::Background).
pub const BACKGROUND: &str = "background";
/// app → host: an RPC method of another app; params [`RpcCall`](super::RpcCall), result: that method's.
pub const CALL: &str = "call";
/// app → host: an HTTP request to another app; params [`Fetch`](super::Fetch), result
/// [`HttpResponse`](super::HttpResponse).
pub const FETCH: &str = "fetch";
/// Both ways, notification: a piece of a body, the message's only buffer; params [`Stream`](super::Stream).
pub const BODY_CHUNK: &str = "body.chunk";
/// Both ways, notification: a body is complete; params [`BodyEnd`](super::BodyEnd).
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
    [START, HTTP, CANCEL, STOP, BACKGROUND, CALL, FETCH].contains(&name)
        || ["state.", "log.", "body.", "ws.", "rpc."].iter().any(|prefix| name.starts_with(prefix))
}
