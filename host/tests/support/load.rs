//! Constant load from several connections that are kept open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::client::{Call, Connection, Reply};

/// Sends one request after the other until it is [stopped](Self::stop).
#[derive(Debug)]
pub struct Load {
    stopping: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Vec<Reply>>>,
}

impl Load {
    /// A thread and a connection for each of `paths`.
    pub fn start(address: SocketAddr, paths: &[&str]) -> Self {
        Self::of(address, paths.iter().map(|path| Call::get(path)).collect())
    }

    /// A thread and a connection for each of `calls`.
    pub fn of(address: SocketAddr, calls: Vec<Call>) -> Self {
        let (stopping, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = calls.into_iter().map(|call| {
            let (stopping, answered) = (stopping.clone(), answered.clone());
            std::thread::spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                let mut replies = Vec::new();
                while !stopping.load(Ordering::Relaxed) {
                    let number = replies.len();
                    let reply = connection.call(&call);
                    replies.push(reply.unwrap_or_else(|error| panic!("{error} at request {number}")));
                    answered.fetch_add(1, Ordering::Relaxed);
                    // Constant, and not all that the machine can bear: other tests run beside this one.
                    std::thread::sleep(Duration::from_millis(1));
                }
                replies
            })
        });
        let threads = threads.collect();
        Self { stopping, answered, threads }
    }

    /// How many requests were answered so far.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends it; the replies of each connection, in order.
    ///
    /// # Panics
    /// When a connection broke.
    #[track_caller]
    pub fn stop(self) -> Vec<Vec<Reply>> {
        self.stopping.store(true, Ordering::Relaxed);
        let replies = self.threads.into_iter().map(|thread| thread.join().expect("no connection breaks"));
        replies.collect()
    }
}
