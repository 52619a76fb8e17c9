//! The queue of replies, from several workers to the task of one HTTP thread.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use shuttle::{future, thread};

use crate::arrivals::Arrivals;

/// `senders` threads hand over `each` replies, and the task takes all of them.
pub fn workers_reply_to_one_thread(senders: usize, each: usize) {
    crate::run(move || {
        let arrivals = Arc::new(Arrivals::default());
        let sending: Vec<_> = (0..senders)
            .map(|sender| {
                let arrivals = arrivals.clone();
                thread::spawn(move || (0..each).for_each(|n| arrivals.push((sender, n))))
            })
            .collect();
        let mut got = vec![0; senders];
        future::block_on(poll_fn(|context| {
            while let Some((sender, n)) = arrivals.pop() {
                assert_eq!(got[sender], n, "they come in order");
                got[sender] += 1;
            }
            if got.iter().all(|got| *got == each) {
                return Poll::Ready(());
            }
            arrivals.sleep(context.waker());
            Poll::Pending
        }));
        sending.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    });
}
