//! A library in the process: opened, checked, bound; and closed again for real.

mod error;
mod keeper;
pub(crate) mod mapping;
mod open_error;
mod pin_reason;
mod verified;

use std::ffi::c_void;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{CheckingGlobals, check_layout_compatibility_with_globals};
use abi_stable::library::{AbiHeader, AbiHeaderRef};
use atoll_plugin::abi::{Exit, PluginRef, ROOT_SYMBOL};
use atoll_port::{WorkerEnd, table};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

pub use self::error::LoadError;
use self::keeper::{Keeper, Open};
use self::mapping::Mapping;
pub use self::open_error::OpenError;
pub use self::pin_reason::PinReason;
use self::verified::Verified;
use crate::abi::library_context::{LibraryContext, LibraryFile};
use crate::abi::{current, exports, forks, signals, vtable};
use crate::library::content_hash::ContentHash;
use crate::library::inspect::Inspected;
use crate::library::stage::Staged;

/// How long a signal's handler may take that runs when its library is to go.
pub(crate) const HANDLERS_END: Duration = Duration::from_secs(1);

/// The libraries whose interface was compared with the host's, here or in an app process.
static VERIFIED: Verified = Verified::new();

/// Whether the interface of a library with this content was compared with the host's.
pub(crate) fn is_verified(content: ContentHash) -> bool {
    VERIFIED.contains(content)
}

/// Takes note that the interface of a library with this content is the host's: it is not compared again.
pub(crate) fn note_verified(content: ContentHash) {
    if !VERIFIED.contains(content) {
        VERIFIED.insert(content);
    }
}

/// How many libraries were dropped without having been unloaded.
static ABANDONED: AtomicUsize = AtomicUsize::new(0);

/// How many libraries of this process were dropped without having been [unloaded](Loaded::unload), as by a
/// [`Host`](crate::Host) that was not closed. They stay in memory until the process ends.
pub fn abandoned() -> usize {
    ABANDONED.load(Ordering::Relaxed)
}

/// A library whose file has been inspected, open in this process and bound to its context.
///
/// Dropping it does not unload it: the library stays in the process for good, with its heap and the thread that opened
/// it, and is counted in [`abandoned`]. Only [`unload`](Self::unload) takes it out.
pub struct Loaded {
    hold: Hold,
    root: PluginRef,
    copy: Inspected,
}

/// What keeps a library in the process.
struct Hold {
    /// `None`: it is closed, or can no longer be closed.
    mapping: Option<Box<dyn Mapping>>,
    context: Arc<LibraryContext>,
    /// Whether it is known that it stays.
    pinned: bool,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.mapping.is_none() {
            return;
        }
        ABANDONED.fetch_add(1, Ordering::Relaxed);
        if !self.pinned {
            log::warn!(
                "{}#{} was dropped without being unloaded: it stays in memory until the process exits",
                self.context.app(),
                self.context.generation()
            );
        }
    }
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
        let (path, content) = (inspected.staged().path().to_owned(), inspected.staged().hash());
        context.note_library(LibraryFile::new(&path, content.to_string()));
        // SAFETY: by the caller's contract.
        let (keeper, root) = unsafe { open(path, content, &context)? };
        let hold = Hold { mapping: Some(Box::new(keeper)), context, pinned: false };
        Ok(Self { hold, root, copy: inspected })
    }

    /// A library that something else than [`open`](Self::open) has opened, checked and bound.
    #[cfg(any(test, feature = "standalone"))]
    pub(crate) fn held(
        library: Box<dyn Mapping>,
        root: PluginRef,
        context: Arc<LibraryContext>,
        inspected: Inspected,
    ) -> Self {
        Self { hold: Hold { mapping: Some(library), context, pinned: false }, root, copy: inspected }
    }

    /// The library's functions; not to be used after it is unloaded.
    pub(crate) fn root(&self) -> PluginRef {
        self.root
    }

    /// The copy that was loaded.
    pub fn staged(&self) -> &Staged {
        self.copy.staged()
    }

    /// Keeps the library in the process, for as long as the reason lasts.
    pub fn pin(mut self, reason: PinReason) -> Pinned {
        self.hold.pinned = true;
        if let Some(mapping) = &mut self.hold.mapping {
            mapping.pin();
        }
        Pinned { reason, library: Box::new(self) }
    }

    /// The library's context.
    pub fn context(&self) -> &Arc<LibraryContext> {
        &self.hold.context
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
        if let Some(abort) = self.hold.context.aborted().cloned() {
            return Err(self.pin(PinReason::Aborted(abort)));
        }
        self.hold.context.end_signals(HANDLERS_END);
        let threads = self.hold.context.running_threads();
        if !threads.is_empty() {
            return Err(self.pin(PinReason::Threads(threads)));
        }
        let (root, context) = (self.root, self.hold.context.clone());
        let last = Box::new(move || {
            let _entered = current::enter_linker(&context);
            // SAFETY: no thread of the library's runs any more. What it has registered may make one until here, which is a
            // stranger.
            unsafe { root.unbind()() };
            look_for_users(root.bind() as *const c_void, &context)
        });
        let left = match self.hold.mapping.take() {
            // SAFETY: by the caller's contract and the check above.
            Some(mapping) => unsafe { mapping.close(last) },
            None => Err((None, PinReason::Lost)),
        };
        if let Err((mapping, reason)) = left {
            self.hold.mapping = mapping;
            return Err(self.pin(reason));
        }
        Ok(self.copy)
    }
}

