//! Constant load: threads that ask one request after the other, and count what comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::support::{Call, Connection};

/// Load that runs until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    threads: Vec<JoinHandle<()>>,
}

/// What the load counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: AtomicU64,
    pub(crate) good: AtomicU64,
    /// Answered with another status than 200, or not answered.
    pub(crate) failed: AtomicU64,
}

impl Load {
    /// Starts `connections` threads with a connection each, which ask for `path` again and again.
    pub(crate) fn start(address: SocketAddr, path: &str, connections: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::new(Counts::default());
        let threads = (0..connections)
            .map(|_| {
                let (stop, counts, path) = (stop.clone(), counts.clone(), path.to_owned());
                std::thread::spawn(move || ask(address, &path, &stop, &counts))
            })
            .collect();
        Self { stop, counts, threads }
    }

    /// Ends the load: requests sent, answered with 200, and failed.
    pub(crate) fn stop(self) -> (u64, u64, u64) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            if thread.join().is_err() {
                self.counts.failed.fetch_add(1, Ordering::SeqCst);
            }
        }
        let get = |count: &AtomicU64| count.load(Ordering::SeqCst);
        (get(&self.counts.sent), get(&self.counts.good), get(&self.counts.failed))
    }
}

fn ask(address: SocketAddr, path: &str, stop: &AtomicBool, counts: &Counts) {
    let call = Call::get(path);
    let mut connection = Connection::open(address);
    while !stop.load(Ordering::Relaxed) {
        counts.sent.fetch_add(1, Ordering::Relaxed);
        let answer = connection
            .as_mut()
            .map_err(|error| error.to_string())
            .and_then(|connection| connection.call(&call).map_err(|error| error.to_string()));
        match answer {
            Ok(reply) if reply.status == 200 => {
                counts.good.fetch_add(1, Ordering::Relaxed);
            }
            other => {
                if counts.failed.fetch_add(1, Ordering::Relaxed) < 10 {
                    eprintln!("failed: {:?}", other.map(|reply| (reply.status, reply.text())));
                }
                connection = Connection::open(address);
            }
        }
    }
}
