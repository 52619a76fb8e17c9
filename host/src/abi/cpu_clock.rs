//! The clocks that the kernel has of the CPU time of threads and processes.

use std::time::Duration;

/// From the kernel's `posix-timers.h`: a clock is the number of its thread or process, inverted, and in the low bits what it is
/// of. `clock_getcpuclockid` and `pthread_getcpuclockid` of libc make the same.
const CPUCLOCK_SCHED: libc::clockid_t = 2;
const CPUCLOCK_PERTHREAD: libc::clockid_t = 4;

/// The CPU time of the calling thread.
pub(crate) fn of_this_thread() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or_default()
}

/// The CPU time of a thread of this process, by the kernel's number; `None`: there is no such thread.
pub(crate) fn of_thread(thread: libc::pid_t) -> Option<Duration> {
    read((!thread << 3) | CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED)
}

/// The CPU time of a process with all its threads, also of those that have ended; `None`: there is no such process. One that has
/// ended is there until its parent has waited for it.
pub(crate) fn of_process(process: libc::pid_t) -> Option<Duration> {
    read((!process << 3) | CPUCLOCK_SCHED)
}

fn read(clock: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value of the right type. A clock that does not exist is an error.
    let failed = unsafe { libc::clock_gettime(clock, &mut time) };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanoseconds = u32::try_from(time.tv_nsec).ok()?;
    (failed == 0).then(|| Duration::new(seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::abi::threads::this_thread;

    #[test]
    fn each_thread_and_process_has_a_clock() {
        let own = of_this_thread();
        let same = of_thread(this_thread()).unwrap();
        let process = of_process(std::process::id() as libc::pid_t).unwrap();
        assert!(own <= same && same <= process, "{own:?} {same:?} {process:?}");
    }

    #[test]
    fn a_process_that_has_ended_has_its_clock_until_it_is_waited_for() {
        let script = "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done";
        let mut child = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).spawn().unwrap();
        let process = rustix::process::Pid::from_child(&child);
        let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(process), options).unwrap();
        let used = of_process(child.id() as libc::pid_t).unwrap();
        assert!(used > Duration::from_millis(1), "{used:?}");
        child.wait().unwrap();
        assert_eq!(of_process(child.id() as libc::pid_t), None);
    }
}
