//! A library in the process: opened, checked, bound; and closed again for real.

mod open_error;
mod passed;

use std::ffi::{CString, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{CheckingGlobals, check_layout_compatibility_with_globals};
use abi_stable::library::AbiHeaderRef;
use atoll_plugin::abi::{Exit, PluginRef, ROOT_SYMBOL};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

pub use self::open_error::OpenError;
use self::passed::Passed;
use crate::abort::Abort;
use crate::context::LibraryContext;
use crate::inspect::Inspected;
use crate::port::Port;
use crate::stage::{ContentHash, Staged};
use crate::{current, exports, logging, signals, table};

/// How long a signal's handler may take that runs when its library is to go.
const HANDLERS_END: Duration = Duration::from_secs(1);

/// Why a library could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The dynamic linker refused it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It does not export what `export_app!` makes.
    #[error("the library has no symbol {ROOT_SYMBOL}; is `atoll_plugin::export_app!` in its crate's root?")]
    NoRoot,
    /// Its idea of the interface differs from the host's.
    #[error(
        "the library's interface is not this host's (atoll-plugin {host}): {reason}. \
         Build it with the atoll-plugin of this version"
    )]
    Interface {
        /// The host's version of atoll-plugin.
        host: &'static str,
        /// What differs.
        reason: String,
    },
    /// `LibReloader` could not load it.
    #[cfg(feature = "standalone")]
    #[error("the library cannot be loaded: {0}")]
    HotReload(hot_lib_reloader::HotReloaderError),
}

/// What holds a library in the process.
pub(crate) trait Mapping: Send {
    /// Lets go of it; none of its code is run any more.
    fn close(self: Box<Self>) -> Result<Closed, libloading::Error>;

    /// Leaves it in the process for good.
    fn keep(self: Box<Self>);
}

/// When a library is out of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Now, unless the dynamic linker keeps it.
    Now,
    /// When who holds it closes it, and gives back what the library has taken.
    #[cfg(feature = "standalone")]
    Later,
}

impl Mapping for Library {
    fn close(self: Box<Self>) -> Result<Closed, libloading::Error> {
        Library::close(*self).map(|()| Closed::Now)
    }

    fn keep(self: Box<Self>) {
        std::mem::forget(*self);
    }
}

/// A library whose file has been inspected, open in this process and bound to its context.
///
/// All its code runs on threads that are made for this generation: [`open`](Self::open) and
/// [`unload`](Self::unload), too, are called on such threads only.
pub struct Loaded {
    library: Box<dyn Mapping>,
    root: PluginRef,
    context: Arc<LibraryContext>,
    inspected: Inspected,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Loaded({})", self.staged().path().display())
    }
}

impl Loaded {
    /// Opens a library, checks its interface and binds it to its context. Call it on a thread that ends before
    /// the library is unloaded: its constructors run here.
    ///
    /// # Errors
    /// See [`LoadError`]; the library is closed again.
    pub fn open(inspected: Inspected, context: Arc<LibraryContext>) -> Result<Self, LoadError> {
        let _entered = current::enter_linker(&context);
        context.note_strangers();
        let staged = inspected.staged();
        // SAFETY: the file was inspected; that its constructors are sound is the app author's part, as for any
        // native code.
        let library = unsafe { Library::open(Some(staged.path()), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| OpenError::new(&error, staged.path()))?;
        // SAFETY: the symbol is the `LibHeader` that `export_app!` defines, and stays until `library` is closed.
        let root = unsafe {
            let header =
                library.get::<AbiHeaderRef>(ROOT_SYMBOL.as_bytes()).map_err(|_missing| LoadError::NoRoot)?;
            check_root(*header, Some(staged.hash()))?
        };
        bind(root, &context);
        Ok(Self { library: Box::new(library), root, context, inspected })
    }

    /// A library that something else than [`open`](Self::open) has opened, checked and bound.
    #[cfg(feature = "standalone")]
    pub(crate) fn held(
        library: Box<dyn Mapping>,
        root: PluginRef,
        context: Arc<LibraryContext>,
        inspected: Inspected,
    ) -> Self {
        Self { library, root, context, inspected }
    }

    /// The library's functions; not to be used after it is unloaded.
    pub(crate) fn root(&self) -> PluginRef {
        self.root
    }

    /// The copy that was loaded.
    pub fn staged(&self) -> &Staged {
        self.inspected.staged()
    }

    /// Keeps the library in the process for good.
    pub fn pin(self, reason: PinReason) -> Pinned {
        Pinned::keep(reason, self.library, self.context, self.inspected)
    }

    /// The library's context.
    pub fn context(&self) -> &Arc<LibraryContext> {
        &self.context
    }

    /// Takes the library out of the process: closes it, verifies that it is gone, gives its pthread keys back, and closes
    /// the file descriptors that it has left. Its heap goes when the last buffer of it does. The copy that was loaded is
    /// given back: it can be loaded again.
    ///
    /// # Errors
    /// It is still in use, and stays mapped: see [`Pinned`].
    ///
    /// # Safety
    /// All threads that ran the library's code have ended, and nobody holds a [`PluginRef`] of it.
    pub unsafe fn unload(self) -> Result<Inspected, Pinned> {
        let Self { library, root, context, inspected } = self;
        let _entered = current::enter_linker(&context);
        if let Some(abort) = context.aborted().cloned() {
            return Err(Pinned::keep(PinReason::Aborted(abort), library, context, inspected));
        }
        context.end_signals(HANDLERS_END);
        let threads = context.running_threads();
        if !threads.is_empty() {
            return Err(Pinned::keep(PinReason::Threads(threads), library, context, inspected));
        }
        // SAFETY: no thread of the library's runs any more. What it has registered may make one until here, which is a
        // stranger.
        unsafe { root.unbind()() };
        let base = exports::object_of(root.bind() as *const c_void);
        let unseen = signals::unseen_handler(|handler| {
            base.is_some() && exports::object_of(std::ptr::without_provenance(handler)) == base
        });
        if let Some(signal) = unseen {
            return Err(Pinned::keep(PinReason::SignalHandler(signal), library, context, inspected));
        }
        let strangers = context.strangers();
        if !strangers.is_empty() {
            return Err(Pinned::keep(PinReason::Strangers(strangers), library, context, inspected));
        }
        let closed = match library.close() {
            Ok(closed) => closed,
            Err(error) => {
                // `close` has taken the handle; that it failed means that the library is still there.
                std::mem::forget(context);
                return Err(Pinned {
                    reason: PinReason::Close(open_error::loader_says(&error)),
                    _copy: Box::new(inspected),
                });
            }
        };
        if is_mapped(inspected.staged().path()) {
            std::mem::forget(context);
            return Err(Pinned { reason: PinReason::StillMapped, _copy: Box::new(inspected) });
        }
        // Not before: the library's destructors, which ran just now, may have given some back themselves.
        if closed == Closed::Now {
            // SAFETY: the library is gone.
            unsafe { context.give_back() };
        }
        Ok(inspected)
    }
}

/// Why a retired library is kept in the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinReason {
    /// Threads of its own still run: their names.
    Threads(Vec<String>),
    /// It called `abort` or `exit`: the thread that did never ends.
    Aborted(Abort),
    /// The handler of this signal is in it, and was set where the host cannot see it.
    SignalHandler(c_int),
    /// Threads run that were made past `pthread_create` while it was loaded, and may run its code: their names.
    Strangers(Vec<String>),
    /// Workers that do not come back from the app's code: how many.
    Workers(usize),
    /// The dynamic linker could not close it.
    Close(String),
    /// It was closed, and the dynamic linker kept it.
    StillMapped,
}

