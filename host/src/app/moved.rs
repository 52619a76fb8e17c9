//! An app that is moved to a separate process, because it has harmed the host.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The library with which an app has harmed the host: with this one, it runs in a separate process. In memory only.
#[derive(Debug, Default)]
pub(crate) struct Moved(Mutex<Option<Library>>);

/// The library of an app that is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Library {
    /// The one whose content has this hash.
    Hash(String),
    /// Which one it was is not known: any.
    Any,
}

impl Moved {
    fn library(&self) -> MutexGuard<'_, Option<Library>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The app has harmed the host with the library that has this hash. Whether that is new.
    pub(crate) fn note(&self, hash: Option<String>) -> bool {
        let library = hash.map_or(Library::Any, Library::Hash);
        self.library().replace(library.clone()) != Some(library)
    }

    /// Whether the app is moved with the library that has this hash.
    pub(crate) fn contains(&self, hash: &str) -> bool {
        match &*self.library() {
            Some(Library::Hash(moved)) => moved == hash,
            Some(Library::Any) => true,
            None => false,
        }
    }

    /// The app is no longer moved.
    pub(crate) fn clear(&self) {
        *self.library() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_moved_with_one_library() {
        let moved = Moved::default();
        assert!(!moved.contains("a"));
        assert!(moved.note(Some("a".to_owned())) && !moved.note(Some("a".to_owned())));
        assert!(moved.contains("a") && !moved.contains("b"));
        assert!(moved.note(None) && moved.contains("b"));
        moved.clear();
        assert!(!moved.contains("a") && !moved.contains("b"));
    }
}
