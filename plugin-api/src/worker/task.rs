//! A handler that continues after its first call: its future and its result.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::{AbortHandle, Abortable, LocalBoxFuture};

use crate::abi::panic::catch;
use crate::worker::host::Host;

/// How a handler ended.
pub(crate) enum Outcome<T> {
    /// It returned.
    Returned(T),
    /// It panicked, with this text.
    Panicked(String),
    /// It was cancelled, and its future dropped.
    Cancelled,
}

impl<T> From<Result<T, String>> for Outcome<T> {
    fn from(result: Result<T, String>) -> Self {
        result.map_or_else(Self::Panicked, Self::Returned)
    }
}

/// A handler's future with the number of its request. Panics, also those of its drop, stay inside.
pub(crate) struct Task<T> {
    id: u64,
    host: Option<Host>,
    work: Option<Abortable<LocalBoxFuture<'static, T>>>,
}

impl<T> Task<T> {
    /// The task, which finds `host` as the current one, and the handle that cancels it.
    pub(crate) fn new(id: u64, host: Option<Host>, work: LocalBoxFuture<'static, T>) -> (Self, AbortHandle) {
        let (handle, registration) = AbortHandle::new_pair();
        (Self { id, host, work: Some(Abortable::new(work, registration)) }, handle)
    }

    fn drop_work(&mut self) -> Result<(), String> {
        let work = self.work.take();
        catch(move || drop(work))
    }
}

impl<T> Future for Task<T> {
    type Output = (u64, Outcome<T>);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let id = this.id;
        let Some(work) = this.work.as_mut() else {
            return Poll::Ready((id, Outcome::Cancelled));
        };
        let poll = catch(|| match &this.host {
            Some(host) => host.scope(|| Pin::new(work).poll(context)),
            None => Pin::new(work).poll(context),
        });
        let outcome = match poll {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(value))) => Outcome::Returned(value),
            Ok(Poll::Ready(Err(_aborted))) => Outcome::Cancelled,
            Err(panic) => Outcome::Panicked(panic),
        };
        Poll::Ready((id, this.drop_work().map_or_else(Outcome::Panicked, |()| outcome)))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        // The hook has reported a panic here, and there is no request left that could be told.
        let _ = self.drop_work();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }

    #[test]
    fn a_panic_is_an_outcome_wherever_it_happens() {
        let (task, _handle) = Task::<()>::new(1, None, async { panic!("in poll") }.boxed_local());
        assert!(matches!(task.now_or_never(), Some((1, Outcome::Panicked(text))) if text == "in poll"));

        let guard = PanicsOnDrop;
        let work = async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        };
        let (task, handle) = Task::new(2, None, work.boxed_local());
        handle.abort();
        assert!(matches!(task.now_or_never(), Some((2, Outcome::Panicked(text))) if text == "in drop"));
    }

    #[test]
    fn a_cancelled_future_is_dropped() {
        let held = std::rc::Rc::new(());
        let inside = held.clone();
        let work = async move {
            let _inside = inside;
            std::future::pending::<()>().await;
        };
        let (mut task, handle) = Task::new(3, None, work.boxed_local());
        assert!((&mut task).now_or_never().is_none());
        handle.abort();
        assert!(matches!((&mut task).now_or_never(), Some((3, Outcome::Cancelled))));
        assert_eq!(std::rc::Rc::strong_count(&held), 1);
    }
}
