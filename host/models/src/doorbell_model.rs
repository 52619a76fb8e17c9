//! The doorbell of a port that several threads use.

use std::sync::Arc;

use shuttle::thread;

use crate::doorbell::Doorbell;
use crate::sync::SegQueue;

/// What a port is for its doorbell: a queue, and the bell.
struct Port {
    queue: SegQueue<u32>,
    doorbell: Doorbell,
}

impl Port {
    fn new() -> Arc<Self> {
        Arc::new(Self { queue: SegQueue::new(), doorbell: Doorbell::default() })
    }

    fn send(&self, item: u32) {
        self.queue.push(item);
        self.doorbell.ring();
    }

    /// As a thread of the app's receives.
    fn receive(&self) -> u32 {
        loop {
            if let Some(item) = self.queue.pop() {
                return item;
            }
            self.doorbell.wait(None, || self.queue.is_empty());
        }
    }

    /// As an event loop of the app's receives: it reads the eventfd of the port.
    fn poll(&self) -> u32 {
        loop {
            if let Some(item) = self.queue.pop() {
                return item;
            }
            if self.doorbell.sleep(|| self.queue.is_empty()) {
                while !self.is_rung() {
                    thread::yield_now();
                }
            }
        }
    }

    fn is_rung(&self) -> bool {
        let mut count = 0_u64;
        // SAFETY: the descriptor is open as long as the doorbell, and `count` has room for 8 bytes.
        unsafe { libc::read(self.doorbell.descriptor(), (&raw mut count).cast(), 8) == 8 }
    }
}

/// Each of `receivers` threads gets one of the items that `senders` threads send.
pub fn threads_share_a_port(receivers: u32, senders: u32) {
    crate::run(move || {
        let port = Port::new();
        let receiving: Vec<_> = (0..receivers)
            .map(|_| {
                let port = port.clone();
                thread::spawn(move || port.receive())
            })
            .collect();
        let sending: Vec<_> = (0..senders)
            .map(|sender| {
                let port = port.clone();
                thread::spawn(move || {
                    (sender..receivers).step_by(senders as usize).for_each(|n| port.send(n))
                })
            })
            .collect();
        sending.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        let mut got: Vec<_> =
            receiving.into_iter().map(|thread| thread.join().expect("it does not panic")).collect();
        got.sort_unstable();
        assert!(got.into_iter().eq(0..receivers));
    });
}

/// A thread that receives, and an event loop on the same port.
pub fn a_thread_and_a_loop_share_a_port() {
    crate::run(|| {
        let port = Port::new();
        port.doorbell.descriptor();
        let [waiting, polling, sending] = [port.clone(), port.clone(), port];
        let waiting = thread::spawn(move || waiting.receive());
        let polling = thread::spawn(move || polling.poll());
        sending.send(1);
        sending.send(2);
        let got = [waiting, polling].map(|thread| thread.join().expect("it does not panic"));
        assert!(got == [1, 2] || got == [2, 1]);
    });
}
