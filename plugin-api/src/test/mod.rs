//! Tests an app in the test's process: without a host, sockets or building a library.
//!
//! Enable the feature `test` in the app's `[dev-dependencies]`, so that libraries do not contain it:
//!
//! ```toml
//! [dependencies]
//! atoll-plugin = "0.1"
//!
//! [dev-dependencies]
//! atoll-plugin = { version = "0.1", features = ["test"] }
//! ```
//!
//! The place for such tests is within the app's crate, in a module with `#[cfg(test)]`: the files in `tests/` cannot use a
//! `cdylib`. (They can when the crate is an `rlib` as well, and then have the app's allocator, too.) What needs the
//! built library, and all of a host, is tested there by `atoll_host::testing`.

mod app;
mod builder;
mod client;
mod connection;
mod generation;
mod journal;
#[cfg(feature = "tower")]
mod multi_thread;
mod others;
mod stream;
mod table;
mod thread;
#[cfg(feature = "tower")]
mod tunnel;
mod websocket;

pub use app::TestApp;
pub use builder::Builder;
#[cfg(feature = "tower")]
pub use multi_thread::MultiThread;
pub use stream::Stream;
pub use websocket::WebSocket;

#[cfg(test)]
mod tests;
