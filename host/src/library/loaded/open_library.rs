//! A library that is open in this process, wherever its file is.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use abi_stable::library::AbiHeaderRef;
use atoll_plugin::abi::{PluginRef, ROOT_SYMBOL};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::error::LoadError;
use super::interface::{bind, check_root};
use super::keeper::{Keeper, Open};
use super::mapping::Mapping;
use super::open_error::OpenError;
use super::pin_reason::PinReason;
use crate::abi::library_context::LibraryContext;
use crate::abi::{current, exports, forks, signals};
use crate::library::content_hash::ContentHash;
use crate::library::open_paths::OpenPaths;

/// How long a signal's handler may take that runs when its library is to go.
pub(crate) const HANDLERS_END: Duration = Duration::from_secs(1);

/// How many libraries were dropped without having been unloaded.
static ABANDONED: AtomicUsize = AtomicUsize::new(0);

/// How many libraries of this process were dropped without having been unloaded, as by a
/// [`Host`](crate::Host) that was not closed. They stay in memory until the process ends.
pub fn abandoned() -> usize {
    ABANDONED.load(Ordering::Relaxed)
}

/// A library that is open, checked and bound to its context. Dropping it leaves it in the process for good.
pub(crate) struct OpenLibrary {
    /// `None`: it is closed, or can no longer be closed.
    mapping: Option<Box<dyn Mapping>>,
    root: PluginRef,
    context: Arc<LibraryContext>,
    /// Whether it is known that it stays.
    pinned: bool,
}

impl Drop for OpenLibrary {
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

impl OpenLibrary {
    /// Opens a library and those that it needs, checks its interface and binds it to its context, on a thread made for it, which lives until
    /// it is closed. Waits for that thread. `content` is the hash of the file's content, if it is known.
    ///
    /// # Errors
    /// See [`LoadError`]; the library is closed again, unless its constructors have left a thread or a signal handler.
    ///
    /// # Safety
    /// As for [`Loaded::open`](super::Loaded::open), and the file has been inspected.
    pub(crate) unsafe fn open(
        paths: OpenPaths,
        content: Option<ContentHash>,
        context: Arc<LibraryContext>,
    ) -> Result<Self, LoadError> {
        let name = format!("lib {}#{}", context.app(), context.generation());
        let bound = context.clone();
        let open = move || {
            let _entered = current::enter_linker(&bound);
            exports::prepare(&bound);
            // SAFETY: by the caller's contract, which is for the libraries that it needs, too.
            let needed = unsafe { open_needed(&paths)? };
            // SAFETY: by the caller's contract.
            let library = unsafe { Library::open(Some(&paths.library), RTLD_NOW | RTLD_LOCAL) }
                .map_err(|error| OpenError::new(&error, &paths))?;
            // The library holds them now.
            drop(needed);
            // SAFETY: the symbol is the `LibHeader` that `export_app!` defines, and stays until `library` is closed.
            let header = unsafe { library.get::<AbiHeaderRef>(ROOT_SYMBOL.as_bytes()) }.map(|header| *header);
            let open = Open::new(library, bound.clone(), paths.library);
            let inside = header.as_ref().map_or(std::ptr::null(), |header| (&raw const **header).cast());
            let root = header.map_err(|_missing| LoadError::NoRoot).and_then(|header| {
                // SAFETY: as above, and its file has this hash, if one is given.
                unsafe { check_root(header, content) }
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
        let (keeper, root) = Keeper::start(&name, open)?;
        Ok(Self::new(Box::new(keeper), root, context))
    }

    /// A library that is held by this, and was checked and bound.
    pub(super) fn new(mapping: Box<dyn Mapping>, root: PluginRef, context: Arc<LibraryContext>) -> Self {
        Self { mapping: Some(mapping), root, context, pinned: false }
    }

    /// The library's functions; not to be used after it is closed.
    pub(crate) fn root(&self) -> PluginRef {
        self.root
    }

    /// The library's context.
    pub(crate) fn context(&self) -> &Arc<LibraryContext> {
        &self.context
    }

    /// Takes note that it stays in the process for now.
    pub(super) fn pin(&mut self) {
        self.pinned = true;
        if let Some(mapping) = &mut self.mapping {
            mapping.pin();
        }
    }

    /// Keeps it open as long as the process lives.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }

    /// Closes it, as [`Loaded::unload`](super::Loaded::unload) describes. It is not to be used after that.
    ///
    /// # Errors
    /// Why it is still in use, and stays mapped.
    ///
    /// # Safety
    /// The unload rule, as for [`Loaded::unload`](super::Loaded::unload).
    pub(crate) unsafe fn close(&mut self) -> Result<(), PinReason> {
        if let Some(abort) = self.context.aborted().cloned() {
            return Err(PinReason::Aborted(abort));
        }
        self.context.end_signals(HANDLERS_END);
        let threads = self.context.running_threads();
        if !threads.is_empty() {
            return Err(PinReason::Threads(threads));
        }
        let (root, context) = (self.root, self.context.clone());
        let last = Box::new(move || {
            let _entered = current::enter_linker(&context);
            // SAFETY: no thread of the library's runs any more. What it has registered may make one until here, which is a
            // stranger.
            unsafe { root.unbind()() };
            look_for_users(root.bind() as *const c_void, &context)
        });
        let left = match self.mapping.take() {
            // SAFETY: by the caller's contract and the check above.
            Some(mapping) => unsafe { mapping.close(last) },
            None => Err((None, PinReason::Lost)),
        };
        left.map_err(|(mapping, reason)| {
            self.mapping = mapping;
            reason
        })
    }
}

/// Opens the libraries that a library needs. It finds them by their names while they are open.
///
/// # Safety
/// Their constructors run with all rights of the process.
pub(crate) unsafe fn open_needed(paths: &OpenPaths) -> Result<Vec<Library>, OpenError> {
    let mut opened = Vec::with_capacity(paths.needed.len());
    for needed in &paths.needed {
        // One that cannot be unloaded may be left of a copy before, and the name would lead to that.
        // SAFETY: `RTLD_NOLOAD` runs nothing.
        let left = unsafe { Library::open(Some(&needed.name), libc::RTLD_NOLOAD | RTLD_NOW) };
        let library = left.or_else(|_none| {
            // SAFETY: by the caller's contract.
            unsafe { Library::open(Some(&needed.path), RTLD_NOW | RTLD_LOCAL) }
        });
        opened.push(library.map_err(|error| OpenError::of_needed(&error, needed, paths))?);
    }
    Ok(opened)
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
