//! The CPU time of an app process.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use procfs::FromRead;
use procfs::process::Stat;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::net::unix::pipe::Receiver;

use crate::abi::cpu_clock;

/// Reads the CPU time of a process, with that of its children that it has waited for.
#[derive(Debug)]
pub(super) struct ProcessClock {
    /// `None`: it ended before this was made.
    process: Option<Pid>,
    reading: Mutex<Reading>,
}

#[derive(Debug, Default)]
struct Reading {
    last: Duration,
    /// Its number may be that of another process by now.
    is_over: bool,
}

impl ProcessClock {
    /// That of the process with this number.
    pub(super) fn new(process: Option<u32>) -> Self {
        let process = process.and_then(|process| Pid::from_raw(process.cast_signed()));
        Self { process, reading: Mutex::default() }
    }

    /// The CPU time that it has used until now, or until its end; it never goes down.
    pub(super) fn read(&self) -> Duration {
        self.read_or_end(false)
    }

    /// Waits until the process has ended, and reads its clock for the last time. The caller has not waited for the process yet,
    /// and does so then: before, the system keeps what it has used.
    ///
    /// Cancel safe: dropping the future changes nothing.
    pub(super) async fn end(&self) {
        // Where the system does not notify of it, the process counts until now.
        if let Some(end) = self.process.and_then(end_of) {
            let _ = end.readable().await;
        }
        self.read_or_end(true);
    }

    fn read_or_end(&self, is_over: bool) -> Duration {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(process) = self.process.filter(|_| !reading.is_over) {
            reading.last = reading.last.max(now(process));
        }
        reading.is_over |= is_over;
        reading.last
    }
}

/// What is readable when the process has ended: by the reader of pipes, which reads nothing here.
fn end_of(process: Pid) -> Option<Receiver> {
    let descriptor = pidfd_open(process, PidfdFlags::NONBLOCK).ok()?;
    Receiver::from_owned_fd_unchecked(descriptor).ok()
}

fn now(process: Pid) -> Duration {
    let number = process.as_raw_nonzero().get();
    let own = cpu_clock::of_process(number).unwrap_or_default();
    // Where the processes of other users are hidden, that of an app with a separate user has none.
    let children =
        Stat::from_file(format!("/proc/{number}/stat")).map_or(0, |stat| stat.cutime + stat.cstime);
    let ticks = u64::try_from(children).unwrap_or(0);
    own + Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64)
}
