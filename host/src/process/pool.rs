//! App processes that are started before they are needed, so that a first request does not wait for one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use tokio::task::spawn_local;

use crate::process::blank::Blank;

/// How many app processes wait for an app, once a host has an app that needs one.
pub(crate) const BLANKS: usize = 2;

/// The app processes of a host that have no app yet. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlankPool(Rc<RefCell<VecDeque<Blank>>>);

impl BlankPool {
    /// A process for an app. [`fill`](Self::fill) starts another one in its place, when the app has started.
    ///
    /// # Errors
    /// None waits, and none can be started.
    pub(crate) fn take(&self) -> io::Result<Blank> {
        let waiting = std::iter::from_fn(|| self.0.borrow_mut().pop_front()).find_map(|mut blank| {
            let is_alive = blank.is_alive();
            is_alive.then_some(blank)
        });
        waiting.map_or_else(Blank::start, Ok)
    }

    /// Starts processes until as many wait as should.
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub(crate) fn fill(&self) {
        let pool = Rc::downgrade(&self.0);
        spawn_local(async move {
            // One after the other, so that others have the thread in between.
            while let Some(pool) = pool.upgrade().filter(|pool| pool.borrow().len() < BLANKS) {
                // The next app tries again, and reports why there is none.
                let Ok(blank) = Blank::start() else { break };
                pool.borrow_mut().push_back(blank);
                drop(pool);
                tokio::task::yield_now().await;
            }
        });
    }
}