/// Opens a library for as long as the process lives, checks its interface and binds it to its context, on a thread made for
/// it. Waits for that. `path` leads to a file that has been inspected and has this hash.
///
/// # Errors
/// As for [`Loaded::open`].
///
/// # Safety
/// As for [`Loaded::open`].
pub(crate) unsafe fn open_for_good(
    path: PathBuf,
    content: ContentHash,
    context: &Arc<LibraryContext>,
) -> Result<PluginRef, LoadError> {
    // SAFETY: by the caller's contract.
    let (_keeper, root) = unsafe { open(path, content, context)? };
    Ok(root)
}

/// Opens, checks and binds the library of this file, whose content has this hash.
///
/// # Safety
/// As for [`Loaded::open`].
unsafe fn open(
    path: PathBuf,
    content: ContentHash,
    context: &Arc<LibraryContext>,
) -> Result<(Keeper, PluginRef), LoadError> {
    let name = format!("lib {}#{}", context.app(), context.generation());
    let bound = context.clone();
    let open = move || {
        let _entered = current::enter_linker(&bound);
        exports::prepare(&bound);
        // SAFETY: by the caller's contract.
        let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }
            .map_err(|error| OpenError::new(&error, &path))?;
        // SAFETY: the symbol is the `LibHeader` that `export_app!` defines, and stays until `library` is closed.
        let header = unsafe { library.get::<AbiHeaderRef>(ROOT_SYMBOL.as_bytes()) }.map(|header| *header);
        let open = Open::new(library, bound.clone(), path);
        let inside = header.as_ref().map_or(std::ptr::null(), |header| (&raw const **header).cast());
        let root = header.map_err(|_missing| LoadError::NoRoot).and_then(|header| {
            // SAFETY: as above, and its file has this hash.
            unsafe { check_root(header, Some(content)) }
        });
        match root {
            Ok(root) => {
                bind(root, &bound);
                Ok((open, root))
            }
            Err(error) => {
                refuse(open, inside, &bound);
                Err(error)
            }
        }
    };
    Keeper::start(&name, open)
}

/// Closes a library that is refused, before anything but its constructors was called. If they have left something that
/// may run its code, it stays in the process for good. `inside` is an address in it, or null.
fn refuse(open: Open, inside: *const c_void, context: &LibraryContext) {
    context.end_signals(HANDLERS_END);
    let threads = context.running_threads();
    let users =
        if threads.is_empty() { look_for_users(inside, context) } else { Err(PinReason::Threads(threads)) };
    let held = users.and_then(|()| forks::hold_off().ok_or(PinReason::Fork));
    let closed = held.and_then(|no_forks| {
        // SAFETY: the unload rule: no thread runs its code, as was looked for, and no code was given an address in it.
        unsafe { open.close(no_forks) }.map_err(|(_open, reason)| reason)
    });
    if let Err(reason) = closed {
        ABANDONED.fetch_add(1, Ordering::Relaxed);
        log::warn!(
            "{}#{} is refused, but its library stays in memory until the process exits: {reason}",
            context.app(),
            context.generation()
        );
    }
}

/// Looks for what may run a library's code although none of its known threads does: a handler of a signal that was set
/// by a system call, or a thread that the host does not track. `inside` is an address in the library.
fn look_for_users(inside: *const c_void, context: &LibraryContext) -> Result<(), PinReason> {
    let base = exports::object_of(inside);
    let unseen = signals::unseen_handler(|handler| {
        base.is_some() && exports::object_of(std::ptr::without_provenance(handler)) == base
    });
    if let Some(signal) = unseen {
        return Err(PinReason::SignalHandler(signal));
    }
    let strangers = context.strangers();
    if strangers.is_empty() { Ok(()) } else { Err(PinReason::Strangers(strangers)) }
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
    let interface = |reason: String| LoadError::Interface { host: atoll_plugin::VERSION, reason };
    if !header.is_valid() {
        let [library, host] =
            [&*header, &AbiHeader::VALUE].map(|it| format!("{}.{}", it.abi_major, it.abi_minor));
        return Err(interface(format!("it was built with abi_stable {library}, and this host with {host}")));
    }
    let header = header.upgrade().map_err(|error| interface(error.to_string()))?;
    if !content.is_some_and(|content| VERIFIED.contains(content)) {
        let layout = header.layout().ok_or_else(|| interface("it has no layout information".to_owned()))?;
        let globals = CheckingGlobals::new();
        check_layout_compatibility_with_globals(<PluginRef as StableAbi>::LAYOUT, layout, &globals)
            .map_err(|errors| interface(errors.to_string()))?;
        if let Some(content) = content {
            VERIFIED.insert(content);
        }
    }
    // SAFETY: the layout was checked, here or in a library with the same content.
    unsafe { header.init_root_module_with_unchecked_layout::<PluginRef>() }
        .map_err(|error| interface(error.to_string()))
}

/// Binds a library to its context.
pub(crate) fn bind(root: PluginRef, context: &Arc<LibraryContext>) {
    // SAFETY: the context lives until the library is unloaded, which drops it last.
    unsafe { root.bind()(vtable::host(), context.handle(), context.reports().max_level()) };
}

/// Runs a library's `main` on the calling thread.
pub(crate) fn run(root: PluginRef, port: Arc<WorkerEnd>) -> Exit {
    // SAFETY: the library is bound; the handle carries one count of the port.
    unsafe { root.main()(table::port_handle(port)) }
}
