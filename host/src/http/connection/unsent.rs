//! The bytes of answers that an HTTP thread holds for clients that are slow to take them.
//!
//! An app's answer is in memory until the client has it. Many clients that ask and do not read could fill all memory, so
//! there is a budget, and the connection that holds the most is closed when it is used up.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

/// The budget of an HTTP thread.
pub(super) struct Budget {
    limit: usize,
    used: Cell<usize>,
    accounts: RefCell<Slab<Rc<Held>>>,
}

/// What one connection holds.
#[derive(Default)]
struct Held {
    bytes: Cell<usize>,
    exceeded: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Rc<Self> {
        Rc::new(Self { limit, used: Cell::new(0), accounts: RefCell::default() })
    }

    /// Closes the connections that hold the most, until the others are within the limit.
    fn enforce(&self) {
        while self.used.get() > self.limit {
            let accounts = self.accounts.borrow();
            let Some((_, most)) = accounts.iter().max_by_key(|(_, held)| held.bytes.get()) else { return };
            let bytes = most.bytes.take();
            self.used.set(self.used.get() - bytes);
            if bytes == 0 {
                return;
            }
            most.exceeded.set(true);
            if let Some(waker) = most.waker.take() {
                waker.wake();
            }
        }
    }
}

/// A connection's account with the budget of its thread.
pub(super) struct Account {
    budget: Rc<Budget>,
    held: Rc<Held>,
    /// Its place in the budget, once it has held something.
    place: Cell<Option<usize>>,
}

impl Account {
    pub(super) fn new(budget: &Rc<Budget>) -> Self {
        Self { budget: budget.clone(), held: Rc::default(), place: Cell::new(None) }
    }

    /// How many bytes the connection holds.
    pub(super) fn bytes(&self) -> usize {
        self.held.bytes.get()
    }

    /// Notes how many bytes the connection holds now.
    pub(super) fn set(&self, bytes: usize) {
        let before = self.held.bytes.get();
        if before == bytes || self.held.exceeded.get() {
            return;
        }
        if self.place.get().is_none() {
            self.place.set(Some(self.budget.accounts.borrow_mut().insert(self.held.clone())));
        }
        self.held.bytes.set(bytes);
        self.budget.used.set(self.budget.used.get() - before + bytes);
        if bytes > before {
            self.budget.enforce();
        }
    }

    /// Ready when the connection has to be closed because it holds too much.
    pub(super) fn poll_exceeded(&self, context: &Context<'_>) -> Poll<()> {
        if self.held.exceeded.get() {
            return Poll::Ready(());
        }
        let mut waker = self.held.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set(0);
        if let Some(place) = self.place.get() {
            self.budget.accounts.borrow_mut().remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_exceeded(account: &Account) -> bool {
        account.poll_exceeded(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_connection_that_holds_the_most_is_closed_beyond_the_limit() {
        let budget = Budget::new(100);
        let accounts: Vec<_> = (0..3).map(|_| Account::new(&budget)).collect();
        for (account, bytes) in accounts.iter().zip([30, 50, 20]) {
            account.set(bytes);
        }
        assert!(!accounts.iter().any(is_exceeded), "all is within the limit");
        accounts[2].set(21);
        assert_eq!(accounts.iter().map(is_exceeded).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(budget.used.get(), 51);
        // What the closed one does until it is gone changes nothing.
        accounts[1].set(70);
        assert_eq!(budget.used.get(), 51);
        drop(accounts);
        assert_eq!((budget.used.get(), budget.accounts.borrow().len()), (0, 0));
    }

    #[test]
    fn one_that_is_larger_than_all_of_it_is_closed() {
        let budget = Budget::new(100);
        let (small, large) = (Account::new(&budget), Account::new(&budget));
        small.set(1);
        large.set(1000);
        assert!(is_exceeded(&large) && !is_exceeded(&small));
    }
}
