//! Which libraries have passed the check of their interface.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::library::stage::ContentHash;

/// How many are remembered.
const REMEMBERED: usize = 1024;

/// The contents that have passed last, the oldest first.
pub(super) struct Passed(Mutex<VecDeque<ContentHash>>);

impl Passed {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    pub(super) fn contains(&self, content: ContentHash) -> bool {
        self.lock().contains(&content)
    }

    pub(super) fn insert(&self, content: ContentHash) {
        let mut passed = self.lock();
        if passed.len() == REMEMBERED {
            passed.pop_front();
        }
        passed.push_back(content);
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
        let passed = Passed::new();
        let contents: Vec<_> =
            (0..=REMEMBERED).map(|number| ContentHash::of(&number.to_le_bytes())).collect();
        for &content in &contents {
            assert!(!passed.contains(content));
            passed.insert(content);
        }
        assert!(!passed.contains(contents[0]), "it was the oldest");
        assert!(contents[1..].iter().all(|&content| passed.contains(content)));
    }
}
