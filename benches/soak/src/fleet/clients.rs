//! Those who use a host of the fleet all the time.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::{Call, Connection};

/// Clients of one host, which ask for its app again and again.
pub(super) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    address: Mutex<SocketAddr>,
    is_over: AtomicBool,
    rests: AtomicBool,
    resting: AtomicUsize,
    sent: AtomicU64,
    /// Answered with anything else than a version that was deployed.
    failed: AtomicU64,
}

/// The time between two requests of a client.
const PAUSE: Duration = Duration::from_millis(2);

impl Clients {
    /// Starts clients that rest.
    pub(super) fn start(address: SocketAddr, count: usize) -> Self {
        let shared = Arc::new(Shared {
            address: Mutex::new(address),
            is_over: AtomicBool::new(false),
            rests: AtomicBool::new(true),
            resting: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        let client = |_| {
            let shared = shared.clone();
            thread::spawn(move || shared.ask())
        };
        Self { threads: (0..count).map(client).collect(), shared }
    }

    /// Waits until no request is under way, and sends none until they continue: their host is about to be killed.
    pub(super) fn rest(&self) {
        self.shared.rests.store(true, Ordering::SeqCst);
        while self.shared.resting.load(Ordering::SeqCst) < self.threads.len() {
            thread::sleep(PAUSE);
        }
    }

    /// Sends requests again, to a host that may have another address.
    pub(super) fn resume(&self, address: SocketAddr) {
        *lock(&self.shared.address) = address;
        self.shared.rests.store(false, Ordering::SeqCst);
    }

    /// Ends them: how many requests they have sent, and how many of them have failed.
    pub(super) fn stop(self) -> (u64, u64) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let panicked = self.threads.into_iter().filter_map(|client| client.join().err()).count() as u64;
        let get = |count: &AtomicU64| count.load(Ordering::SeqCst);
        (get(&self.shared.sent), get(&self.shared.failed) + panicked)
    }
}

impl Shared {
    fn ask(&self) {
        let call = Call::get("/apps/app/");
        let mut connection = None::<Connection>;
        while !self.is_over.load(Ordering::SeqCst) {
            if self.rests.load(Ordering::SeqCst) {
                connection = None;
                self.resting.fetch_add(1, Ordering::SeqCst);
                while self.rests.load(Ordering::SeqCst) && !self.is_over.load(Ordering::SeqCst) {
                    thread::sleep(PAUSE);
                }
                self.resting.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            self.sent.fetch_add(1, Ordering::Relaxed);
            let opened = connection.take().map_or_else(|| Connection::open(*lock(&self.address)), Ok);
            let answered = opened.and_then(|mut open| Ok((open.call(&call)?, open)));
            match answered {
                Ok((reply, open)) if reply.status == 200 && reply.text().parse::<u64>().is_ok() => {
                    connection = Some(open);
                }
                other => {
                    if self.failed.fetch_add(1, Ordering::Relaxed) < 10 {
                        eprintln!("failed: {:?}", other.map(|(reply, _)| (reply.status, reply.text())));
                    }
                }
            }
            thread::sleep(PAUSE);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