impl std::fmt::Display for PinReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Threads(names) => write!(f, "threads of its own still run: {}", names.join(", ")),
            Self::Aborted(abort) => abort.fmt(f),
            Self::SignalHandler(signal) => {
                write!(f, "it has made itself the handler of signal {signal} by a system call of its own")
            }
            Self::Strangers(names) => write!(
                f,
                "threads that may run its code, and were not made by pthread_create, still run: {}",
                names.join(", ")
            ),
            Self::Workers(count) => write!(f, "{count} of its workers did not return from a handler"),
            Self::Close(error) => write!(f, "dlclose failed: {error}"),
            Self::StillMapped => f.write_str(
                "dlclose kept it mapped (linked with -z nodelete, or a thread-local is still in use)",
            ),
        }
    }
}

/// A library that could not be unloaded safely: it stays mapped, on purpose, with its heap and its file.
#[derive(Debug)]
pub struct Pinned {
    reason: PinReason,
    _copy: Box<Inspected>,
}

impl Pinned {
    fn keep(
        reason: PinReason,
        library: Box<dyn Mapping>,
        context: Arc<LibraryContext>,
        copy: Inspected,
    ) -> Self {
        library.keep();
        std::mem::forget(context);
        Self { reason, _copy: Box::new(copy) }
    }

    /// Why it is pinned.
    pub fn reason(&self) -> &PinReason {
        &self.reason
    }
}

/// Checks a library's interface against the host's, with fresh globals: abi_stable's own ones keep pointers into
/// libraries that are gone. With the hash of what is open, that is done once for all libraries with this content.
///
/// # Safety
/// `header` is the `LibHeader` of a library that is open, and stays so as long as the result is used; its file has this
/// hash.
pub(crate) unsafe fn check_root(
    header: AbiHeaderRef,
    content: Option<ContentHash>,
) -> Result<PluginRef, LoadError> {
    static PASSED: Passed = Passed::new();
    let interface = |reason: String| LoadError::Interface { host: atoll_plugin::VERSION, reason };
    let header = header.upgrade().map_err(|error| interface(error.to_string()))?;
    if !content.is_some_and(|content| PASSED.contains(content)) {
        let layout = header.layout().ok_or_else(|| interface("it says nothing of its layout".to_owned()))?;
        let globals = CheckingGlobals::new();
        check_layout_compatibility_with_globals(<PluginRef as StableAbi>::LAYOUT, layout, &globals)
            .map_err(|errors| interface(errors.to_string()))?;
        if let Some(content) = content {
            PASSED.insert(content);
        }
    }
    // SAFETY: the layout was checked, here or in a library with the same content.
    unsafe { header.init_root_module_with_unchecked_layout::<PluginRef>() }
        .map_err(|error| interface(error.to_string()))
}

/// Binds a library to its context.
pub(crate) fn bind(root: PluginRef, context: &Arc<LibraryContext>) {
    // SAFETY: the context lives until the library is unloaded, which drops it last.
    unsafe { root.bind()(table::host(), context.handle(), logging::max_level(context.journal().level())) };
}

/// Runs a library's `main` on the calling thread.
pub(crate) fn run(root: PluginRef, port: Arc<Port>) -> Exit {
    // SAFETY: the library is bound; the handle carries one count of the port.
    unsafe { root.main()(table::port_handle(port)) }
}

/// Whether the file is mapped as a library.
fn is_mapped(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: `RTLD_NOLOAD` runs nothing; the handle it may give is given back.
    unsafe {
        let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY);
        if handle.is_null() {
            return false;
        }
        libc::dlclose(handle);
    }
    true
}
