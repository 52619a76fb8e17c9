//! What crosses between the host and an app, and the app's side of it: the types, the link to the host, the heap, the port,
//! and the functions of libc that are replaced.

pub(crate) mod call;
mod fields;
pub(crate) mod heap;
#[doc(hidden)]
pub mod hooks;
pub(crate) mod link;
pub(crate) mod logging;
pub(crate) mod panic;
pub(crate) mod port;
pub(crate) mod running;
#[cfg(feature = "tracing")]
pub(crate) mod tracing;

#[doc(inline)]
pub use atoll_protocol::abi::*;
