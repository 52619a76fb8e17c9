//! The way back of what workers send: one lane per thread that waits for it.
//!
//! Workers hand things in from their own threads. A lane is woken once for all that has come until it looks
//! again, so that a busy HTTP thread pays one wake-up for many replies. In the other direction it rings the doorbells of
//! workers that sleep when its thread has sent all that it has to send now, so that a worker is woken once for many
//! requests.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use slab::Slab;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::arrivals::Arrivals;
use crate::inlets::Inlets;
use crate::transport::{Bell, Inlet};
use crate::worker_message::ReplyEvent;

/// The worker has ended, and the request was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the worker exited before it responded")]
pub struct WorkerGone {
    /// Whether the worker had the request: if not, another one can have it.
    pub handed_out: bool,
}

/// What comes back for a sender.
pub(crate) type Completion = Result<ReplyEvent, WorkerGone>;

/// Which reply something is for: its place, and what tells it from those that had the place before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    place: usize,
    serial: u64,
}

/// The half of a lane that other threads see.
type Shared = Arrivals<(Key, Completion)>;

/// The right to send to one reply, from any thread. Dropped, it ends the reply with [`WorkerGone`], as a request that the worker
/// had.
pub(crate) struct ReplySender {
    lane: Arc<Shared>,
    key: Key,
    open: bool,
}

impl ReplySender {
    /// Hands something to the one that waits.
    pub(crate) fn send(&self, event: ReplyEvent) {
        self.push(Ok(event));
    }

    /// Gives up the reservation, because the request is no longer pending.
    pub(crate) fn forget(mut self) {
        self.open = false;
    }

    /// Ends the reply to a request that the worker never had.
    pub(crate) fn give_back(mut self) {
        self.open = false;
        self.push(Err(WorkerGone { handed_out: false }));
    }

    fn push(&self, completion: Completion) {
        self.lane.push((self.key, completion));
    }
}

impl Drop for ReplySender {
    fn drop(&mut self) {
        if self.open {
            self.push(Err(WorkerGone { handed_out: true }));
        }
    }
}

/// What has come for one reply.
struct Slot {
    serial: u64,
    /// The first that waits; most replies get one only.
    first: Option<Completion>,
    more: VecDeque<Completion>,
    waker: Option<Waker>,
    deadline: Option<Instant>,
    /// Whether a deadline has passed.
    late: bool,
}

/// One thread's lane.
struct ReplyQueue {
    shared: Arc<Shared>,
    slots: RefCell<Slab<Slot>>,
    serial: Cell<u64>,
    /// When to look for deadlines that have passed: not after the first of them. It may be early, as one timer for all
    /// that is rarely set costs next to nothing, and one for each reply does not.
    alarm: Cell<Option<Instant>>,
    /// The doorbells to be rung.
    bells: RefCell<Vec<Arc<dyn Bell>>>,
    /// Where what workers send has to be fetched from.
    inlets: Inlets,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<ReplyQueue>>> = const { RefCell::new(None) };
}

fn current() -> Rc<ReplyQueue> {
    CURRENT.with_borrow_mut(|current| current.get_or_insert_with(ReplyQueue::start).clone())
}

/// Opens a reply on this thread's lane, which comes by this inlet.
///
/// # Panics
/// Outside of a [`LocalSet`](tokio::task::LocalSet), on which the lane's pump runs; actix threads are inside one.
pub(crate) fn open(inlet: Option<&Arc<dyn Inlet>>) -> (ReplySender, ReplyReceiver) {
    let lane = current();
    let serial = lane.serial.replace(lane.serial.get() + 1);
    let slot = Slot { serial, first: None, more: VecDeque::new(), waker: None, deadline: None, late: false };
    let key = Key { place: lane.slots.borrow_mut().insert(slot), serial };
    let inlet = inlet.and_then(|inlet| lane.watch(inlet));
    (ReplySender { lane: lane.shared.clone(), key, open: true }, ReplyReceiver { lane, key, inlet })
}

impl ReplyQueue {
    fn start() -> Rc<Self> {
        let lane = Rc::new(Self {
            shared: Arc::default(),
            slots: RefCell::default(),
            serial: Cell::default(),
            alarm: Cell::default(),
            bells: RefCell::default(),
            inlets: Inlets::default(),
        });
        tokio::task::spawn_local(Pump { lane: lane.clone(), timer: None });
        lane
    }

    /// Fetches from this inlet when something comes; `None`: another thread has to.
    fn watch(&self, inlet: &Arc<dyn Inlet>) -> Option<usize> {
        self.inlets.watch(inlet, || self.shared.wake())
    }

