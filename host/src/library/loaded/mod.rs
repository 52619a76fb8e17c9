//! A library in the process: opened, checked, bound; and closed again for real.

mod error;
pub(crate) mod interface;
mod keeper;
pub(crate) mod mapping;
mod open_error;
pub(crate) mod open_library;
mod pin_reason;
pub(crate) mod verified;

use std::sync::Arc;

use atoll_plugin::abi::PluginRef;

pub use self::error::LoadError;
pub(crate) use self::interface::run;
#[cfg(any(test, feature = "standalone"))]
pub(crate) use self::interface::{bind, check_root};
#[cfg(any(test, feature = "standalone"))]
use self::mapping::Mapping;
pub use self::open_error::OpenError;
pub(crate) use self::open_library::HANDLERS_END;
use self::open_library::OpenLibrary;
pub use self::open_library::abandoned;
#[cfg(feature = "standalone")]
pub(crate) use self::open_library::open_needed;
pub use self::pin_reason::PinReason;
use crate::abi::library_context::{LibraryContext, LibraryFile};
use crate::library::inspect::Inspected;
use crate::library::stage::Staged;

/// A library whose file has been inspected, open in this process and bound to its context.
///
/// Dropping it does not unload it: the library stays in the process for good, with its heap and the thread that opened
/// it, and is counted in [`abandoned`]. Only [`unload`](Self::unload) takes it out.
pub struct Loaded {
    library: OpenLibrary,
    copy: Inspected,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Loaded({})", self.staged().path().display())
    }
}

impl Loaded {
    /// Opens a library, checks its interface and binds it to its context, on a thread made for it, which lives until the
    /// library is unloaded. Waits for that thread.
    ///
    /// # Errors
    /// See [`LoadError`]; the library is closed again, unless its constructors have left a thread or a signal handler.
    ///
    /// # Safety
    /// The file is native code, and this runs its constructors with all rights of the process. The caller vouches for it:
    /// it is one that could be linked into this program. The inspection only finds out that the file is whole, was made
    /// for this machine and has the interface of this version.
    pub unsafe fn open(inspected: Inspected, context: Arc<LibraryContext>) -> Result<Self, LoadError> {
        let (paths, content) = (inspected.staged().open_paths(), inspected.staged().hash());
        context.note_library(LibraryFile::new(&paths.library, content.to_string()));
        // SAFETY: by the caller's contract.
        let library = unsafe { OpenLibrary::open(paths, Some(content), context)? };
        Ok(Self { library, copy: inspected })
    }

    /// A library that something else than [`open`](Self::open) has opened, checked and bound.
    #[cfg(any(test, feature = "standalone"))]
    pub(crate) fn held(
        library: Box<dyn Mapping>,
        root: PluginRef,
        context: Arc<LibraryContext>,
        inspected: Inspected,
    ) -> Self {
        Self { library: OpenLibrary::new(library, root, context), copy: inspected }
    }

    /// The library's functions; not to be used after it is unloaded.
    pub(crate) fn root(&self) -> PluginRef {
        self.library.root()
    }

    /// An address in the library, as a number.
    pub(crate) fn inside(&self) -> usize {
        self.root().bind() as usize
    }

    /// The copy that was loaded.
    pub fn staged(&self) -> &Staged {
        self.copy.staged()
    }

    /// Keeps the library in the process, for as long as the reason lasts.
    pub fn pin(mut self, reason: PinReason) -> Pinned {
        self.library.pin();
        Pinned { reason, library: Box::new(self) }
    }

    /// The library's context.
    pub fn context(&self) -> &Arc<LibraryContext> {
        self.library.context()
    }

    /// Takes the library out of the process: closes it on the thread that opened it, verifies that it is gone, gives its
    /// pthread keys back and closes the file descriptors that it has left. Its heap goes when the last buffer of it does.
    /// The copy that was loaded is given back: it can be loaded again. Waits for the thread.
    ///
    /// # Errors
    /// It is still in use, and stays mapped: see [`Pinned`].
    ///
    /// # Safety
    /// The unload rule: the library's workers have been joined, and no code holds a [`PluginRef`] of it or another
    /// address in it. The threads that its code has started are looked for here.
    pub unsafe fn unload(mut self) -> Result<Inspected, Pinned> {
        // SAFETY: by the caller's contract.
        match unsafe { self.library.close() } {
            Ok(()) => Ok(self.copy),
            Err(reason) => Err(self.pin(reason)),
        }
    }
}

/// A library that could not be unloaded safely: it stays mapped, on purpose, with its heap and its file. Dropping it
/// leaves it there for good.
#[derive(Debug)]
pub struct Pinned {
    reason: PinReason,
    library: Box<Loaded>,
}

impl Pinned {
    /// Why it is pinned.
    pub fn reason(&self) -> &PinReason {
        &self.reason
    }

    /// The library's context.
    pub fn context(&self) -> &Arc<LibraryContext> {
        self.library.context()
    }

    /// The library, for another attempt to unload it.
    pub fn into_library(self) -> Loaded {
        *self.library
    }
}
