//! Clients that send requests all the time, over whatever a stream is, and none of whose requests may fail.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::support::wait_until;

/// A connection.
pub(crate) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// Opens a connection.
pub(crate) type Connect = Arc<dyn Fn() -> io::Result<Box<dyn Stream>> + Send + Sync>;

/// Clients that send one request after the other until this is [stopped](Self::stop).
pub(crate) struct Steady {
    stopping: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Steady {
    /// For each way to connect: clients that keep their connection, one of which sends bodies, and one that opens another
    /// connection for each request. They send to an app that echoes bodies.
    pub(crate) fn start(ways: &[Connect]) -> Self {
        let (stopping, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let kinds = [(true, 0), (true, 20_000), (false, 100)];
        let clients = ways.iter().flat_map(|way| kinds.map(|(is_kept, body)| (way.clone(), is_kept, body)));
        let clients = clients.map(|(connect, is_kept, body)| {
            let (stopping, answered) = (stopping.clone(), answered.clone());
            thread::spawn(move || {
                let mut connection = None;
                while !stopping.load(Ordering::Relaxed) {
                    let mut open = connection.take().unwrap_or_else(|| connect().expect("it connects"));
                    let number = answered.load(Ordering::Relaxed);
                    let stays_open = echo(&mut *open, body)
                        .unwrap_or_else(|error| panic!("{error} at about request {number}, kept: {is_kept}"));
                    answered.fetch_add(1, Ordering::Relaxed);
                    connection = (stays_open && is_kept).then_some(open);
                    // Constant, and not all that the machine can bear: other tests run beside this one.
                    thread::sleep(Duration::from_millis(2));
                }
            })
        });
        let clients = clients.collect();
        Self { stopping, answered, clients }
    }

    /// Waits until so many more requests are answered.
    #[track_caller]
    pub(crate) fn wait_for_answers(&self, more: usize) {
        let before = self.answered.load(Ordering::Relaxed);
        wait_until("requests are answered", || {
            let has_failed = self.clients.iter().any(JoinHandle::is_finished);
            has_failed || self.answered.load(Ordering::Relaxed) >= before + more
        });
    }

    /// Ends it; how many requests were answered.
    ///
    /// # Panics
    /// When one has failed.
    #[track_caller]
    pub(crate) fn stop(mut self) -> usize {
        self.stopping.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            client.join().expect("no request fails");
        }
        self.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

/// Sends a body of this size to an app that returns it; whether the connection stays open.
fn echo(stream: &mut dyn Stream, size: usize) -> io::Result<bool> {
    let body = vec![b'x'; size];
    let head = format!("POST /apps/probe/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: {size}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), &body].concat())?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    if !head.starts_with("http/1.1 200 ") {
        return Err(io::Error::other(head));
    }
    let mut echoed = vec![0; size];
    stream.read_exact(&mut echoed)?;
    if echoed != body {
        return Err(io::Error::other("another body came back"));
    }
    Ok(!head.contains("\r\nconnection: close\r\n"))
}
