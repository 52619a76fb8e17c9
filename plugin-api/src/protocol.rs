//! The port's protocol: JSON-RPC 2.0, with the methods that host and app call on each other.
//!
//! `docs/src/protocol.md` describes it with examples. Text borrows from the message wherever JSON allows it.

#[doc(inline)]
pub use atoll_protocol::{
    Background, Body, BodyEnd, BodyError, Cancel, Credit, ErrorData, ErrorObject, Fetch, Head, Header,
    HttpRequest, HttpResponse, HttpVersion, INITIAL_CREDIT, Incoming, IndexedText, LogLevel, Request,
    Response, RpcCall, Start, Started, Stream, WsClose, WsKind, WsMessage, Yes, code, header_text, method,
    piece_credit,
};
