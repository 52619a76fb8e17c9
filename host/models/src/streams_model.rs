//! The streams of a request, which several tasks of the app's use.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use shuttle::{future, thread};

use crate::credit::{Closed, Credit};
use crate::inbox::Inbox;
use crate::waiters::Place;

/// Each of `senders` threads sends one message for which there is credit only when the one before was granted back;
/// one more stops waiting before.
pub fn senders_share_credit(senders: u64) {
    crate::run(move || {
        let credit = Arc::new(Credit::new(1));
        let sending: Vec<_> = (0..senders)
            .map(|_| {
                let credit = credit.clone();
                thread::spawn(move || future::block_on(credit.spend(1)))
            })
            .collect();
        let leaving = {
            let credit = credit.clone();
            thread::spawn(move || {
                let mut spend = Box::pin(credit.spend(0));
                // It is dropped while it waits, or is there already.
                let _ = spend.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            })
        };
        (1..senders).for_each(|_| credit.grant(1));
        for thread in sending {
            assert_eq!(thread.join().expect("it does not panic"), Ok(()));
        }
        leaving.join().expect("it does not panic");
    });
}

/// All threads that wait for credit end when the stream is closed.
pub fn a_close_ends_all_senders(senders: u64) {
    crate::run(move || {
        let credit = Arc::new(Credit::new(0));
        let sending: Vec<_> = (0..senders)
            .map(|_| {
                let credit = credit.clone();
                thread::spawn(move || future::block_on(credit.spend(1)))
            })
            .collect();
        credit.close();
        for thread in sending {
            assert_eq!(thread.join().expect("it does not panic"), Err(Closed));
        }
    });
}

/// `receivers` threads take what `senders` threads put in, until the end.
pub fn receivers_share_an_inbox(receivers: usize, senders: usize) {
    crate::run(move || {
        let inbox = Arc::new(Inbox::<usize, ()>::default());
        let receiving: Vec<_> = (0..receivers)
            .map(|_| {
                let inbox = inbox.clone();
                thread::spawn(move || {
                    let mut got = Vec::new();
                    let mut place = Place::default();
                    while let Some(item) = future::block_on(poll_fn(|context| {
                        inbox.poll_next(&mut place, context).map(|next| next.transpose().unwrap_or(None))
                    })) {
                        got.push(item);
                    }
                    inbox.leave(&mut place);
                    got
                })
            })
            .collect();
        let sending: Vec<_> = (0..senders)
            .map(|sender| {
                let inbox = inbox.clone();
                thread::spawn(move || inbox.put(sender))
            })
            .collect();
        sending.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        inbox.end(Ok(()));
        let mut got: Vec<_> =
            receiving.into_iter().flat_map(|thread| thread.join().expect("it does not panic")).collect();
        got.sort_unstable();
        assert!(got.into_iter().eq(0..senders));
        let mut place = Place::default();
        let end = inbox.poll_next(&mut place, &mut Context::from_waker(Waker::noop()));
        assert!(!inbox.is_open() && matches!(end, Poll::Ready(None)));
    });
}