    fn ring(&self) {
        self.bells.borrow_mut().drain(..).for_each(|bell| bell.ring());
    }

    /// Tells those whose deadline has passed, and sets the alarm for the others.
    fn look_for_late(&self) {
        let now = Instant::now();
        let mut late = Vec::new();
        let mut first = None;
        for (_, slot) in self.slots.borrow_mut().iter_mut() {
            match slot.deadline {
                Some(deadline) if deadline <= now => {
                    slot.deadline = None;
                    slot.late = true;
                    late.extend(slot.waker.take());
                }
                Some(deadline) => first = Some(first.map_or(deadline, |first: Instant| first.min(deadline))),
                None => {}
            }
        }
        self.alarm.set(first);
        late.into_iter().for_each(Waker::wake);
    }

    /// Gives what has come to those that wait for it.
    fn deliver(&self) {
        while let Some((key, completion)) = self.shared.pop() {
            let mut slots = self.slots.borrow_mut();
            // Whoever waited may have left.
            let Some(slot) = slots.get_mut(key.place).filter(|slot| slot.serial == key.serial) else {
                drop(slots);
                continue;
            };
            if slot.first.is_none() {
                slot.first = Some(completion);
            } else {
                slot.more.push_back(completion);
            }
            if let Some(waker) = slot.waker.take() {
                drop(slots);
                waker.wake();
            }
        }
    }
}

/// Delivers whenever the lane is woken, as long as the thread's runtime lives.
struct Pump {
    lane: Rc<ReplyQueue>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pump {
    /// Looks for deadlines that have passed when it is time, and sees to it that it is woken then.
    fn poll_alarm(&mut self, context: &mut Context<'_>) {
        while let Some(alarm) = self.lane.alarm.get() {
            let timer = match &mut self.timer {
                Some(timer) if timer.deadline() == alarm && !timer.is_elapsed() => return,
                Some(timer) => {
                    timer.as_mut().reset(alarm);
                    timer
                }
                none => none.insert(Box::pin(sleep_until(alarm))),
            };
            if timer.as_mut().poll(context).is_pending() {
                return;
            }
            self.lane.look_for_late();
        }
    }
}

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.lane.ring();
        self.lane.inlets.fetch(context);
        self.lane.deliver();
        self.poll_alarm(context);
        self.lane.shared.sleep(context.waker());
        self.lane.inlets.sleep(context.waker());
        Poll::Pending
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.lane.ring();
        // The runtime ends; a later one on this thread starts a lane of its own. At thread exit the place is gone.
        let _ = CURRENT.try_with(|current| {
            current.borrow_mut().take_if(|lane| Rc::ptr_eq(lane, &self.lane));
        });
    }
}

/// The number of this thread's lane among those that app processes can wake, if it has one.
pub(crate) fn lane() -> Option<u8> {
    CURRENT.try_with(|current| current.borrow().as_ref().and_then(|queue| queue.inlets.lane())).ok().flatten()
}

/// The number of this thread's lane, by which app processes can wake it. `None`: as many threads of this process have one
/// as can.
///
/// # Panics
/// Outside of a [`LocalSet`](tokio::task::LocalSet), and of a runtime that does I/O.
pub fn take_lane() -> Option<u8> {
    let queue = current();
    queue.inlets.take_lane(|| queue.shared.wake())
}

/// Fetches what comes by an inlet and is for no request, as long as it lives, on the thread that has made it.
pub struct Watch {
    queue: Rc<ReplyQueue>,
    inlet: usize,
}

impl Watch {
    /// Watches an inlet on this thread. `None`: as many threads of this process wait for app processes as can.
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub fn new(inlet: &Arc<dyn Inlet>) -> Option<Self> {
        let queue = current();
        let inlet = queue.watch(inlet)?;
        // Something may be there already.
        queue.shared.wake();
        Some(Self { queue, inlet })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.queue.inlets.leave(self.inlet);
    }
}

/// Receives what a worker sends for one request.
pub(crate) struct ReplyReceiver {
    lane: Rc<ReplyQueue>,
    key: Key,
    /// The place of the inlet by which it comes.
    inlet: Option<usize>,
}

