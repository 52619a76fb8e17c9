//! The thread that opens a library, lives as long as the library is open, and closes it.
//!
//! What a library's constructors have touched belongs to the thread that ran them: mimalloc takes it for the main thread,
//! and thread-locals with destructors tie the library to it. So one thread has to do both.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use libloading::os::unix::Library;

use super::error::LoadError;
use super::mapping::{FinalCheck, Mapping};
use super::open_error::loader_says;
use super::pin_reason::PinReason;
use crate::abi::current;
use crate::abi::forks::{self, NoForks};
use crate::abi::library_context::LibraryContext;

/// How much stack a keeper has, in bytes: for the constructors of a library, and for the dynamic linker. As much as
/// Rust gives its threads; what is not used takes no memory.
const STACK: usize = 2 << 20;

/// An open library, and what its code reaches in the host. Dropping this leaves it open for good, with all of that.
pub(super) struct Open {
    parts: Option<Parts>,
}

struct Parts {
    library: Library,
    context: Arc<LibraryContext>,
    path: PathBuf,
}

impl Open {
    pub(super) fn new(library: Library, context: Arc<LibraryContext>, path: PathBuf) -> Self {
        Self { parts: Some(Parts { library, context, path }) }
    }

    /// Closes the library on this thread, and gives back what it has left behind. `Err` if it is still there.
    ///
    /// # Safety
    /// The unload rule: no thread runs the library's code, or will; no other code has an address in it.
    pub(super) unsafe fn close(mut self, _no_forks: NoForks) -> Result<(), (Self, PinReason)> {
        let Some(Parts { library, context, path }) = self.parts.take() else { return Ok(()) };
        let entered = current::enter_linker(&context);
        let error = library.close().err();
        drop(entered);
        // A handle of our own, so that it does not go at a time when nobody expects it, on a thread that happens to
        // close another library.
        if let Some(library) = open_already(&path) {
            let reason = error.map_or(PinReason::StillMapped, |error| PinReason::Close(loader_says(&error)));
            return Err((Self::new(library, context, path), reason));
        }
        // SAFETY: the library is gone.
        unsafe { context.give_back() };
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            std::mem::forget(parts);
        }
    }
}

/// The library of this file, if it is in the process.
fn open_already(path: &Path) -> Option<Library> {
    let name = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: `RTLD_NOLOAD` runs nothing.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY) };
    // SAFETY: the handle is the one of this `dlopen`, and nobody else closes it.
    (!handle.is_null()).then(|| unsafe { Library::from_raw(handle) })
}

/// What a keeper has left when it has ended: the library, if it is still there, with the reason.
type Left = Result<(), (Option<Open>, PinReason)>;

/// An order to close the library.
struct Order {
    last: FinalCheck,
    /// Receives the reason against it, if any.
    refused: SyncSender<Option<PinReason>>,
}

/// The hold on a keeper. Dropping this leaves the keeper where it is, and the library open, for good.
pub(super) struct Keeper {
    name: String,
    order: Sender<Order>,
    thread: JoinHandle<Left>,
}

impl Keeper {
    /// Opens a library on a thread made for it; what `open` returns beside the library.
    ///
    /// # Errors
    /// The thread cannot be made, or `open` fails.
    pub(super) fn start<T: Send + 'static>(
        name: &str,
        open: impl FnOnce() -> Result<(Open, T), LoadError> + Send + 'static,
    ) -> Result<(Self, T), LoadError> {
        let (opened, result) = sync_channel(1);
        let (order, ordered) = channel();
        let keep = move || match open() {
            Ok((library, value)) => {
                // Without a receiver there is nobody who would order it to close, either.
                let _ = opened.send(Ok(value));
                keep(library, &ordered)
            }
            Err(error) => {
                let _ = opened.send(Err(error));
                Ok(())
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK);
        let thread = thread.spawn(keep).map_err(LoadError::Thread)?;
        let panicked = |_| LoadError::Thread(io::Error::other("the thread that opened it panicked"));
        let value = result.recv().map_err(panicked)??;
        Ok((Self { name: name.to_owned(), order, thread }, value))
    }

    /// Has the thread close the library, and waits until it has ended; or gives it back with the reason why it has not.
    ///
    /// # Safety
    /// The unload rule, as for [`Open::close`].
    unsafe fn end(self, last: FinalCheck) -> Result<Left, (Self, PinReason)> {
        let (refused, answer) = sync_channel(1);
        // One that has ended gives no answer, either.
        let _ = self.order.send(Order { last, refused });
        if let Ok(Some(reason)) = answer.recv() {
            return Err((self, reason));
        }
        let panicked = |_| Err((None, PinReason::Close("the thread that closed it panicked".to_owned())));
        Ok(self.thread.join().unwrap_or_else(panicked))
    }
}

/// Keeps the library until it is closed.
fn keep(library: Open, ordered: &Receiver<Order>) -> Left {
    for Order { last, refused } in ordered {
        let held = last().and_then(|()| forks::hold_off().ok_or(PinReason::Fork));
        // It waits for this.
        let _ = refused.send(held.as_ref().err().cloned());
        if let Ok(no_forks) = held {
            // SAFETY: the order is given by `Keeper::end`, by its contract.
            return unsafe { library.close(no_forks) }.map_err(|(library, reason)| (Some(library), reason));
        }
    }
    // Nobody will close it. Not even this thread may end: the library may take it for its main thread.
    loop {
        thread::park();
    }
}

impl Mapping for Keeper {
    unsafe fn close(self: Box<Self>, last: FinalCheck) -> Result<(), (Option<Box<dyn Mapping>>, PinReason)> {
        let name = self.name.clone();
        let another = |left: Option<Open>, reason: PinReason| match left {
            None => Err((None, reason)),
            Some(library) => Self::start(&name, move || Ok((library, ())))
                .map(|(keeper, ())| keeper)
                .map_err(|error| (None, PinReason::Close(error.to_string()))),
        };
        let held = |(keeper, reason): (Self, PinReason)| -> (Option<Box<dyn Mapping>>, PinReason) {
            (Some(Box::new(keeper)), reason)
        };
        // SAFETY: by the caller's contract.
        let Err((left, reason)) = unsafe { self.end(last) }.map_err(held)? else { return Ok(()) };
        // It may have been held by thread-locals of its keeper, which have ended with that. Then another thread can close
        // it.
        let second = another(left, reason)?;
        // SAFETY: by the caller's contract.
        let ended = unsafe { second.end(Box::new(|| Ok(()))) }.map_err(held)?;
        let Err((left, reason)) = ended else { return Ok(()) };
        let third = another(left, reason.clone())?;
        Err((Some(Box::new(third)), reason))
    }
}
