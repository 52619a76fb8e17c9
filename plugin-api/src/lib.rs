//! The library for writing Atoll apps.
//!
//! An app is a library with a function that returns an [`Application`], and one line that exports it:
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
//! Its `Cargo.toml` has `crate-type = ["cdylib"]` under `[lib]`. A host runs it with its own threads, heap and port,
//! and switches to a rebuilt library while requests are in flight.
//!
//! | for | use |
//! |---|---|
//! | the common types | [`prelude`] |
//! | routes, middleware, methods, state over reloads | [`Application`] |
//! | the parameters and results of handlers | [`Request`], [`Response`], [`Error`], [`Outcome`] |
//! | the app's name, settings and environment | [`Start`](protocol::Start), an optional parameter of the app's function
//! |
//! | streamed bodies | [`streamed`], [`Body::stream`], [`BodyStream`] |
//! | server-sent events, WebSockets | [`sse`], [`ws`] |
//! | calls to other apps | [`Host`] |
//! | apps that are axum routers or other `tower` services | the features `axum` and `tower` |
//! | apps that are programs for actix-web | the feature `actix` |
//! | events of `tracing` in the host's log, in apps without these | the feature `tracing` |
//! | tests without a host | the feature `test`: `test::TestApp` |
//! | a custom worker | [`export_app!`] with a function that takes the [`Port`] |
//! | the types that cross the boundary | [`abi`], [`protocol`], [`stamp`] |
//!
//! The folders of its source are layers, and each uses only those below it: `test` (an app under test), `actix` (apps for
//! actix-web), `tower` (apps that
//! are `tower` services), `worker` (an application in its event loop), `http` (requests and responses), `abi` (the link to
//! the host). On top of them are the few entries that an app's crate reaches by macros.

pub mod abi;
#[cfg(feature = "actix")]
pub mod actix;
mod export;
mod http;
#[doc(hidden)]
pub mod make;
pub mod prelude;
pub mod protocol;
#[cfg(feature = "test")]
pub mod test;
#[cfg(feature = "tower")]
pub mod tower;
mod worker;

#[doc(inline)]
pub use atoll_protocol::{Error, stamp};
pub use log;
pub use serde;
pub use serde_json;

pub use abi::call::Call;
#[doc(hidden)]
pub use abi::hooks;
pub use abi::port::{Closed, Event, Port};
pub use http::body::Body;
pub use http::extensions::Extensions;
pub use http::handler::{BoxedHandler, Handler, streamed};
pub use http::outcome::{IntoOutcome, Json, Outcome};
pub use http::params::Params;
pub use http::request::Request;
pub use http::request_builder::RequestBuilder;
pub use http::response::Response;
pub use http::stream::{BodyStream, Chunk};
pub use http::{sse, ws};
pub use worker::app::App;
pub use worker::application::Application;
pub use worker::host::{Fetched, Host};
pub use worker::rpc::{RpcError, RpcHandler};

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What [`export_app!`] expands to uses these.
#[doc(hidden)]
pub mod __private {
    pub use abi_stable::library::LibHeader;
    pub use const_format::concatcp;

    pub use crate::abi::heap::HostAllocator;
    pub use crate::abi::hooks;
    pub use crate::export::{Export, bytes, header};
    pub use crate::make;
}
