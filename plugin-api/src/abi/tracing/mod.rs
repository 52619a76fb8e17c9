//! The bridge from this library's `tracing` to the host's log.
//!
//! Each thread of the app has the bridge as its own default subscriber, so that the app can set the global one as in a
//! process. The bridge writes events to the host's log, with their fields and spans, and passes everything on to the app's
//! global subscriber, if there is one. That subscriber's filters decide which events there are.

mod event;
mod object;
mod passing;
mod spans;
mod values;

use std::any::TypeId;
use std::ptr;
use std::sync::OnceLock;

use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, Level, LevelFilter, Metadata, Subscriber, callsite};

use crate::abi::logging;

pub(crate) use passing::find_subscriber;

/// Has the events of the calling thread go to the host's log, until the thread ends.
pub(crate) fn follow_thread() {
    // With one dispatcher only, `tracing` asks that of the thread which comes to a place in the code first, and disables
    // the place for good where there is none.
    static BRIDGES: OnceLock<[Dispatch; 2]> = OnceLock::new();
    if logging::can_write() {
        let [bridge, _] = BRIDGES.get_or_init(|| {
            logging::on_level_change(|| passing::unnoticed(callsite::rebuild_interest_cache));
            passing::unnoticed(|| [Dispatch::new(Bridge), Dispatch::new(Bridge)])
        });
        passing::set_default(bridge);
    }
}

/// A level as its number: 1 (error) to 5 (trace).
fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        _ => 5,
    }
}

/// Whether the host wants events of this level and target.
fn is_wanted(level: Level, target: &str) -> bool {
    let level = number(level);
    level <= logging::max_level() && logging::is_enabled(level, target)
}

struct Bridge;

impl Subscriber for Bridge {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        find_subscriber();
        let is_possible = number(*metadata.level()) <= logging::max_level();
        if is_possible { Interest::sometimes() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        passing::note_dispatcher();
        Some(match logging::max_level() {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        match passing::subscriber() {
            Some(subscriber) => subscriber.enabled(metadata),
            None => is_wanted(*metadata.level(), metadata.target()),
        }
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let span = spans::make(attributes);
        let id = passing::new_span(attributes).unwrap_or_else(spans::own_id);
        spans::insert(&id, span);
        id
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        spans::record(id, values);
        passing::pass(id, |subscriber| subscriber.record(id, values));
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        if !spans::is_own(follows) {
            passing::pass(id, |subscriber| subscriber.record_follows_from(id, follows));
        }
    }

    fn event(&self, event: &Event<'_>) {
        event::write(event);
        passing::event(event);
    }

    fn enter(&self, id: &Id) {
        spans::enter(id);
        passing::pass(id, |subscriber| subscriber.enter(id));
    }

    fn exit(&self, id: &Id) {
        spans::exit(id);
        passing::pass(id, |subscriber| subscriber.exit(id));
    }

    fn clone_span(&self, id: &Id) -> Id {
        if !passing::is_passing() {
            spans::retain(id);
        }
        passing::pass(id, |subscriber| subscriber.clone_span(id)).unwrap_or_else(|| id.clone())
    }

    fn try_close(&self, id: Id) -> bool {
        // What the app's subscriber releases itself, it has retained itself.
        let is_last = !passing::is_passing() && spans::release(&id);
        passing::pass(&id, |subscriber| subscriber.try_close(id.clone())).unwrap_or(is_last)
    }

    fn current_span(&self) -> Current {
        // A span from before the subscriber was set is none for those who look for its layers.
        passing::current_span().unwrap_or_else(spans::current)
    }

    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Self>() {
            return Some(ptr::from_ref(self).cast());
        }
        // SAFETY: by the caller's contract. The app's subscriber lives as long as the library.
        passing::object().and_then(|subscriber| unsafe { subscriber.downcast_raw(id) })
    }
}
