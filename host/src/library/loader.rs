//! How an inspected library comes into the process.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};

use crate::abi::library_context::LibraryContext;
use crate::library::check::CheckError;
use crate::library::inspect::Inspected;
use crate::library::loaded::Loaded;
use crate::library::own_thread::on_own_thread;
use crate::library::stage::Staged;

/// How many generations of an app can be loaded at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoadMode {
    /// A generation is loaded and started while the one before it serves.
    SideBySide,
    /// The one before has to go first.
    OneAtATime,
}

/// A way of loading libraries.
pub(crate) trait Loader: Debug {
    /// Makes ready to load this copy, and returns how many generations can be loaded.
    ///
    /// # Errors
    /// It cannot be loaded.
    fn prepare<'a>(&'a self, staged: &'a Staged) -> LocalBoxFuture<'a, Result<LoadMode, CheckError>>;

    /// Loads a library and binds it to its context. No thread of the host's runs the library's code. With room for one,
    /// this waits until the one before is gone.
    fn load(
        &self,
        inspected: Inspected,
        context: Arc<LibraryContext>,
    ) -> LocalBoxFuture<'_, Result<Loaded, CheckError>>;
}

/// The host's way: `dlopen` of the staged copy.
#[derive(Debug)]
pub(crate) struct Dlopen;

impl Loader for Dlopen {
    fn prepare<'a>(&'a self, _staged: &'a Staged) -> LocalBoxFuture<'a, Result<LoadMode, CheckError>> {
        ready(Ok(LoadMode::SideBySide)).boxed_local()
    }

    fn load(
        &self,
        inspected: Inspected,
        context: Arc<LibraryContext>,
    ) -> LocalBoxFuture<'_, Result<Loaded, CheckError>> {
        async move {
            let open = |inspected| {
                // SAFETY: the open rule: whoever has registered the app vouches for its code.
                unsafe { Loaded::open(inspected, context) }
            };
            Ok(on_own_thread("open", inspected, open).await.map_err(io::Error::from)??)
        }
        .boxed_local()
    }
}
