//! The Atoll host: runs many native Rust apps in one process, each on its own thread, heap and port.
//!
//! Most who run one use the command, `atoll serve`. [`Host`] is the same host for an actix-web program of your own:
//!
//! ```no_run
//! use actix_web::{App, HttpServer};
//! use atoll_host::Host;
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let host = std::sync::Arc::new(Host::builder("apps.json").start()?);
//!     let apps = host.clone();
//!     HttpServer::new(move || App::new().configure(apps.routes())).bind("127.0.0.1:3000")?.run().await?;
//!     host.close().await;
//!     Ok(())
//! }
//! ```
//!
//! | for | there is |
//! |---|---|
//! | a host in a program | [`Host`], [`HostBuilder`] |
//! | `apps.json` | [`config::Config`], [`config::Settings`] |
//! | libraries for deployment, and whether they are good | [`build`], [`check`] |
//! | the admin API | [`admin`] |
//! | an app's crate that serves itself | `standalone!`, with the feature `standalone` |
//! | tests of an app in a host | `testing::TestHost`, with the feature `testing` |
//!
//! # How it is made
//!
//! A request goes one way: HTTP ([`http`]) → [`exchange`] → [`port`] → worker → port → HTTP. An app's library goes
//! another: [`Source`] → [`Staged`] → [`Inspected`] → [`library::Loaded`] → [`Generation`], carried by one driver task
//! for each app, which the plain state machine [`lifecycle`] tells what to do.

mod abort;
pub mod admin;
mod admission;
mod allocator;
pub mod answer;
mod app;
mod app_warnings;
mod arrivals;
mod atomic_file;
mod bring;
pub mod buffer;
pub mod build;
mod call_context;
pub mod check;
mod checksum;
pub mod config;
mod connection;
mod context;
mod courier;
mod current;
pub mod deploy;
mod descriptors;
mod directory;
mod doorbell;
mod driver;
mod ending;
mod errands;
mod error_chain;
pub mod escape;
mod event;
pub mod events;
pub mod exchange;
pub mod exports;
mod forked;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod generation;
mod heap;
mod heap_watch;
mod history;
mod host;
mod host_lock;
pub mod http;
mod idle;
mod inspect;
pub mod journal;
mod lane;
pub mod library;
pub mod lifecycle;
mod limits;
mod loader;
pub mod logging;
pub mod machine;
mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
mod outgoing;
mod own_thread;
mod panic_report;
mod pins;
pub mod port;
mod preflight;
mod prepare;
mod problem;
mod registry;
pub mod regular_file;
mod routes;
mod rpc;
pub mod scaffold;
pub mod server;
pub mod service_manager;
mod services;
mod signals;
mod source;
mod stage;
#[cfg(feature = "standalone")]
pub mod standalone;
mod sync;
mod table;
mod take_down;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
mod threads;
mod throttle;
mod times;
pub mod tls;
pub mod trace;
mod watch;
mod websocket;
mod window;

pub use abort::Abort;
pub use allocator::Allocator;
pub use app::{App, Unavailable};
pub use call_context::{CallContext, Cycle};
pub use context::LibraryContext;
pub use generation::{Generation, InFlight, StartError};
pub use heap::Heap;
pub use history::{HistoryEntry, State, Transition};
pub use host::{Host, HostBuilder, HostError};
pub use host_lock::{HostLock, HostLockError};
pub use inspect::{Damage, InspectError, Inspected};
pub use lane::Gone;
pub use problem::{Kind, Problem};
pub use registry::{Changes, Registry};
pub use services::{Library, PinnedGeneration, Services, ServicesError};
pub use source::{Package, Source, SourceError};
pub use stage::{ContentHash, Kept, StageError, Staged, Staging};
pub use times::Times;
pub use watch::{Change, FileWatch, Fingerprint, TreeChange, TreeWatch, WatchSet, Watcher};
