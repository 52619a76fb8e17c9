//! Values that middleware stores for later handlers.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::fmt;

/// Values that middleware leaves for the handlers behind it, one of each type.
///
/// All clones of a [`Request`](crate::Request) share them.
///
/// ```
/// use atoll_plugin::prelude::*;
///
/// #[derive(Clone)]
/// struct User(String);
///
/// let app = Application::new()
///     .middleware(|req: Request| {
///         let name = req.header("x-user").ok_or_else(|| Error::new(401, "who are you?"))?;
///         req.extensions().insert(User(name.into_owned()));
///         Ok::<_, Error>(())
///     })
///     .get("/", |req: Request| req.extensions().get::<User>().map(|user| format!("hi {}", user.0)));
///
/// let response = app.oneshot(Request::get("/").header("x-user", "ann"));
/// assert_eq!(response.body_bytes(), b"hi ann");
/// assert_eq!(app.oneshot(Request::get("/")).status_code(), 401);
/// ```
#[derive(Default)]
pub struct Extensions {
    // A request has none to three of these: walking a list is quicker than hashing.
    values: RefCell<Vec<(TypeId, Box<dyn Any>)>>,
}

impl Extensions {
    /// Puts a value in, and gives back the one of this type that was there before.
    pub fn insert<T: 'static>(&self, value: T) -> Option<T> {
        let mut values = self.values.borrow_mut();
        let value: Box<dyn Any> = Box::new(value);
        match values.iter_mut().find(|(id, _)| *id == TypeId::of::<T>()) {
            Some((_, slot)) => {
                let before = std::mem::replace(slot, value);
                before.downcast().ok().map(|before| *before)
            }
            None => {
                values.push((TypeId::of::<T>(), value));
                None
            }
        }
    }

    /// A clone of the value of this type. To share something that is dear to clone, insert an [`Rc`](std::rc::Rc).
    pub fn get<T: Clone + 'static>(&self) -> Option<T> {
        let values = self.values.borrow();
        let (_, value) = values.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        value.downcast_ref::<T>().cloned()
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions").field("len", &self.values.borrow().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_value_of_each_type() {
        let extensions = Extensions::default();
        assert_eq!(extensions.insert(1_u8), None);
        assert_eq!(extensions.insert("text"), None);
        assert_eq!(extensions.insert(2_u8), Some(1));
        assert_eq!(extensions.get::<u8>(), Some(2));
        assert_eq!(extensions.get::<&str>(), Some("text"));
        assert_eq!(extensions.get::<u16>(), None);
    }
}
