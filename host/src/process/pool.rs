//! App processes that are started before they are needed, so that a first request does not wait for one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{spawn_local, yield_now};
use tokio::time::sleep;

use crate::process::blank::Blank;
use crate::sandbox::Policy;

/// How many app processes wait for an app, once a host has an app that needs one, for each kind of sandbox.
pub(crate) const BLANKS: usize = 2;

/// How many there are at the most, for all kinds of sandboxes.
pub(crate) const MAX_BLANKS: usize = 6;

/// How long after an app has started the next process is started in place of the one that it got: to start a process keeps this
/// thread, and a processor, from the first answers of the app.
const REFILL_PAUSE: Duration = Duration::from_millis(10);

/// The app processes of a host that have no app yet. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct BlankPool(Rc<Pool>);

#[derive(Debug)]
struct Pool {
    waiting: RefCell<VecDeque<Blank>>,
    /// How many should wait for each kind of sandbox.
    of_a_kind: usize,
}

impl Default for BlankPool {
    fn default() -> Self {
        Self::with(BLANKS)
    }
}

impl BlankPool {
    /// One in which so many wait for each kind of sandbox; with 0, each app has its process started.
    pub(crate) fn with(of_a_kind: usize) -> Self {
        Self(Rc::new(Pool { waiting: RefCell::default(), of_a_kind }))
    }

    /// A process for an app with this policy: one that has made what it can of such a sandbox ready, or a new one.
    /// [`refill`](Self::refill) starts another one in its place, when the app has started.
    ///
    /// # Errors
    /// None waits, and none can be started.
    pub(crate) fn take(&self, policy: Option<&Policy>) -> io::Result<Blank> {
        let shape = policy.map(Policy::shape);
        let mut waiting = self.0.waiting.borrow_mut();
        waiting.retain_mut(Blank::is_alive);
        let ready = waiting.iter().position(|blank| blank.shape == shape);
        let taken = ready.and_then(|ready| waiting.remove(ready));
        drop(waiting);
        taken.map_or_else(|| Blank::start(shape), Ok)
    }

    /// Whether fewer wait for policies of this shape than should.
    fn lacks(&self, shape: Option<&Policy>) -> bool {
        let waiting = self.0.waiting.borrow();
        waiting.iter().filter(|blank| blank.shape.as_ref() == shape).count() < self.0.of_a_kind
    }

    /// Adds one, and ends the oldest if there are too many.
    fn add(&self, blank: Blank) {
        let mut waiting = self.0.waiting.borrow_mut();
        waiting.push_back(blank);
        while waiting.len() > MAX_BLANKS {
            waiting.pop_front();
        }
    }

    /// Starts processes for apps with such a policy (`None`: without a sandbox), until as many wait as should.
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub(crate) fn fill(&self, policy: Option<&Policy>) {
        self.fill_after(Duration::ZERO, policy);
    }

    /// As [`fill`](Self::fill), a little later: when an app has started, the requests that have waited for it come first.
    ///
    /// # Panics
    /// As for [`fill`](Self::fill).
    pub(crate) fn refill(&self, policy: Option<&Policy>) {
        self.fill_after(REFILL_PAUSE, policy);
    }

    fn fill_after(&self, pause: Duration, policy: Option<&Policy>) {
        let (pool, of_a_kind) = (Rc::downgrade(&self.0), self.0.of_a_kind);
        let shape = policy.map(Policy::shape);
        spawn_local(async move {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            // One after the other, so that others have the thread in between; and no more than these, where those of other kinds take
            // their places meanwhile.
            for _ in 0..of_a_kind {
                let Some(pool) = pool.upgrade().map(Self).filter(|pool| pool.lacks(shape.as_ref())) else {
                    break;
                };
                // The next app tries again, and reports why there is none.
                let Ok(blank) = Blank::start(shape.clone()) else { break };
                pool.add(blank);
                drop(pool);
                yield_now().await;
            }
        });
    }
}
