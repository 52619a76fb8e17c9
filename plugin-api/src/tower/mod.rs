//! Any `tower::Service` of HTTP requests as an app: an `axum::Router` above all.
//!
//! The app's own tokio runtime lives on its worker: a current-thread one with a `LocalSet`, so that `tokio::spawn`,
//! `spawn_local` and `spawn_blocking` work, and so do timers and sockets. It sleeps in its driver, and the host rings
//! the port's [doorbell](crate::Port::doorbell) there. Nothing of tokio's crosses to the host.

mod app;
mod body;
mod caller;
mod convert;
mod header_names;
mod lent;
mod serve;
mod service;
mod shared;
mod upgrade;

pub use app::ServiceApp;
pub use body::{Body, BodyError};
pub use convert::Peer;
pub use service::{HttpService, SendHttpService};
