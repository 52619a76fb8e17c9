//! What has been read of the debug information of libraries.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use addr2line::Loader;

use crate::abi::library_context::LibraryContext;
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
type Key = usize;

/// The one that was asked for last is the last one.
static KEPT: Mutex<Vec<(Key, Arc<Mutex<Symbols>>)>> = Mutex::new(Vec::new());

fn kept() -> MutexGuard<'static, Vec<(Key, Arc<Mutex<Symbols>>)>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(context: &LibraryContext) -> Key {
    std::ptr::from_ref(context).addr()
}

/// The names in a library. They are read, which may take long, when nobody else waits for those of another library. `None`:
/// others have been read too lately.
pub(super) fn of(context: &LibraryContext) -> Option<Arc<Mutex<Symbols>>> {
    static READS: LazyLock<Throttle> = LazyLock::new(|| Throttle::new(READS_PER_SECOND));
    let (mut kept, key) = (kept(), key(context));
    let symbols = match kept.iter().position(|(known, _)| *known == key) {
        Some(place) => kept.remove(place).1,
        None => {
            READS.pass()?;
            if kept.len() == LIBRARIES {
                kept.remove(0);
            }
            Arc::default()
        }
    };
    kept.push((key, symbols.clone()));
    Some(symbols)
}

/// Lets go of what has been read of a library that is unloaded, or is about to be.
pub(crate) fn forget(context: &LibraryContext) {
    let key = key(context);
    let found = {
        let mut kept = kept();
        kept.iter().position(|(known, _)| *known == key).map(|place| kept.remove(place))
    };
    // Its memory is given back without the lock.
    drop(found);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::app_log::AppLog;
    use crate::observe::events::EventBus;

    #[test]
    fn few_libraries_are_kept_and_none_that_is_unloaded() {
        let context = |number| {
            let app_log = AppLog::new("a".into(), EventBus::default());
            LibraryContext::new("a".into(), number, Arc::new(app_log))
        };
        let contexts: Vec<_> = (0..LIBRARIES as u64 + 2).map(context).collect();
        // There may be too many in a second.
        let of = |context| loop {
            if let Some(symbols) = of(context) {
                break symbols;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        let first = Arc::downgrade(&of(&contexts[0]));
        for context in &contexts[1..] {
            assert!(Arc::ptr_eq(&of(context), &of(context)));
            assert!(kept().len() <= LIBRARIES);
        }
        assert!(first.upgrade().is_none(), "it has made room");
        let last = Arc::downgrade(&of(&contexts[LIBRARIES]));
        assert!(last.upgrade().is_some());
        drop(contexts);
        assert!(last.upgrade().is_none());
    }
}
