//! A worker's end of a port in an app process.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use atoll_protocol::HttpRequest;
use atoll_protocol::abi::{Message, Received};

use super::bell::{self, SharedBell};
use super::clock::Moment;
use super::frame::{self, Header, Incoming, Kind, Outgoing};
use super::heap_use::HeapUseWriter;
use super::lanes::HostLanes;
use super::layout::{HOST_PART, PAGE, TO_HOST, TO_WORKER, WORKER_PART, host, worker};
use super::memory::{Mapping, SharedMemory, WritableMapping};
use super::ring::{RingReader, RingWriter};
use super::subject::subject;
use crate::forked;
use crate::message::message;
use crate::transport::Bell;
use crate::worker_end::WorkerPort;

/// How many requests are remembered, with the thread of the host that waits for each: more than are usually open.
const REMEMBERED: usize = 4096;

/// How long to wait for room at a time, before it is looked whether the port was closed, and another thread of the host is woken.
const PAUSE: Duration = Duration::from_millis(10);

/// The memory of a process and its host, as the app process has it.
#[derive(Debug)]
pub struct HostLink {
    /// The host's memory.
    pub host: OwnedFd,
    /// The app process's own memory.
    pub worker: OwnedFd,
    /// For how many workers they are.
    pub workers: usize,
    /// The threads of the host.
    pub lanes: Arc<HostLanes>,
    /// The lane of the one that fetches what is for no request.
    pub home: u8,
}

impl HostLink {
    /// Reports how much memory is allocated.
    ///
    /// # Errors
    /// The memory is not that of such a link, or there is no address space for it.
    pub fn heap_use(&self) -> io::Result<HeapUseWriter> {
        let memory = self.worker.try_clone()?;
        HeapUseWriter::new(&SharedMemory::received(memory, WORKER_PART * self.workers)?)
    }

    /// The ends of the ports of all workers, whose event loops wait for `eventfds`. `at_rest` is called whenever a worker
    /// has nothing to do, and may report how much memory is allocated.
    ///
    /// # Errors
    /// The memory is not that of such a link, or there is no address space for it.
    pub fn ports(
        self,
        eventfds: impl IntoIterator<Item = OwnedFd>,
        at_rest: impl Fn(&HeapUseWriter) + Send + Sync + 'static,
    ) -> io::Result<Vec<ProcessPort>> {
        let host = SharedMemory::received(self.host, HOST_PART * self.workers)?;
        let memory = SharedMemory::received(self.worker, WORKER_PART * self.workers)?;
        let heap_use = HeapUseWriter::new(&memory)?;
        let at_rest: Arc<dyn Fn() + Send + Sync> = Arc::new(move || at_rest(&heap_use));
        let port = |(number, eventfd): (usize, OwnedFd)| {
            let peer = Arc::new(host.map(number * HOST_PART, HOST_PART)?);
            let own = Arc::new(memory.map_to_write(number * WORKER_PART, WORKER_PART)?);
            let words = Arc::new(memory.map_to_write(number * WORKER_PART, PAGE)?);
            Ok(ProcessPort {
                bell: SharedBell::new(words, eventfd),
                inbox: Mutex::new((
                    RingReader::new(own.clone(), peer.clone(), TO_WORKER),
                    Incoming::default(),
                )),
                outbox: Mutex::new(RingWriter::new(own.clone(), peer.clone(), TO_HOST)),
                own,
                peer,
                woken: AtomicBool::new(false),
                ended: AtomicBool::new(false),
                lanes: self.lanes.clone(),
                home: self.home,
                // What is about no request that was taken is for the one that fetches such things.
                requests: (0..REMEMBERED)
                    .map(|_| Remembered { lane: self.home.into(), taken: AtomicU64::new(0) })
                    .collect(),
                at_rest: at_rest.clone(),
            })
        };
        (0..self.workers).zip(eventfds).map(port).collect()
    }
}

/// A worker's end of a port in an app process.
pub struct ProcessPort {
    own: Arc<WritableMapping>,
    peer: Arc<Mapping>,
    bell: SharedBell,
    inbox: Mutex<(RingReader, Incoming)>,
    outbox: Mutex<RingWriter>,
    /// Whether the worker was woken and has not looked yet.
    woken: AtomicBool,
    /// The worker has ended.
    ended: AtomicBool,
    lanes: Arc<HostLanes>,
    home: u8,
    requests: Box<[Remembered]>,
    at_rest: Arc<dyn Fn() + Send + Sync>,
}

/// A request that the worker has taken. Another one may have taken its place: then a thread of the host is woken that hands
/// on what it finds.
#[derive(Debug)]
struct Remembered {
    lane: AtomicU8,
    /// When it was taken; 0 when the host knows that.
    taken: AtomicU64,
}

impl Remembered {
    /// The lane, and with the first message about the request when it was taken.
    fn on_message(&self) -> (u8, u64) {
        let taken = self.taken.load(Ordering::Relaxed);
        if taken != 0 {
            self.taken.store(0, Ordering::Relaxed);
        }
        (self.lane.load(Ordering::Relaxed), taken)
    }
}

