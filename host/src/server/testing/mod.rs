//! Tests of an app's built library in a host: as `atoll serve` runs it, but within the test's own process.
//!
//! It is behind the feature `testing`, for an app's `[dev-dependencies]`, and what uses it is a file in the app's `tests/`.
//! What does not need the library is tested sooner by `atoll_plugin::test`, within the app's crate.
//!
//! ```no_run
//! use atoll_host::testing::TestHost;
//!
//! // In `tests/host.rs` of the crate: `cargo test` runs it in the crate's folder.
//! let host = TestHost::builder().app("greeter", ".").start()?;
//! assert_eq!(host.url("greeter", "/greet/tobe"), format!("{}/apps/greeter/greet/tobe", host.base_url()));
//! // Any HTTP client can ask there now.
//! assert_eq!(host.reload("greeter")?, 1, "the first generation, as no request has started one");
//! host.stop();
//! # Ok::<_, atoll_host::testing::TestHostError>(())
//! ```
//!
//! A segmentation fault in the app ends the test, as it ends a host. With the setting `"isolation": "process"`, it ends the
//! app's process, and the test continues.

mod builder;
mod child;
mod error;
mod libraries;
mod serve;

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

pub use self::builder::Builder;
use self::error::PATIENCE;
pub use self::error::TestHostError;
use self::serve::{HostThread, Order};
use crate::app::handle::App;

/// A host that serves apps on a free port of the loopback address. Dropping it stops it.
///
/// It logs warnings to standard error, or what `RUST_LOG` says, unless the test has its own logger. What it answers for
/// an app that fails says why, as `atoll dev` does.
pub struct TestHost {
    host: HostThread,
}

impl TestHost {
    /// A host about to be started.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The beginning of its URLs: `http://127.0.0.1:4321`.
    pub fn base_url(&self) -> &str {
        &self.host.base
    }

    /// The URL of a path of an app's.
    pub fn url(&self, app: &str, path: &str) -> String {
        let slash = if path.starts_with('/') { "" } else { "/" };
        format!("{}/apps/{app}{slash}{path}", self.host.base)
    }

    /// An app as the host has it: whether it serves, by which generation, what has become of the others, what it logs.
    ///
    /// # Errors
    /// [`TestHostError::NoApp`].
    pub fn app(&self, name: &str) -> Result<Arc<App>, TestHostError> {
        self.host.registry.get(name).ok_or_else(|| TestHostError::NoApp(name.to_owned()))
    }

    /// Reloads an app's library, hands over its state, and returns the number of the serving generation. An app that
    /// has not served yet is started.
    ///
    /// # Errors
    /// The reason why no new generation is serving; the previous one keeps serving.
    pub fn reload(&self, name: &str) -> Result<u64, TestHostError> {
        let app = self.app(name)?;
        let (answer, answered) = channel();
        // A host that has ended gives no answer.
        let _ = self.host.orders.send(Order::Reload(app, answer));
        answered
            .recv_timeout(PATIENCE)
            .map_err(|_| TestHostError::TooLate("reload"))?
            .map_err(|reason| TestHostError::Reload { app: name.to_owned(), reason })
    }

    /// Stops it: requests in flight are finished, and all libraries are unloaded.
    ///
    /// # Panics
    /// It does not stop in time.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        // It fails when the host has exited already.
        let _ = self.host.orders.send(Order::Stop);
        match self.host.ended.recv_timeout(PATIENCE) {
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                let what = TestHostError::TooLate("stop");
                if thread::panicking() { eprintln!("{what}") } else { panic!("{what}") }
            }
            // It ends either way.
            Ok(()) | Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                let ended = self.host.thread.take().map(JoinHandle::join);
                if let (Some(Err(panic)), false) = (ended, thread::panicking()) {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}

impl fmt::Debug for TestHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestHost").field("base", &self.host.base).finish_non_exhaustive()
    }
}