impl ReplyReceiver {
    /// The next thing that has come.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Completion> {
        let mut slots = self.lane.slots.borrow_mut();
        let slot = &mut slots[self.key.place];
        if let Some(completion) = slot.first.take() {
            slot.first = slot.more.pop_front();
            return Poll::Ready(completion);
        }
        match &mut slot.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => slot.waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl ReplyReceiver {
    /// Rings when this thread has done all that it has to do now.
    pub(crate) fn ring_later(&self, bell: &Arc<dyn Bell>) {
        let mut bells = self.lane.bells.borrow_mut();
        if !bells.iter().any(|known| std::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(bell))) {
            bells.push(bell.clone());
            self.lane.shared.wake();
        }
    }

    /// Wakes the waiting task when `deadline` has passed; it replaces the previous deadline.
    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        let slot = &mut self.lane.slots.borrow_mut()[self.key.place];
        (slot.deadline, slot.late) = (Some(deadline), false);
        if self.lane.alarm.get().is_none_or(|alarm| deadline < alarm) {
            self.lane.alarm.set(Some(deadline));
            self.lane.shared.wake();
        }
    }

    /// Whether the deadline has passed.
    pub(crate) fn is_late(&self) -> bool {
        self.lane.slots.borrow()[self.key.place].late
    }
}

impl Drop for ReplyReceiver {
    fn drop(&mut self) {
        let slot = self.lane.slots.borrow_mut().remove(self.key.place);
        drop(slot);
        if let Some(inlet) = self.inlet {
            self.lane.inlets.leave(inlet);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;

    use super::*;
    use crate::doorbell::Doorbell;

    fn on_local_set<F: Future>(work: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, work)
    }

    async fn next(reply: &mut ReplyReceiver) -> Completion {
        poll_fn(|context| reply.poll_next(context)).await
    }

    #[test]
    fn what_other_threads_send_arrives_in_order() {
        // Twice: the second runtime on this thread must get a lane of its own.
        for _ in 0..2 {
            on_local_set(async {
                let (sender, mut reply) = open(None);
                std::thread::spawn(move || (0..3).for_each(|bytes| sender.send(ReplyEvent::Credit(bytes))));
                for expected in 0..3 {
                    assert!(
                        matches!(next(&mut reply).await, Ok(ReplyEvent::Credit(bytes)) if bytes == expected)
                    );
                }
                assert!(matches!(next(&mut reply).await, Err(WorkerGone { handed_out: true })));
            });
        }
    }

    #[test]
    fn what_comes_for_one_that_left_does_not_reach_the_next_in_its_place() {
        on_local_set(async {
            let (late, left) = open(None);
            let place = left.key.place;
            drop(left);
            let (_ticket, mut fresh) = open(None);
            assert_eq!(fresh.key.place, place);
            late.send(ReplyEvent::End(Vec::new()));
            drop(late);
            tokio::task::yield_now().await;
            assert!(next(&mut fresh).now_or_never().is_none());
        });
    }

    #[test]
    fn a_ticket_that_is_given_up_ends_nothing() {
        on_local_set(async {
            let (sender, mut reply) = open(None);
            sender.forget();
            tokio::task::yield_now().await;
            assert!(next(&mut reply).now_or_never().is_none());
        });
    }

    #[test]
    fn doorbells_are_rung_when_the_thread_has_sent_all() {
        on_local_set(async {
            let (_ticket, reply) = open(None);
            let doorbell = Arc::new(Doorbell::default());
            assert!(doorbell.sleep(|| true));
            let bell: Arc<dyn Bell> = doorbell.clone();
            reply.ring_later(&bell);
            reply.ring_later(&bell);
            assert!(doorbell.is_awaited());
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            assert!(!doorbell.is_awaited());
        });
    }

    #[test]
    fn whoever_waits_past_its_deadline_is_woken() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let begun = Instant::now();
            let after = |ms| begun + std::time::Duration::from_millis(ms);
            let (sender, mut answered) = open(None);
            let (_first, mut early) = open(None);
            let (_second, mut late) = open(None);
            answered.set_deadline(after(60_000));
            late.set_deadline(after(20));
            early.set_deadline(after(1));
            sender.send(ReplyEvent::End(Vec::new()));
            let passed = async |reply: &mut ReplyReceiver| {
                poll_fn(|context| match reply.poll_next(context) {
                    Poll::Pending if reply.is_late() => Poll::Ready(()),
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(_) => panic!("nothing was sent"),
                })
                .await;
            };
            passed(&mut early).await;
            assert!(Instant::now() >= after(1) && !late.is_late());
            early.set_deadline(after(30));
            assert!(!early.is_late());
            passed(&mut late).await;
            passed(&mut early).await;
            assert!(Instant::now() >= after(30) && !answered.is_late());
            assert!(matches!(next(&mut answered).await, Ok(ReplyEvent::End(_))));
        });
    }
}
