//! The host's end of a port to a worker in an app process.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

use super::bell::{self, SharedBell};
use super::clock::Moment;
use super::frame::{FrameError, Header, Incoming, Kind, Outgoing};
use super::heap_use::HeapUse;
use super::layout::{HOST_PART, PAGE, RING, SLOTS, TO_HOST, TO_WORKER, WORKER_PART, host, worker};
use super::memory::{Mapping, SharedMemory, WritableMapping};
use super::ring::{OutOfRange, RingReader, RingWriter};
use super::running::RunningRequests;
use crate::call_sink::CallSink;
use crate::message::message;
use crate::port::{Limits, Port};
use crate::reply_queue;
use crate::transport::{Bell, Inlet, Item, Transport};
use crate::warnings::Warnings;

/// How many messages one thread fetches before it does something else.
const AT_ONCE: usize = 256;

/// What the ports of a process's workers have in common.
pub struct ProcessLink {
    /// The host's memory, which is to be sealed once all ports are made.
    pub host: SharedMemory,
    /// The app process's memory.
    pub worker: SharedMemory,
    /// The lane of the thread that fetches what is for no request.
    pub home: u8,
    /// Called when the process has broken the protocol, and is to be ended: on any thread, with locks of the port held.
    pub on_breach: Arc<dyn Fn(FrameError) + Send + Sync>,
}

impl fmt::Debug for ProcessLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessLink").field("home", &self.home).finish_non_exhaustive()
    }
}

impl ProcessLink {
    /// Memory for so many workers.
    ///
    /// # Errors
    /// The system has no descriptors or no memory for it.
    pub fn new(
        workers: usize,
        home: u8,
        on_breach: Arc<dyn Fn(FrameError) + Send + Sync>,
    ) -> io::Result<Self> {
        let host = SharedMemory::new("atoll-host", HOST_PART * workers)?;
        let worker = SharedMemory::new("atoll-worker", WORKER_PART * workers)?;
        Ok(Self { host, worker, home, on_breach })
    }

    /// How much memory the app has allocated.
    ///
    /// # Errors
    /// There is no address space for it.
    pub fn heap_use(&self) -> io::Result<HeapUse> {
        HeapUse::new(&self.worker)
    }

    /// Which requests the workers run.
    ///
    /// # Errors
    /// There is no address space for it.
    pub fn running(&self, workers: usize) -> io::Result<RunningRequests> {
        RunningRequests::new(&self.worker, workers)
    }

    /// The host's end of the port to worker `number`, whose event loop waits for `eventfd`: see [`Port::new`].
    ///
    /// # Errors
    /// There is no address space for its memory.
    pub fn port(
        &self,
        number: usize,
        eventfd: OwnedFd,
        app: Arc<str>,
        limits: Limits,
        warnings: Arc<dyn Warnings>,
        call_sink: Arc<dyn CallSink>,
    ) -> io::Result<Arc<Port>> {
        let own = Arc::new(self.host.map_to_write(number * HOST_PART, HOST_PART)?);
        let words = Arc::new(self.worker.map_to_write(number * WORKER_PART, PAGE)?);
        let peer = Arc::new(self.worker.map(number * WORKER_PART, WORKER_PART)?);
        let transport = |port: &Weak<Port>| -> Arc<dyn Transport> {
            Arc::new_cyclic(|end: &Weak<HostEnd>| HostEnd {
                port: port.clone(),
                inlet: Arc::new(RingInlet(end.clone())),
                bell: Arc::new(SharedBell::new(words.clone(), eventfd)),
                outbox: Mutex::new(Outbox {
                    ring: RingWriter::new(own.clone(), peer.clone(), TO_WORKER),
                    current: None,
                    queue: VecDeque::new(),
                    sent: VecDeque::new(),
                    next_slot: 0,
                }),
                inbox: Mutex::new((RingReader::new(own.clone(), peer.clone(), TO_HOST), Incoming::default())),
                own,
                words,
                peer,
                home: self.home,
                on_breach: self.on_breach.clone(),
                broken: AtomicBool::new(false),
                seen: AtomicU64::new(0),
                read_before: AtomicU64::new(0),
            })
        };
        Ok(Port::new(app, limits, warnings, call_sink, transport))
    }
}