/// Writes how much of its deadline is left into a request that has waited until it was taken.
fn shorten_deadline(header: &Header, taken: u64, json: &mut Vec<u8>) {
    /// The unit of the deadline in the message, in nanoseconds.
    const UNIT: u64 = 1_000_000;
    if header.deadline != 0 && taken.saturating_sub(header.begun) >= UNIT {
        // Methods of the app's own have none to be changed.
        let _ = HttpRequest::set_deadline(json, header.deadline.saturating_sub(taken) / UNIT);
    }
}

/// The two halves of looking for a message.
type Inbox<'a> = MutexGuard<'a, (RingReader, Incoming)>;

impl ProcessPort {
    fn inbox(&self) -> Inbox<'_> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.peer.load_u32(host::CLOSED) != 0 || self.ended.load(Ordering::SeqCst)
    }

    /// Whether there is nothing for the worker.
    fn nothing_there(&self) -> bool {
        let is_read = self.peer.load_u64(host::WRITTEN) == self.own.load_u64(worker::READ);
        is_read && !self.woken.load(Ordering::SeqCst) && !self.is_closed()
    }

    fn remembered(&self, id: u64) -> &Remembered {
        &self.requests[(id / 2) as usize % REMEMBERED]
    }

    /// The next message that somebody still waits for.
    fn next(&self) -> Option<Message> {
        let mut inbox = self.inbox();
        let (ring, incoming) = &mut *inbox;
        let received = loop {
            let Ok(received) = incoming.read(ring) else {
                // A host that breaks the protocol is none any more: the worker ends.
                self.ended.store(true, Ordering::SeqCst);
                return None;
            };
            let received = received?;
            let is_request = received.header.kind == Kind::Request;
            let taken = is_request.then(|| self.admit(&received.header));
            if taken != Some(None) {
                break (received, taken.flatten());
            }
        };
        drop(inbox);
        let (frame::Received { header, mut json, transfer }, taken) = received;
        if let Some(taken) = taken {
            shorten_deadline(&header, taken, &mut json);
        }
        Some(message(json, transfer))
    }

    /// Remembers a request, and when it was taken, which is now; `None`: it is no longer pending.
    fn admit(&self, header: &Header) -> Option<u64> {
        let word = self.peer.load_u32(host::WITHDRAWN + header.slot as usize / 32 * 4);
        if word & 1 << (header.slot % 32) != 0 {
            return None;
        }
        let now = Moment::now().nanos;
        if header.deadline != 0 && header.deadline <= now {
            return None;
        }
        let remembered = self.remembered(header.id);
        remembered.lane.store(header.lane, Ordering::Relaxed);
        remembered.taken.store(now, Ordering::Relaxed);
        Some(now)
    }

    /// Gives the host a sign that there is room again, if it waits for that.
    fn report_room(&self) {
        if self.peer.load_u32(host::ROOM) % 2 == 1 {
            self.lanes.ring(self.home);
        }
    }
}

impl WorkerPort for ProcessPort {
    fn receive(&self, timeout: Option<Duration>, into: &mut Message) -> Received {
        // Most calls only look, and need no clock.
        let looks_only = timeout == Some(Duration::ZERO);
        let until = timeout.filter(|_| !looks_only).and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if self.is_closed() {
                return Received::Closed;
            }
            if let Some(message) = self.next() {
                *into = message;
                return Received::Message;
            }
            if self.woken.swap(false, Ordering::SeqCst) {
                return Received::Woken;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if looks_only || left == Some(Duration::ZERO) {
                return Received::TimedOut;
            }
            forked::end_child();
            self.report_room();
            (self.at_rest)();
            self.bell.wait(left, || self.nothing_there());
        }
    }

    fn send(&self, sent: Message) -> bool {
        forked::end_child();
        if self.is_closed() {
            return false;
        }
        let id = subject(&sent.json).unwrap_or(0);
        let sent = frame::within_limits(sent, id);
        // Even numbers are those of the app's own requests.
        let (lane, begun) = match id % 2 {
            1 => self.remembered(id).on_message(),
            _ => (self.home, 0),
        };
        let mut outgoing =
            Outgoing::new(&Header { kind: Kind::Other, lane, slot: 0, id, begun, deadline: 0 }, sent);
        let mut ring = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rung = lane;
        loop {
            match outgoing.write(&mut ring) {
                Ok(true) => break,
                Ok(false) => {}
                // A host that breaks the protocol is none any more.
                Err(_broken) => return false,
            }
            self.lanes.ring(rung);
            if self.is_closed() {
                return false;
            }
            let is_full = || ring.room() == Ok(0) && !self.is_closed();
            bell::sleep(&self.own, worker::ROOM, worker::WAITS_FOR_ROOM, Some(PAUSE), is_full);
            // Nobody may wait there any more for what the message is about. To wake both threads each time would have them get in
            // each other's way.
            rung = if ring.room() == Ok(0) { self.home } else { lane };
        }
        drop(ring);
        self.lanes.ring(lane);
        true
    }

    fn wake(&self) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            fence(Ordering::SeqCst);
            self.bell.ring();
        }
    }

    fn doorbell(&self) -> RawFd {
        self.bell.eventfd().as_raw_fd()
    }

    fn sleep(&self) -> bool {
        forked::end_child();
        self.report_room();
        (self.at_rest)();
        self.bell.sleep(|| self.nothing_there())
    }

    fn running(&self) -> &AtomicU64 {
        self.own.word_u64(worker::RUNNING)
    }

    fn close(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.bell.ring();
    }
}
