//! Which generation the calling thread runs for. The actions of a shared library on the thread are attributed to that
//! generation.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use atoll_plugin::abi::ThreadEvent;

use crate::abi::fault::alternate_stack;
use crate::abi::library_context::LibraryContext;

thread_local! {
    /// Without a destructor, so that it can be read to the very end of the thread.
    static CURRENT: Cell<Current> = const { Cell::new(Current { context: ptr::null(), in_linker: false }) };

    /// The number of the worker whose thread this is, without a destructor as well.
    static WORKER: Cell<Option<usize>> = const { Cell::new(None) };
}

#[derive(Clone, Copy, Debug)]
struct Current {
    context: *const LibraryContext,
    /// The dynamic linker is on the stack, with its locks.
    in_linker: bool,
}

/// The process that the generations are in.
static PROCESS: AtomicI32 = AtomicI32::new(0);

/// While this lives, the calling thread opens or closes the library of a generation, and runs for it.
#[derive(Debug)]
pub(crate) struct InLinker {
    before: Current,
    /// Keeps what `CURRENT` points to.
    _context: Arc<LibraryContext>,
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

/// The calling thread opens or closes this generation's library, until what is returned is dropped: it runs its
/// constructors and destructors.
pub(crate) fn enter_linker(context: &Arc<LibraryContext>) -> InLinker {
    note_process();
    let before = CURRENT.replace(Current { context: Arc::as_ptr(context), in_linker: true });
    InLinker { before, _context: context.clone(), _thread: PhantomData }
}

impl Drop for InLinker {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// The calling thread runs for this generation until it ends, also in the destructors of its thread-locals.
///
/// # Safety
/// The context outlives the thread.
pub(crate) unsafe fn enter(context: &LibraryContext) {
    note_process();
    CURRENT.set(Current { context, in_linker: false });
}

/// As [`enter`], for the thread of the worker with this number.
///
/// # Safety
/// As for [`enter`].
pub(crate) unsafe fn enter_worker(context: &LibraryContext, worker: usize) {
    alternate_stack::ensure();
    WORKER.set(Some(worker));
    // SAFETY: by the caller's contract.
    unsafe { enter(context) };
}

/// The number of the worker whose thread this is.
///
/// Takes no lock and does not allocate.
pub(super) fn worker() -> Option<usize> {
    WORKER.get()
}

/// Books what happens to a thread of this generation's: to the calling one, or to one that it makes. A thread that has
/// started runs for the generation.
pub(crate) fn thread_event(context: &LibraryContext, event: ThreadEvent) {
    context.book_thread(event);
    if event == ThreadEvent::Started {
        alternate_stack::ensure();
        // SAFETY: the library is not unloaded, nor its context dropped, before a thread that is booked has ended.
        unsafe { enter(context) };
    }
}

/// Calls `f` with the generation that the calling thread runs for. `None` on a thread of the host, and in a forked
/// child, which is a separate process.
///
/// Takes no lock and does not allocate.
pub(crate) fn with<T>(f: impl FnOnce(&LibraryContext) -> T) -> Option<T> {
    let Current { context, .. } = CURRENT.get();
    if context.is_null() || is_forked_child() {
        return None;
    }
    // SAFETY: `InLinker` keeps the context, or the caller of `enter` does.
    Some(f(unsafe { &*context }))
}

/// As [`with`], also in a forked child.
pub(crate) fn with_in_child<T>(f: impl FnOnce(&LibraryContext) -> T) -> Option<T> {
    let Current { context, .. } = CURRENT.get();
    // SAFETY: `InLinker` keeps the context, or the caller of `enter` does; the child has a copy.
    unsafe { context.as_ref() }.map(f)
}

/// Calls `f` with the calling thread running for this generation meanwhile.
pub(crate) fn run_for<T>(context: &LibraryContext, f: impl FnOnce() -> T) -> T {
    note_process();
    let before = CURRENT.get();
    CURRENT.set(Current { context, ..before });
    let result = f();
    CURRENT.set(before);
    result
}

/// Calls `f` with the calling thread running for the host meanwhile.
pub(crate) fn as_host<T>(f: impl FnOnce() -> T) -> T {
    let before = CURRENT.replace(Current { context: ptr::null(), in_linker: false });
    let result = f();
    CURRENT.set(before);
    result
}

/// Whether this is a forked child of the process that the generations are in.
pub(crate) fn is_forked_child() -> bool {
    let process = PROCESS.load(Ordering::Relaxed);
    process != 0 && process != this_process()
}

/// Whether the calling thread holds the dynamic linker's locks, and cannot stop without stopping all that load a library.
pub(crate) fn is_in_linker() -> bool {
    CURRENT.get().in_linker
}

fn note_process() {
    if PROCESS.load(Ordering::Relaxed) == 0 {
        PROCESS.store(this_process(), Ordering::Relaxed);
    }
}

fn this_process() -> i32 {
    // SAFETY: no preconditions.
    unsafe { libc::getpid() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::app_log::AppLog;
    use crate::observe::events::EventBus;

    fn context(app: &str) -> Arc<LibraryContext> {
        LibraryContext::new(app.into(), 1, Arc::new(AppLog::new(app.into(), EventBus::default())))
    }

    fn current() -> Option<String> {
        with(|context| context.app().to_string())
    }

    #[test]
    fn a_thread_runs_for_the_generation_entered_last() {
        assert_eq!(current(), None);
        let (outer, inner) = (context("outer"), context("inner"));
        let entered = enter_linker(&outer);
        {
            let _entered = enter_linker(&inner);
            assert_eq!(current().as_deref(), Some("inner"));
        }
        assert_eq!((current().as_deref(), is_in_linker()), (Some("outer"), true));
        drop(entered);
        assert_eq!((current(), is_in_linker()), (None, false));
    }

    #[test]
    fn a_thread_made_on_it_runs_for_it_too() {
        let app = context("app");
        let entered = enter_linker(&app);
        let thread = std::thread::spawn(|| {
            let nested = std::thread::spawn(current).join().unwrap();
            (current(), nested, is_in_linker())
        });
        drop(entered);
        assert_eq!(thread.join().unwrap(), (Some("app".to_owned()), Some("app".to_owned()), false));
        assert_eq!(std::thread::spawn(current).join().unwrap(), None);
    }

    #[test]
    fn a_forked_child_runs_for_nobody() {
        let app = context("app");
        let _entered = enter_linker(&app);
        // SAFETY: the child asks for its number, and ends.
        let status = unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::_exit(i32::from(with(|_| ()).is_some()));
            }
            let mut status = 0;
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
            status
        };
        assert_eq!(status, 0);
        assert!(current().is_some());
    }
}