/// The transport to a worker in an app process.
struct HostEnd {
    port: Weak<Port>,
    own: Arc<WritableMapping>,
    words: Arc<WritableMapping>,
    peer: Arc<Mapping>,
    outbox: Mutex<Outbox>,
    inbox: Mutex<(RingReader, Incoming)>,
    bell: Arc<dyn Bell>,
    inlet: Arc<dyn Inlet>,
    home: u8,
    on_breach: Arc<dyn Fn(FrameError) + Send + Sync>,
    /// What comes from the process is not read any more.
    broken: AtomicBool,
    /// How much the worker had written when all of it was fetched.
    seen: AtomicU64,
    /// How much the worker had read when there was no room for more.
    read_before: AtomicU64,
}

/// What is on its way to the worker.
struct Outbox {
    ring: RingWriter,
    current: Option<Outgoing>,
    /// What is not in the ring yet, each with the lane of the thread that waits for what comes of it.
    queue: VecDeque<(Item, u8)>,
    /// The requests and answers that the worker has not taken yet, as far as is known.
    sent: VecDeque<Sent>,
    next_slot: u32,
}

/// What is in the ring.
#[derive(Clone, Copy, Debug)]
struct Sent {
    what: SentItem,
    /// The worker has taken it when it has read so many bytes.
    end: u64,
}

/// What of the ring's content is counted.
#[derive(Clone, Copy, Debug)]
enum SentItem {
    /// A request, with its place among those that can be withdrawn.
    Request { id: u64, slot: u32 },
    /// The answer to a request of the app's own.
    Answer,
}

impl Transport for HostEnd {
    fn put(&self, item: Item) {
        let lane = reply_queue::lane().unwrap_or(self.home);
        let mut outbox = self.outbox();
        outbox.queue.push_back((item, lane));
        self.flush(&mut outbox);
    }

    fn bell(&self) -> &Arc<dyn Bell> {
        &self.bell
    }

    fn unread(&self) -> Option<u64> {
        let ring = &self.outbox().ring;
        // A count that cannot be is noticed by who writes.
        ring.read().ok().filter(|read| *read != ring.written())
    }

    fn inlet(&self) -> Option<&Arc<dyn Inlet>> {
        Some(&self.inlet)
    }

    fn settle(&self) {
        self.note_taken(&mut self.outbox());
    }

    fn withdraw(&self, id: u64) -> bool {
        let outbox = self.outbox();
        let slot = outbox.sent.iter().find_map(|sent| match sent.what {
            SentItem::Request { id: sent, slot } if sent == id => Some(slot),
            _ => None,
        });
        let Some(slot) = slot else { return false };
        self.mark(slot, true);
        // It may just be taken.
        true
    }
}

impl HostEnd {
    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes as much as there is room for.
    fn flush(&self, outbox: &mut Outbox) {
        let Some(port) = self.port.upgrade() else { return };
        if port.is_closed() {
            self.own.word_u32(host::CLOSED).store(1, Ordering::SeqCst);
            (outbox.current, outbox.queue) = (None, VecDeque::new());
            return self.want_room(false);
        }
        if let Err(error) = self.write_all(outbox, &port) {
            self.fail(error.into());
        }
    }

    fn write_all(&self, outbox: &mut Outbox, port: &Port) -> Result<(), OutOfRange> {
        loop {
            if let Some(current) = &mut outbox.current {
                if !current.write(&mut outbox.ring)? {
                    let read = outbox.ring.read()?;
                    self.read_before.store(read, Ordering::SeqCst);
                    self.want_room(true);
                    if outbox.ring.room()? == 0 {
                        return Ok(());
                    }
                    continue;
                }
                outbox.current = None;
            }
            let Some((item, lane)) = outbox.queue.pop_front() else { break };
            outbox.current = self.outgoing(outbox, port, item, lane);
        }
        self.want_room(false);
        Ok(())
    }

    /// What goes into the ring for an item, if anything.
    fn outgoing(&self, outbox: &mut Outbox, port: &Port, item: Item, lane: u8) -> Option<Outgoing> {
        let mut header = Header { kind: Kind::Other, lane, slot: 0, id: 0, begun: 0, deadline: 0 };
        let (id, json, transfer) = match item {
            // The ring carries texts without an index.
            Item::Request(id, text, transfer) => (id, text.json, transfer),
            Item::Answer(message) => {
                let outgoing = Outgoing::new(&header, message);
                let end = outbox.ring.written() + outgoing.len() as u64;
                outbox.sent.push_back(Sent { what: SentItem::Answer, end });
                return Some(outgoing);
            }
            other => return Some(Outgoing::new(&header, port.hand_out(other)?)),
        };
        let Some(times) = port.times_of(id) else {
            port.leave_inbox(id);
            return None;
        };
        let now = Moment::now();
        header.kind = Kind::Request;
        header.id = id;
        header.slot = outbox.next_slot;
        header.begun = now.nanos_of(times.sent);
        header.deadline = times.deadline.map_or(0, |deadline| now.nanos_of(deadline));
        outbox.next_slot = (outbox.next_slot + 1) % SLOTS as u32;
        self.mark(header.slot, false);
        let outgoing = Outgoing::new(&header, message(json, transfer.into_iter().collect()));
        let end = outbox.ring.written() + outgoing.len() as u64;
        outbox.sent.push_back(Sent { what: SentItem::Request { id, slot: header.slot }, end });
        Some(outgoing)
    }

