//! What an Atoll app depends on.
//!
//! An app is a library with a function that returns an [`Application`], and one line that makes it an app:
//!
//! ```
//! use atoll_plugin::prelude::*;
//!
//! fn app() -> Application {
//!     Application::new()
//!         .get("/greet/{name}", |req: Request| Response::json(req.params()))
//!         .method("add", |(a, b): (f64, f64)| Ok::<_, Error>(a + b))
//! }
//! atoll_plugin::export_app!(app);
//!
//! let response = app().oneshot(Request::get("/greet/reef"));
//! assert_eq!(response.body_bytes(), br#"{"name":"reef"}"#);
//! ```
//!
//! Its `Cargo.toml` has `crate-type = ["cdylib"]` under `[lib]`. A host runs it on threads, a heap and a port of its own,
//! and swaps a rebuilt library in while requests are in flight.
//!
//! | for | there is |
//! |---|---|
//! | what most apps use | [`prelude`] |
//! | routes, middleware, methods, state over reloads | [`Application`] |
//! | what a handler gets and returns | [`Request`], [`Response`], [`Error`], [`Outcome`] |
//! | the app's name, settings and environment | [`Start`](protocol::Start), which the app's function may take |
//! | bodies piece by piece | [`streamed`], [`Body::stream`], [`BodyStream`] |
//! | server-sent events, WebSockets | [`sse`], [`ws`] |
//! | calls to other apps | [`Host`] |
//! | apps that are axum routers or other `tower` services | the features `axum` and `tower` |
//! | tests without a host | the feature `test`: `test::TestApp` |
//! | a worker without any of this | [`export_app!`] with a function that takes the [`Port`] |
//! | what crosses the boundary | [`abi`], [`protocol`], [`stamp`] |

pub mod abi;
mod application;
mod body;
mod buffer;
mod call;
mod error;
mod event_loop;
mod export;
mod extensions;
mod handler;
mod header;
mod heap;
#[doc(hidden)]
pub mod hooks;
mod host;
mod link;
mod logging;
#[doc(hidden)]
pub mod make;
mod outcome;
mod panic;
mod params;
mod pattern;
mod pipeline;
mod port;
pub mod prelude;
pub mod protocol;
mod request;
mod request_builder;
mod response;
mod routes;
mod rpc;
pub mod sse;
pub mod stamp;
mod stream;
mod sync;
mod task;
#[cfg(feature = "test")]
pub mod test;
#[cfg(feature = "tower")]
pub mod tower;
pub mod ws;

pub use log;
pub use serde;
pub use serde_json;

pub use application::Application;
pub use body::Body;
pub use call::Call;
pub use error::Error;
pub use export::App;
pub use extensions::Extensions;
pub use handler::{BoxedHandler, Handler, streamed};
pub use host::{Fetched, Host};
pub use outcome::{IntoOutcome, Json, Outcome};
pub use params::Params;
pub use port::{Closed, Event, Port};
pub use request::Request;
pub use request_builder::RequestBuilder;
pub use response::Response;
pub use rpc::{RpcError, RpcHandler};
pub use stream::{BodyStream, Chunk};

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What [`export_app!`] expands to uses these.
#[doc(hidden)]
pub mod __private {
    pub use abi_stable::library::LibHeader;
    pub use const_format::concatcp;

    pub use crate::export::{Export, bytes, header};
    pub use crate::heap::HostAllocator;
    pub use crate::hooks;
    pub use crate::make;
}
