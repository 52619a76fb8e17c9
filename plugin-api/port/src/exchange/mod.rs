//! One request through an app's port: the host's side of it, whatever the request came by.
//!
//! [`http()`] sends a request to a [`Target`], feeds the request's body as the app takes it, keeps the deadline, and hands the
//! head of the answer to the caller together with the [`ResponseBody`]: a [`Download`] that grants the app credit as it is
//! read, or a WebSocket, which [`websocket::serve`] connects with a [`WebSocketClient`](websocket::WebSocketClient).
//! [`call()`] does the same for a method. What fails is a [`Problem`](crate::problem::Problem), as the client gets it. What
//! is dropped before its end is cancelled.
//!
//! Nothing here knows where a request comes from. The host's HTTP server is one client, an app's test is another.

mod call;
mod credit;
mod download;
mod failure;
mod frames;
mod http;
pub mod pace;
mod pending;
mod request_body;
mod response;
mod target;
mod trailers;
mod upload;
pub mod websocket;

pub(crate) use self::call::too_late as call_too_late;
pub use self::call::{call, from_problem};
pub use self::download::Download;
pub use self::http::http;
pub use self::pending::Exchange;
pub use self::request_body::{BodyPart, BodySource, RequestBody, WHOLE_LIMIT};
pub use self::response::{Answered, ResponseBody};
pub use self::target::{Sent, Target, send};
pub use self::trailers::is_trailer;

#[cfg(test)]
mod tests;
