//! The trailers of bodies on their way through actix-web, whose bodies have no place for them.
//!
//! The one that polls a body catches the trailers with which it may end: a body that ends hands them over in that very
//! poll. Where nobody catches them, they are dropped.

use std::cell::Cell;

use http::HeaderMap;

thread_local! {
    static CAUGHT: Cell<Caught> = const { Cell::new(Caught::Nowhere) };
}

/// What the innermost poll has caught.
#[derive(Default)]
enum Caught {
    /// There is none.
    #[default]
    Nowhere,
    Nothing,
    Trailers(Box<HeaderMap>),
}

/// Polls a body, and catches its trailers if it ends with some.
pub(super) fn catch<T>(poll: impl FnOnce() -> T) -> (T, Option<Box<HeaderMap>>) {
    let outer = CAUGHT.replace(Caught::Nothing);
    let polled = poll();
    match CAUGHT.replace(outer) {
        Caught::Trailers(trailers) => (polled, Some(trailers)),
        Caught::Nowhere | Caught::Nothing => (polled, None),
    }
}

/// Hands over the trailers of a body that ends now.
pub(super) fn hand_over(trailers: Box<HeaderMap>) {
    if !matches!(CAUGHT.take(), Caught::Nowhere) {
        CAUGHT.set(Caught::Trailers(trailers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trailers(value: &'static str) -> Box<HeaderMap> {
        Box::new(HeaderMap::from_iter([(http::HeaderName::from_static("x"), value.parse().unwrap())]))
    }

    #[test]
    fn trailers_are_caught_where_their_body_is_polled() {
        hand_over(trailers("nobody"));
        let (inner, outer) = catch(|| {
            let inner = catch(|| hand_over(trailers("inner"))).1;
            assert_eq!(catch(|| ()).1, None);
            hand_over(trailers("outer"));
            inner
        });
        assert_eq!((inner, outer), (Some(trailers("inner")), Some(trailers("outer"))));
        assert_eq!(catch(|| 7), (7, None));
    }
}
