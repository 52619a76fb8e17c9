//! Spans, as far as events need them: their names and fields, and which ones a thread is in.
//!
//! A span has the id that the app's subscriber has given it, as its layers look spans up by their ids. Without a subscriber
//! it has an id of the bridge.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Event, Metadata};

use super::values::Values;
use crate::abi::fields::Fields;

/// The ids of the bridge begin with these bits. Subscribers count from 1; those of `tracing-subscriber` have the
/// number of a thread in these bits, and do not reach the highest.
const OWN: u64 = u64::MAX << 38;

/// How many maps the spans are in, by their ids: threads that use different spans rarely wait for each other.
const SHARDS: usize = 16;

type Shard = Mutex<BTreeMap<u64, Arc<Span>>>;

static SPANS: [Shard; SHARDS] = [const { Mutex::new(BTreeMap::new()) }; SHARDS];

thread_local! {
    /// The spans that this thread is in, the innermost last.
    static ENTERED: RefCell<Vec<(Id, Arc<Span>)>> = const { RefCell::new(Vec::new()) };
}

pub(super) struct Span {
    metadata: &'static Metadata<'static>,
    parent: Option<Arc<Span>>,
    fields: Mutex<Fields>,
    /// How many handles of it there are.
    handles: AtomicUsize,
}

/// A new id of the bridge.
pub(super) fn own_id() -> Id {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Id::from_u64(OWN | NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether an id is one of the bridge, and unknown to the app's subscriber.
pub(super) fn is_own(id: &Id) -> bool {
    id.into_u64() & OWN == OWN
}

/// Makes a span, with one handle.
pub(super) fn make(attributes: &Attributes<'_>) -> Arc<Span> {
    let mut values = Values::new(attributes.metadata());
    attributes.record(&mut values);
    let parent = match attributes.parent() {
        Some(id) => find(id),
        None if attributes.is_contextual() => innermost(|_, span| span.clone()),
        None => None,
    };
    Arc::new(Span {
        metadata: attributes.metadata(),
        parent,
        fields: Mutex::new(values.fields),
        handles: AtomicUsize::new(1),
    })
}

fn shard(id: &Id) -> MutexGuard<'static, BTreeMap<u64, Arc<Span>>> {
    SPANS[id.into_u64() as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn insert(id: &Id, span: Arc<Span>) {
    shard(id).insert(id.into_u64(), span);
}

fn find(id: &Id) -> Option<Arc<Span>> {
    shard(id).get(&id.into_u64()).cloned()
}

/// Adds values to a span.
pub(super) fn record(id: &Id, values: &Record<'_>) {
    if let Some(span) = find(id) {
        // The app's code makes texts of its values: without a lock.
        let mut more = Values::new(span.metadata);
        values.record(&mut more);
        span.fields.lock().unwrap_or_else(PoisonError::into_inner).extend(&more.fields);
    }
}

/// Counts one more handle of a span.
pub(super) fn retain(id: &Id) {
    if let Some(span) = find(id) {
        span.handles.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts one handle less; `true`: it was the last one, and the span is gone.
pub(super) fn release(id: &Id) -> bool {
    let mut spans = shard(id);
    let is_last =
        spans.get(&id.into_u64()).is_some_and(|span| span.handles.fetch_sub(1, Ordering::AcqRel) == 1);
    if is_last {
        spans.remove(&id.into_u64());
    }
    is_last
}

/// Takes note that this thread is in a span.
pub(super) fn enter(id: &Id) {
    if let Some(span) = find(id) {
        // A thread that ends, and drops its thread-locals, is in none.
        let _ = ENTERED.try_with(|entered| entered.borrow_mut().push((id.clone(), span)));
    }
}

/// Takes note that this thread has left a span.
pub(super) fn exit(id: &Id) {
    // As above.
    let _ = ENTERED.try_with(|entered| {
        let mut entered = entered.borrow_mut();
        if let Some(at) = entered.iter().rposition(|(other, _)| other == id) {
            entered.remove(at);
        }
    });
}

fn innermost<T>(f: impl FnOnce(&Id, &Arc<Span>) -> T) -> Option<T> {
    ENTERED.try_with(|entered| entered.borrow().last().map(|(id, span)| f(id, span))).ok().flatten()
}

/// The innermost span that this thread is in.
pub(super) fn current() -> Current {
    innermost(|id, span| Current::new(id.clone(), span.metadata)).unwrap_or_else(Current::none)
}

/// The spans that an event is in, as the text of a JSON array, the outermost first; empty without any.
pub(super) fn around(event: &Event<'_>) -> String {
    let innermost = match event.parent() {
        Some(id) => find(id),
        None if event.is_contextual() => innermost(|_, span| span.clone()),
        None => None,
    };
    let mut spans: Vec<&Span> =
        std::iter::successors(innermost.as_deref(), |span| span.parent.as_deref()).collect();
    spans.reverse();
    if spans.is_empty() {
        return String::new();
    }
    let mut text = String::from("[");
    for (n, span) in spans.iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        let mut object = Fields::default();
        object.add("name", span.metadata.name());
        object.extend(&span.fields.lock().unwrap_or_else(PoisonError::into_inner));
        object.push_object(&mut text);
    }
    text.push(']');
    text
}
