//! How long threads have run, which tells more than a clock on a machine that is busy with other things.

use std::fs;
use std::time::Duration;

/// How long all threads of this process and of its app processes have run.
pub(crate) fn process() -> Duration {
    let own = read(libc::CLOCK_PROCESS_CPUTIME_ID).expect("this process has a clock");
    own + app_processes().filter_map(clock_of).filter_map(read).sum::<Duration>()
}

/// The children of this process that run an app.
pub(crate) fn app_processes() -> impl Iterator<Item = libc::pid_t> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let numbers = children.flat_map(|children| {
        children.split_whitespace().filter_map(|number| number.parse().ok()).collect::<Vec<libc::pid_t>>()
    });
    numbers.filter(|number| {
        fs::read_to_string(format!("/proc/{number}/comm")).is_ok_and(|name| name.starts_with("atoll:"))
    })
}

/// The clock of all threads of another process.
fn clock_of(process: libc::pid_t) -> Option<libc::clockid_t> {
    let mut clock = 0;
    // SAFETY: the place for the result lives through the call.
    let status = unsafe { libc::clock_getcpuclockid(process, &mut clock) };
    (status == 0).then_some(clock)
}

/// How long the calling thread has run.
pub(crate) fn thread() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID).expect("this thread has a clock")
}

/// `None`: the process has ended.
fn read(clock: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the place for the result lives through the call.
    let status = unsafe { libc::clock_gettime(clock, &mut time) };
    let time = Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0));
    (status == 0).then_some(time)
}
