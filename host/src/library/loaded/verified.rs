//! Which libraries have verified the check of their interface.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::library::content_hash::ContentHash;

/// How many are remembered.
const REMEMBERED: usize = 1024;

/// The contents that have verified last, the oldest first.
pub(crate) struct Verified(Mutex<VecDeque<ContentHash>>);

impl Verified {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    pub(crate) fn contains(&self, content: ContentHash) -> bool {
        self.lock().contains(&content)
    }

    /// Remembers this one, too.
    pub(crate) fn insert(&self, content: ContentHash) {
        let mut verified = self.lock();
        if verified.contains(&content) {
            return;
        }
        if verified.len() == REMEMBERED {
            verified.pop_front();
        }
        verified.push_back(content);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<ContentHash>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered() {
        let verified = Verified::new();
        let contents: Vec<_> =
            (0..=REMEMBERED).map(|number| ContentHash::compute(&number.to_le_bytes())).collect();
        for &content in &contents {
            assert!(!verified.contains(content));
            verified.insert(content);
        }
        assert!(!verified.contains(contents[0]), "it was the oldest");
        assert!(contents[1..].iter().all(|&content| verified.contains(content)));
        for _ in 0..REMEMBERED {
            verified.insert(contents[REMEMBERED]);
        }
        assert!(verified.contains(contents[1]), "one that is known takes the place of no other");
    }
}
