//! The app's own global subscriber, to which everything is passed on.

use std::cell::{Cell, RefCell};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tracing_core::dispatcher::{self, DefaultGuard};
use tracing_core::span::{Attributes, Current, Id};
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, Event};

use super::object::{self, Object};
use super::spans;
use crate::abi::hooks::{process, streams};

/// The app's global subscriber, once it is known.
static SUBSCRIBER: OnceLock<Dispatch> = OnceLock::new();

thread_local! {
    /// Resets the default of this thread to the global one, when it is dropped.
    static RESET: RefCell<Option<DefaultGuard>> = const { RefCell::new(None) };
    /// Whether the app's subscriber is called on this thread.
    static IS_PASSING: Cell<bool> = const { Cell::new(false) };
}

/// Whether the app has made a dispatcher since it was last looked for a global one.
static HAS_DISPATCHER: AtomicBool = AtomicBool::new(false);

/// Takes note that there is another dispatcher, which may become the global one.
pub(super) fn note_dispatcher() {
    HAS_DISPATCHER.store(true, Ordering::Relaxed);
}

/// Runs `f`, which is not the app's.
pub(super) fn unnoticed<T>(f: impl FnOnce() -> T) -> T {
    let before = HAS_DISPATCHER.load(Ordering::Relaxed);
    let result = f();
    HAS_DISPATCHER.store(before, Ordering::Relaxed);
    result
}

/// The app's global subscriber, if it has set one.
pub(super) fn subscriber() -> Option<&'static Dispatch> {
    if SUBSCRIBER.get().is_none() && HAS_DISPATCHER.swap(false, Ordering::Relaxed) {
        find_by_thread();
    }
    SUBSCRIBER.get()
}

/// As [`find_subscriber`], while this thread cannot give up its default: a thread looks when it starts.
fn find_by_thread() {
    if process::is_forked_child() {
        return;
    }
    // Without a thread for it, the subscriber is found later. This one does nothing else, and does not panic.
    let _ = thread::Builder::new().name("tracing".to_owned()).spawn(|| {}).map(thread::JoinHandle::join);
}

/// The subscriber itself, if it is known how to get it.
pub(super) fn object() -> Option<Object> {
    static OBJECT: OnceLock<Option<Object>> = OnceLock::new();
    let subscriber = SUBSCRIBER.get()?;
    *OBJECT.get_or_init(|| object::find(subscriber))
}

/// Makes the bridge the default of this thread.
pub(super) fn set_default(bridge: &Dispatch) {
    // A thread that ends, and drops its thread-locals, needs none any more.
    let _ = RESET.try_with(|reset| {
        note(dispatcher::get_default(Dispatch::clone));
        reset.replace(Some(dispatcher::set_default(bridge)));
    });
}

/// Looks for a global subscriber that the app has set since. `tracing` shows it to threads without a default only, so the
/// thread gives up its default for the look.
pub(crate) fn find_subscriber() {
    if SUBSCRIBER.get().is_some() {
        return;
    }
    let current = dispatcher::get_default(Dispatch::clone);
    // A subscriber is being called on this thread: its default cannot be changed now.
    if current.is::<NoSubscriber>() {
        return;
    }
    // As above.
    let _ = RESET.try_with(|reset| {
        let Some(guard) = reset.take() else { return };
        drop(guard);
        note(dispatcher::get_default(Dispatch::clone));
        reset.replace(Some(dispatcher::set_default(&current)));
    });
}

/// Takes note of the default of a thread that has set none.
fn note(global: Dispatch) {
    if !global.is::<NoSubscriber>() {
        SUBSCRIBER.get_or_init(|| global);
    }
}

/// Whether the app's subscriber is called on this thread.
pub(super) fn is_passing() -> bool {
    IS_PASSING.get()
}

fn call<T>(subscriber: &Dispatch, f: impl FnOnce(&Dispatch) -> T) -> T {
    struct Passing(bool);
    impl Drop for Passing {
        fn drop(&mut self) {
            IS_PASSING.set(self.0);
        }
    }
    let _before = Passing(IS_PASSING.replace(true));
    f(subscriber)
}

/// Calls the app's subscriber about a span that it has made.
pub(super) fn pass<T>(id: &Id, f: impl FnOnce(&Dispatch) -> T) -> Option<T> {
    SUBSCRIBER.get().filter(|_| !spans::is_own(id)).map(|subscriber| call(subscriber, f))
}

/// Has the app's subscriber make a span.
pub(super) fn new_span(attributes: &Attributes<'_>) -> Option<Id> {
    let subscriber = SUBSCRIBER.get()?;
    let root = Attributes::new_root(attributes.metadata(), attributes.values());
    // A parent from before the subscriber was set is unknown to it.
    let is_unknown = attributes.parent().is_some_and(spans::is_own);
    let attributes = if is_unknown { &root } else { attributes };
    Some(call(subscriber, |subscriber| subscriber.new_span(attributes)))
}

/// The current span of the app's subscriber.
pub(super) fn current_span() -> Option<Current> {
    SUBSCRIBER.get().map(|subscriber| call(subscriber, Dispatch::current_span))
}

/// Passes an event on. What the app's subscriber prints of it is in the log already.
pub(super) fn event(event: &Event<'_>) {
    if let Some(subscriber) = SUBSCRIBER.get() {
        call(subscriber, |subscriber| streams::muted(|| subscriber.event(event)));
    }
}
