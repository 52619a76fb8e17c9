use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use std::time::{Duration, Instant};

use super::*;
use crate::observe::app_log::AppLog;
use crate::observe::events::EventBus;

fn context(app: &str) -> Arc<LibraryContext> {
    LibraryContext::new(app.into(), 1, Arc::new(AppLog::new(app.into(), EventBus::default())))
}

/// Sets what is done at a signal; what was done before.
fn set(context: Option<&LibraryContext>, signal: c_int, handler: usize) -> usize {
    let new = Action { handler, ..Action::DEFAULT }.to_raw();
    let mut old = Action::DEFAULT.to_raw();
    // SAFETY: both are actions, and the handlers of these tests may be called at any time.
    assert_eq!(unsafe { sigaction(context, signal, &new, &mut old) }, 0);
    old.sa_sigaction
}

static CALLS: AtomicI32 = AtomicI32::new(0);

extern "C" fn count(_: c_int) {
    CALLS.fetch_add(1, Ordering::SeqCst);
}

const COUNT: extern "C" fn(c_int) = count;

#[track_caller]
fn wait_for_calls(calls: i32) {
    let begun = Instant::now();
    while CALLS.load(Ordering::SeqCst) != calls {
        assert!(begun.elapsed() < Duration::from_secs(30), "{CALLS:?}");
        std::thread::yield_now();
    }
}

#[test]
fn each_has_its_own_and_none_is_called_when_it_is_gone() {
    let signal = libc::SIGUSR2;
    let (one, other) = (context("one"), context("other"));
    assert_eq!(set(Some(&one), signal, COUNT as usize), libc::SIG_DFL);
    assert_eq!(set(Some(&other), signal, COUNT as usize), libc::SIG_DFL);
    assert_eq!(set(None, signal, libc::SIG_IGN), libc::SIG_DFL, "the host has not set it");
    assert_eq!(set(Some(&one), signal, COUNT as usize), COUNT as usize);

    // SAFETY: the signal is handled.
    let send = || unsafe { assert_eq!(libc::kill(libc::getpid(), signal), 0) };
    send();
    wait_for_calls(2);
    one.signals().retire();
    send();
    wait_for_calls(3);
    other.end_signals(Duration::from_secs(30));
    assert_eq!(set(Some(&one), signal, COUNT as usize), COUNT as usize, "it is for its own threads");
    one.end_signals(Duration::from_secs(30));
    assert_eq!(set(Some(&one), signal, COUNT as usize), libc::SIG_DFL);
    assert_eq!(set(Some(&one), signal, libc::SIG_IGN), libc::SIG_DFL, "what was set last is forgotten");
    send();
    assert_eq!((one.running_threads(), other.running_threads()), (vec![], vec![]));
    wait_for_calls(3);
}

#[test]
fn what_cannot_be_handled_is_refused() {
    let app = context("app");
    let new = Action { handler: COUNT as usize, ..Action::DEFAULT }.to_raw();
    for signal in [0, -1, 65, libc::SIGKILL, libc::SIGSTOP, 32] {
        // SAFETY: the action lives through the call.
        assert_eq!(unsafe { sigaction(Some(&app), signal, &new, ptr::null_mut()) }, -1, "{signal}");
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EINVAL), "{signal}");
    }
}
