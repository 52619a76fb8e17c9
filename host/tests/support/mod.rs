//! The harness of the end-to-end tests: the real command as a child process, libraries that cargo builds, sockets
//! on loopback.
//!
//! ```ignore
//! mod support;
//! use support::{Call, Host, Launch, library, wait_until};
//!
//! let host = Host::start(json!([{ "name": "hello", "path": library("hello") }]), &[]);
//! assert_eq!(host.get("/apps/hello/greet/tobe").json(), json!({ "name": "tobe" }));
//! ```
//!
//! [`Launch`] starts any other command in the same way: `Launch::command("dev").arg("apps/hello").start()`.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod client;
mod damage;
mod host;
mod impostor;
mod isolation;
mod libraries;
mod load;
mod native;
mod server;

use std::time::{Duration, Instant};

pub use client::{Call, Connection, Reply};
pub use damage::{Damages, replace_by_damaged};
pub use host::{Ended, Host, Launch};
pub use impostor::Impostor;
pub use isolation::IN_PROCESSES;
pub use libraries::{
    EXAMPLES, SMALL, atoll, example, examples, fixture_program, fixtures_target, library, mutated, patched,
    program, programs, versioned, workspace,
};
pub use load::Load;
pub use native::compile;
pub use server::{ADMIN_TOKEN, Server};

/// How long a test waits for what has to happen. Long, for a machine that is busy: nothing waits without need.
pub const LIMIT: Duration = Duration::from_secs(30);

/// # Panics
/// When one of the words is not in the text.
#[track_caller]
pub fn contains(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} in {text}");
    }
}

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not within [`LIMIT`]; the message says `what` was awaited.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Waits until `look` finds something, and returns it.
///
/// # Panics
/// As [`wait_until`].
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "waited {LIMIT:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Lets this process, and the commands that it starts, have some thousand connections.
pub fn allow_many_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a value of the right type.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = limit.rlim_max.min(10_000);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
    }
}
