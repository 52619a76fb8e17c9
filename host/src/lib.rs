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
//! | a host in a program | [`Host`], [`HostBuilder`], [`run_child_process`], with [`TrustedProxies`], [`AdminToken`], [`trace::SpanSink`] |
//! | its log | [`logging`] |
//! | an allocator that gives memory back | [`Allocator`] |
//! | `apps.json` | [`config`] |
//! | an app's crate that serves itself | `standalone!`, with the feature `standalone` |
//! | tests of an app in a host | `testing::TestHost`, with the feature `testing` |
//!
//! # How it is made
//!
//! Folders are layers: each uses only those below it. The book's page on the architecture has their order.

#![warn(clippy::self_named_module_files)]

mod abi;
mod admin;
mod app;
mod child;
pub mod config;
mod deploy;
mod devkit;
mod dispatch;
mod fleet;
mod fs;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod generation;
mod http;
mod library;
mod memory;
mod observe;
mod process;
mod registry;
mod rollout;
mod sandbox;
mod server;
mod tls;
mod watch;

pub use abi::exports::in_force as exports_in_force;
pub use admin::host_lock::HostLockError;
pub use admin::{AdminOrigin, AdminToken, NoOrigin};
pub use app::resources::SetupError;
pub use http::{LimitOutOfRange, NoTrustedProxy, ServerLimits, TrustedProxies, TrustedProxy};
pub use library::loaded::abandoned as abandoned_libraries;
pub use memory::allocator::Allocator;
#[cfg(feature = "otlp")]
pub use observe::otlp;
pub use observe::{logging, trace};
pub use server::address::{ListenAddress, NoListenAddress};
pub use server::child::run_child_process;
pub use server::host::{Host, HostError};
pub use server::host_builder::HostBuilder;
pub use server::own_server::HostServer;
#[cfg(feature = "standalone")]
pub use server::standalone;
pub use server::takeover::TakeoverError;
#[cfg(feature = "testing")]
pub use server::testing;
pub use tls::acme::{AcmeDirectory, AcmeDomain, AcmeError, AcmeSettings, NoDirectory, NoDomain};
pub use tls::{TlsError, TlsSettings};

/// What the command, the benches and this crate's tests use. It promises nothing.
#[doc(hidden)]
pub mod internal {
    pub mod admin {
        pub use crate::admin::*;
    }
    pub mod http {
        pub use crate::http::*;
    }
    pub mod registry {
        pub use crate::registry::*;
    }
    pub mod sandbox {
        pub use crate::sandbox::*;
    }
    pub use crate::abi::abort::Abort;
    pub use crate::abi::arguments::hide_arguments;
    pub use crate::abi::exports;
    pub use crate::abi::library_context::LibraryContext;
    pub use crate::admin::host_lock::HostLock;
    pub use crate::app::environment;
    pub use crate::app::handle::App;
    pub use crate::app::libraries::{Libraries, Library};
    pub use crate::app::lifecycle;
    pub use crate::app::pins::PinnedGeneration;
    pub use crate::app::unavailable::Unavailable;
    pub use crate::config::byte_size::parse as parse_byte_size;
    pub mod deploy {
        pub use crate::deploy::*;
    }
    pub use crate::devkit::build;
    pub use crate::devkit::scaffold;
    pub use crate::dispatch::exchange;
    pub use crate::dispatch::problem::{Problem, ProblemKind};
    pub mod fleet {
        pub use crate::fleet::*;
    }
    pub use crate::fs::regular_file;
    pub use crate::generation::handle::{Generation, InFlight};
    pub use crate::generation::working_directory;
    pub use crate::library::check;
    pub use crate::library::content_hash::ContentHash;
    pub use crate::library::inspect::{Damage, InspectError, Inspected};
    pub use crate::library::loaded;
    pub use crate::library::needed::NeededError;
    pub use crate::library::source::{Package, Source, SourceError, SourcePath};
    pub use crate::library::stage::{Contents, Kept, StageError, Staged, Staging};
    pub use crate::memory::buffer;
    pub use crate::memory::heap::Heap;
    pub use crate::observe::app_log;
    pub use crate::observe::entries::{
        FailureEntry, FaultEntry, FaultRequest, FrameEntry, LogEntry, PanicEntry, RecordFields,
    };
    pub use crate::observe::escape;
    pub use crate::observe::events;
    pub use crate::observe::history::{HistoryEntry, State, Transition};
    pub use crate::observe::timing::RequestTiming;
    pub mod usage {
        pub use crate::observe::usage::*;
    }
    pub use crate::observe::certificates::{CertificateEntry, CertificateSource, Certificates};
    pub use crate::process::control_groups::limits_by_control_group;
    pub use crate::process::trial::try_sandbox;
    pub use crate::registry::{
        Changes, QuotaLevel, QuotaStatus, QuotaUsage, Registrar, RegistrarBuilder, Registry,
    };
    pub use crate::server::banner::banner;
    pub use crate::server::config_file::ConfigFile;
    pub use crate::server::host::OpenHost;
    pub use crate::server::http_server;
    pub use crate::server::listeners;
    pub use crate::server::open_files;
    pub use crate::server::service_manager;
    pub use crate::server::signals;
    pub use crate::server::takeover;
    pub mod tls {
        pub use crate::tls::*;
    }
    pub use crate::watch::{Change, FileWatch, Fingerprint, TreeChange, TreeWatch, WatchSet, Watcher};
    pub use atoll_port::StartError;
    pub use atoll_port::WorkerGone;
    pub use atoll_port::answer;
    pub use atoll_port::{CallContext, Cycle};
}
