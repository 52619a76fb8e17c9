//! What has been read of the debug information of libraries.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use addr2line::Loader;

use crate::observe::throttle::Throttle;

/// Of so many libraries it is kept: those that panicked last. What is kept of one is a mapping of its file and the part of
/// its debug information that was needed.
pub(crate) const LIBRARIES: usize = 4;

/// So many libraries are read in a second, whatever their apps do: to read one takes a worker's time. Backtraces beyond it
/// are left out.
pub(crate) const READS_PER_SECOND: NonZeroU32 = NonZeroU32::new(4).expect("it is not zero");

/// The names in one library, once they have been asked for.
#[derive(Default)]
pub(super) struct Symbols(Option<Option<Loader>>);

impl Symbols {
    /// Those of the library's file; `None` when they cannot be read.
    pub(super) fn read(&mut self, file: &Path) -> Option<&Loader> {
        self.0.get_or_insert_with(|| Loader::new(file).ok()).as_ref()
    }
}

/// A loaded library, as long as it is one.
type Key = u64;

/// The one that was asked for last is the last one.
static KEPT: Mutex<Vec<(Key, Arc<Mutex<Symbols>>)>> = Mutex::new(Vec::new());

fn kept() -> MutexGuard<'static, Vec<(Key, Arc<Mutex<Symbols>>)>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What has been read of one loaded library. Dropping it lets go of that.
#[derive(Debug)]
pub(crate) struct DebugInfo(Key);

impl DebugInfo {
    /// That of a library of which nothing has been read.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The names in the library. They are read, which may take long, when nobody else waits for those of another library.
    /// `None`: others have been read too lately.
    pub(super) fn symbols(&self) -> Option<Arc<Mutex<Symbols>>> {
        static READS: LazyLock<Throttle> = LazyLock::new(|| Throttle::new(READS_PER_SECOND));
        let mut kept = kept();
        let symbols = match kept.iter().position(|(known, _)| *known == self.0) {
            Some(place) => kept.remove(place).1,
            None => {
                READS.pass()?;
                if kept.len() == LIBRARIES {
                    kept.remove(0);
                }
                Arc::default()
            }
        };
        kept.push((self.0, symbols.clone()));
        Some(symbols)
    }
}

impl Drop for DebugInfo {
    fn drop(&mut self) {
        let found = {
            let mut kept = kept();
            kept.iter().position(|(known, _)| *known == self.0).map(|place| kept.remove(place))
        };
        // Its memory is given back without the lock.
        drop(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_libraries_are_kept_and_none_that_is_unloaded() {
        let libraries: Vec<_> = (0..LIBRARIES + 2).map(|_| DebugInfo::new()).collect();
        // There may be too many in a second.
        let of = |library: &DebugInfo| loop {
            if let Some(symbols) = library.symbols() {
                break symbols;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        let first = Arc::downgrade(&of(&libraries[0]));
        for library in &libraries[1..] {
            assert!(Arc::ptr_eq(&of(library), &of(library)));
            assert!(kept().len() <= LIBRARIES);
        }
        assert!(first.upgrade().is_none(), "it has made room");
        let last = Arc::downgrade(&of(&libraries[LIBRARIES]));
        assert!(last.upgrade().is_some());
        drop(libraries);
        assert!(last.upgrade().is_none());
    }
}
