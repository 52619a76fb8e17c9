//! What an Atoll app depends on.

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

/// The code in the README and in the book compiles and runs.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/src/first-app.md")]
    struct FirstApp;
    #[doc = include_str!("../../docs/src/writing-apps.md")]
    struct WritingApps;
}
