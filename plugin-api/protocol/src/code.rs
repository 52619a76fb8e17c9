//! The error codes of the protocol: those of JSON-RPC 2.0, and Atoll's in the range left to implementations.

/// The text is not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// The JSON is not a request.
pub const INVALID_REQUEST: i64 = -32600;
/// There is no such method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The parameters are invalid.
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
/// A called app is unavailable or unknown.
pub const UNAVAILABLE: i64 = -32004;
/// No answer came in time.
pub const DEADLINE_EXCEEDED: i64 = -32005;
/// A call would come back to an app that waits for it already.
pub const CALL_CYCLE: i64 = -32006;
/// The request's body is larger than [`Start::body_limit`](super::Start::body_limit).
pub const BODY_TOO_LARGE: i64 = -32007;
