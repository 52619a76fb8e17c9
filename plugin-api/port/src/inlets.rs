//! The inlets from which one thread fetches what workers in other processes send.

use std::cell::{OnceCell, RefCell};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use slab::Slab;
use tokio::io::unix::AsyncFd;

use crate::shared_memory::lanes::{Lane, Lanes};
use crate::transport::Inlet;

/// The inlets of one thread.
#[derive(Default)]
pub(crate) struct Inlets {
    inlets: RefCell<Slab<Watched>>,
    /// What wakes this thread, once it has had an inlet; `None`: there is no lane for it.
    sleeper: OnceCell<Option<Sleeper>>,
}

/// An inlet, and how many wait for what comes by it.
struct Watched {
    inlet: Arc<dyn Inlet>,
    count: usize,
}

/// What wakes a thread when something has come by an inlet.
struct Sleeper {
    lane: Lane,
    signal: AsyncFd<BorrowedFd<'static>>,
}

impl Sleeper {
    fn new() -> Option<Self> {
        let lane = Lanes::get().ok()?.take()?;
        let signal = lane.signal().ok()?;
        Some(Self { lane, signal })
    }
}

impl Inlets {
    /// The number of the thread's lane, if it has one.
    pub(crate) fn lane(&self) -> Option<u8> {
        Some(self.sleeper.get()?.as_ref()?.lane.number())
    }

    /// As [`lane`](Self::lane), and takes one if it has none yet.
    pub(crate) fn take_lane(&self, look: impl FnOnce()) -> Option<u8> {
        self.sleeper(look)?;
        self.lane()
    }

    fn sleeper(&self, look: impl FnOnce()) -> Option<&Sleeper> {
        let mut is_first = false;
        let sleeper = self.sleeper.get_or_init(|| {
            is_first = true;
            Sleeper::new()
        });
        if is_first {
            look();
        }
        sleeper.as_ref()
    }

    /// Fetches from an inlet from now on, until [`leave`](Self::leave) is called with what is returned. `None`: this thread
    /// has no lane. `look` has the thread call [`fetch`](Self::fetch) and [`sleep`](Self::sleep).
    pub(crate) fn watch(&self, inlet: &Arc<dyn Inlet>, look: impl FnOnce()) -> Option<usize> {
        self.sleeper(look)?;
        let mut inlets = self.inlets.borrow_mut();
        let known = inlets.iter_mut().find(|(_, watched)| std::ptr::addr_eq(&*watched.inlet, &**inlet));
        if let Some((key, watched)) = known {
            watched.count += 1;
            return Some(key);
        }
        Some(inlets.insert(Watched { inlet: inlet.clone(), count: 1 }))
    }

    /// One that waits for what comes by an inlet no longer does.
    pub(crate) fn leave(&self, key: usize) {
        let mut inlets = self.inlets.borrow_mut();
        if let Some(watched) = inlets.get_mut(key) {
            watched.count -= 1;
            if watched.count == 0 {
                inlets.remove(key);
            }
        }
    }

    /// Fetches all that has come.
    pub(crate) fn fetch(&self, context: &mut Context<'_>) {
        let Some(Some(sleeper)) = self.sleeper.get() else { return };
        sleeper.lane.wake();
        // Each signal makes it ready anew, so it need not be read. Without a reactor nothing is waited for any more.
        while let Poll::Ready(Ok(mut ready)) = sleeper.signal.poll_read_ready(context) {
            ready.clear_ready();
        }
        // What is fetched may have this thread watch other inlets.
        let places = self.inlets.borrow().capacity();
        for place in 0..places {
            let inlet = self.inlets.borrow().get(place).map(|watched| watched.inlet.clone());
            if let Some(inlet) = inlet {
                inlet.fetch();
            }
        }
    }

    /// Announces that the thread sleeps; wakes it at once if something has come meanwhile.
    pub(crate) fn sleep(&self, waker: &Waker) {
        let Some(Some(sleeper)) = self.sleeper.get() else { return };
        sleeper.lane.sleep();
        if self.inlets.borrow().iter().any(|(_, watched)| watched.inlet.is_filled()) {
            sleeper.lane.wake();
            waker.wake_by_ref();
        }
    }
}