    /// Marks a request as withdrawn, or not.
    fn mark(&self, slot: u32, withdrawn: bool) {
        let word = self.own.word_u32(host::WITHDRAWN + slot as usize / 32 * 4);
        let bit = 1 << (slot % 32);
        if withdrawn {
            word.fetch_or(bit, Ordering::SeqCst);
        } else if word.load(Ordering::Relaxed) & bit != 0 {
            word.fetch_and(!bit, Ordering::SeqCst);
        }
    }

    /// Announces that this waits for room, or no longer does.
    fn want_room(&self, wanted: bool) {
        let word = self.own.word_u32(host::ROOM);
        let before = word.load(Ordering::Relaxed);
        if (before % 2 == 1) != wanted {
            word.store(before.wrapping_add(1), Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
    }

    /// Notes which requests the worker has taken.
    fn note_taken(&self, outbox: &mut Outbox) {
        let Some(port) = self.port.upgrade() else { return };
        match outbox.ring.read() {
            Ok(read) => {
                while let Some(&sent) = outbox.sent.front().filter(|sent| sent.end <= read) {
                    outbox.sent.pop_front();
                    match sent.what {
                        SentItem::Request { id, .. } => port.leave_inbox(id),
                        SentItem::Answer => port.note_answer_taken(),
                    }
                }
            }
            Err(error) => self.fail(error.into()),
        }
    }

    /// The process has sent what cannot be.
    fn fail(&self, error: FrameError) {
        if !self.broken.swap(true, Ordering::SeqCst) {
            (self.on_breach)(error);
        }
    }

    fn fetch(&self) {
        let Some(port) = self.port.upgrade() else { return };
        let mut inbox = match self.inbox.try_lock() {
            Ok(inbox) => inbox,
            Err(TryLockError::Poisoned(inbox)) => inbox.into_inner(),
            // Another thread does it.
            Err(TryLockError::WouldBlock) => return,
        };
        let mut outbox = self.outbox();
        self.note_taken(&mut outbox);
        if outbox.current.is_some() {
            self.flush(&mut outbox);
            self.bell.ring();
        }
        drop(outbox);
        let (ring, incoming) = &mut *inbox;
        // What is there but no whole message is looked at again when there is more of it.
        let written = self.peer.load_u64(worker::WRITTEN);
        let now = Moment::now();
        let mut is_all = false;
        for _ in 0..AT_ONCE {
            if self.broken.load(Ordering::SeqCst) {
                return;
            }
            match incoming.read(ring) {
                Ok(Some(received)) => {
                    let header = received.header;
                    if header.id != 0 && header.begun != 0 {
                        port.note_taken(header.id, now.instant_of(header.begun));
                    }
                    port.accept(message(received.json, received.transfer));
                }
                Ok(None) => {
                    self.seen.store(written, Ordering::SeqCst);
                    is_all = true;
                    break;
                }
                Err(error) => self.fail(error),
            }
        }
        // A worker that waits for room gets much of it at a time: this thread fetches again until nothing is left.
        if is_all || ring.available(RING / 2).is_ok_and(|unread| unread < RING / 2) {
            bell::wake(&self.words, worker::ROOM, worker::WAITS_FOR_ROOM);
        }
    }

    fn is_filled(&self) -> bool {
        let is_new = self.peer.load_u64(worker::WRITTEN) != self.seen.load(Ordering::SeqCst);
        let waits_for_room = self.own.load_u32(host::ROOM) % 2 == 1;
        let has_room = || self.peer.load_u64(worker::READ) != self.read_before.load(Ordering::SeqCst);
        !self.broken.load(Ordering::SeqCst) && (is_new || waits_for_room && has_room())
    }
}

/// What a thread of the host fetches from.
struct RingInlet(Weak<HostEnd>);

impl Inlet for RingInlet {
    fn fetch(&self) {
        if let Some(end) = self.0.upgrade() {
            end.fetch();
        }
    }

    fn is_filled(&self) -> bool {
        self.0.upgrade().is_some_and(|end| end.is_filled())
    }
}
