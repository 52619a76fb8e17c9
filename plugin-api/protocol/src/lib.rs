//! What the host and an app share: the types that cross between them, and the port's protocol.
//!
//! Only plain data and C functions cross, all of them in [`abi`]. A port carries messages of JSON-RPC 2.0, with the methods
//! that host and app call on each other: `docs/src/protocol.md` describes them with examples. Their text borrows from the
//! message wherever JSON allows it. The [`stamp`] is what a library's file tells of itself before it is loaded.
//!
//! The crate is in the folder of `atoll-plugin`, which re-exports all of it that apps use. The host, and its end of a port
//! (`atoll-port`), use it as it is.

pub mod abi;
mod buffer;
mod calls;
pub mod code;
mod envelope;
mod error;
mod http;
mod life;
pub mod method;
pub mod stamp;
mod streams;
mod wire;

pub use self::calls::{Fetch, RpcCall};
pub use self::envelope::{ErrorData, ErrorObject, Incoming, Request, Response};
pub use self::error::Error;
pub use self::http::{Header, HttpRequest, HttpResponse, HttpVersion, header_text};
pub use self::life::{Background, Cancel, LogLevel, Start, Started};
pub use self::streams::{
    Body, BodyEnd, BodyError, Credit, INITIAL_CREDIT, Stream, WsClose, WsKind, WsMessage, Yes, piece_credit,
};
pub use self::wire::{Head, IndexedText};

#[cfg(test)]
mod tests;
