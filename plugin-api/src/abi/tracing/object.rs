//! The subscriber in a dispatcher.
//!
//! Layers are found by their types: `tracing-opentelemetry` and `tracing-error` look for their own in the dispatcher of a
//! span, which is the bridge. It has to ask the app's subscriber for them, and a [`Dispatch`] passes on no such question. So
//! the subscriber is taken out of it, by the layout of the type, where that is proven to be the one expected.

use std::ptr;

use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, Subscriber};

pub(super) type Object = &'static (dyn Subscriber + Send + Sync);

/// Where the subscriber is in a dispatcher, in bytes: behind the tag.
const OFFSET: usize = size_of::<usize>();

/// How a global dispatcher shows itself; the address of its subscriber follows.
const GLOBAL: &str = "Dispatch::Global(";

/// The address at a place in a dispatcher where there is a pointer, whatever it points to.
fn address(dispatch: &Dispatch) -> Option<*const ()> {
    if size_of::<Dispatch>() != OFFSET + size_of::<Object>() {
        return None;
    }
    // SAFETY: a tag and an `Object`, or an `Arc` of the same size, fill the dispatcher. The tag is in front, or behind;
    // in either case the second word belongs to the pointer.
    Some(unsafe { ptr::from_ref(dispatch).byte_add(OFFSET).cast::<*const ()>().read() })
}

/// Whether the first word of an `Object` is the address of the subscriber.
fn begins_with_address() -> bool {
    static NO_SUBSCRIBER: NoSubscriber = NoSubscriber::new();
    let object: Object = &NO_SUBSCRIBER;
    // SAFETY: it has two pointers, the address and the table of functions, in some order.
    let first = unsafe { ptr::from_ref(&object).cast::<*const ()>().read() };
    ptr::eq(first, ptr::from_ref(&NO_SUBSCRIBER).cast())
}

/// Whether the subscriber of a global dispatcher is at [`OFFSET`]: that of the global dispatcher which is known is.
fn is_layout_known() -> bool {
    let none = Dispatch::none();
    let expected = none.downcast_ref::<NoSubscriber>().map(|none| ptr::from_ref(none).cast());
    expected.is_some() && expected == address(&none) && is_global(&none) && begins_with_address()
}

fn is_global(dispatch: &Dispatch) -> bool {
    let text = format!("{dispatch:?}");
    let shown = text.strip_prefix(GLOBAL);
    shown.zip(address(dispatch)).is_some_and(|(shown, address)| shown.contains(&format!("{address:p}")))
}

/// The subscriber of a global dispatcher; `None` where the layout of the type is not known.
pub(super) fn find(dispatch: &'static Dispatch) -> Option<Object> {
    if !is_layout_known() || !is_global(dispatch) {
        return None;
    }
    // SAFETY: a global dispatcher has an `Object` at one place. In the one that is known, the first word of it, its address,
    // is at `OFFSET`, and so all of it; this one is global, too, and has its address there.
    Some(unsafe { ptr::from_ref(dispatch).byte_add(OFFSET).cast::<Object>().read() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_of_dispatchers_is_known() {
        assert!(is_layout_known());
        static NONE: std::sync::LazyLock<Dispatch> = std::sync::LazyLock::new(Dispatch::none);
        assert!(find(&NONE).unwrap().is::<NoSubscriber>());
    }

    #[test]
    fn a_dispatcher_that_is_not_global_is_not_looked_into() {
        static SCOPED: std::sync::LazyLock<Dispatch> =
            std::sync::LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
        assert!(find(&SCOPED).is_none());
    }
}
