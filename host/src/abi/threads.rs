//! The threads of the process, and those among them that nobody knows.
//!
//! A thread that is made by `pthread_create` is known: as the host's, or as a generation's. Others are made by the C
//! library for itself (as for timers that call a function), by bare system calls, and by what was loaded before the host
//! began to count. Such a thread may run the code of any library that was there when it was made.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use procfs::FromRead;
use procfs::process::Stat;

static KNOWN: Mutex<Known> = Mutex::new(Known { threads: BTreeSet::new(), limit: 64 });

struct Known {
    /// The kernel's numbers of the threads that are known, and run or have run.
    threads: BTreeSet<libc::pid_t>,
    /// With more than this, it is time to look which of them still run.
    limit: usize,
}

/// How often, and how long after each other, threads are looked at again that are not known: a thread is not known either
/// in its first and last moments, which are long where there are more threads than processors.
const LOOKS: usize = 400;
const PAUSE: Duration = Duration::from_millis(5);

fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The kernel's number of the calling thread.
pub(crate) fn this_thread() -> libc::pid_t {
    // SAFETY: no preconditions.
    unsafe { libc::gettid() }
}

/// The calling thread, which has begun; its number.
pub(crate) fn begun() -> libc::pid_t {
    let thread = this_thread();
    let mut known = known();
    known.threads.insert(thread);
    // Those of apps that have ended are struck off when there are twice as many as are left then.
    if known.threads.len() > known.limit {
        known.threads.retain(|&thread| exists(thread));
        known.limit = 2 * known.threads.len() + 64;
    }
    thread
}

/// The calling thread of the host is about to end.
pub(crate) fn ended() {
    known().threads.remove(&this_thread());
}

/// The kernel's name of the calling thread.
pub(crate) fn current_name() -> String {
    let thread = this_thread();
    own_name(thread).unwrap_or_else(|| thread.to_string())
}

/// Whether a thread of this process with the kernel's number `thread` exists.
pub(crate) fn exists(thread: libc::pid_t) -> bool {
    // SAFETY: signal 0 only asks.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, 0) == 0 }
}

/// What a thread calls itself, for people.
pub(crate) fn name(thread: libc::pid_t) -> String {
    own_name(thread).map_or_else(|| format!("thread {thread}"), |name| format!("{name:?}"))
}

/// What a thread calls itself; `None`: it has ended.
pub(crate) fn own_name(thread: libc::pid_t) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/self/task/{thread}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// A thread that nobody knows: its number, and when it began, as numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stranger {
    thread: libc::pid_t,
    begun: u64,
}

/// The threads that nobody knows at some moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strangers(Vec<Stranger>);

impl Strangers {
    /// Those that run now.
    ///
    /// # Errors
    /// That cannot be found out.
    pub(crate) fn now() -> io::Result<Self> {
        let mut threads = running()?;
        {
            let mut known = known();
            threads.retain(|thread| !known.threads.contains(thread));
            // What has ended leaves its number to others. The list is older than the lock, so it does not tell.
            known.threads.retain(|&thread| exists(thread));
        }
        // Without the lock, for which threads wait that begin.
        threads
            .into_iter()
            .filter_map(|thread| Stranger::read(thread).transpose())
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Those that run now and did not run then, but for the calling thread: their names.
    ///
    /// # Errors
    /// That cannot be found out.
    pub(crate) fn since(&self) -> io::Result<Vec<String>> {
        let here = this_thread();
        let Self(mut found) = Self::now()?;
        found.retain(|stranger| stranger.thread != here && !self.0.contains(stranger));
        for _ in 0..LOOKS {
            if found.is_empty() {
                break;
            }
            thread::sleep(PAUSE);
            found.retain(Stranger::is_still_one);
        }
        Ok(found.into_iter().map(|stranger| name(stranger.thread)).collect())
    }
}

/// The numbers of the threads of this process.
fn running() -> io::Result<Vec<libc::pid_t>> {
    let thread = |entry: io::Result<std::fs::DirEntry>| {
        entry.map(|entry| entry.file_name().to_str().and_then(|number| number.parse().ok()))
    };
    std::fs::read_dir("/proc/self/task")?.filter_map(|entry| thread(entry).transpose()).collect()
}

impl Stranger {
    /// `None`: the thread has ended, or is one of the kernel's own, which never runs the program's code.
    fn read(thread: libc::pid_t) -> io::Result<Option<Self>> {
        /// From the kernel's `sched.h`: `PF_IO_WORKER`, `PF_USER_WORKER` and `PF_KTHREAD`. `io_uring` has such threads.
        const KERNEL: u32 = 0x10 | 0x4000 | 0x0020_0000;
        match Stat::from_file(format!("/proc/self/task/{thread}/stat")) {
            Ok(stat) if stat.flags & KERNEL != 0 => Ok(None),
            Ok(stat) => Ok(Some(Self { thread, begun: stat.starttime })),
            Err(_) if !exists(thread) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Whether the thread still runs, as far as can be found out, and has not become known.
    fn is_still_one(&self) -> bool {
        !known().threads.contains(&self.thread)
            && Self::read(self.thread).map_or(true, |now| now == Some(*self))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::{c_int, c_void};
    use std::sync::atomic::{AtomicI32, Ordering};

    use super::*;

    /// Held by tests that make threads which nobody knows, or look for such: all see those of the process.
    static ALONE: Mutex<()> = Mutex::new(());

    /// Starts a thread that nobody knows, as a library does by a bare system call; it runs until the number is not 0.
    fn start_stranger(until: &'static AtomicI32) -> libc::pid_t {
        extern "C" fn run(until: *mut c_void) -> c_int {
            // SAFETY: it is a static. Nothing else is touched: the thread has no thread-locals of its own.
            let until = unsafe { &*until.cast::<AtomicI32>() };
            while until.load(Ordering::Acquire) == 0 {
                // SAFETY: no preconditions.
                unsafe { libc::syscall(libc::SYS_sched_yield) };
            }
            0
        }
        let stack = Box::leak(vec![0_u8; 1 << 16].into_boxed_slice());
        let flags = libc::CLONE_VM
            | libc::CLONE_FS
            | libc::CLONE_FILES
            | libc::CLONE_SIGHAND
            | libc::CLONE_THREAD
            | libc::CLONE_SYSVSEM;
        // SAFETY: the stack is the thread's alone, and never freed; its end is aligned, as the allocator aligns it.
        let thread = unsafe {
            let top = stack.as_mut_ptr_range().end.cast();
            libc::clone(run, top, flags, std::ptr::from_ref(until).cast_mut().cast())
        };
        assert!(thread > 0);
        thread
    }

    #[test]
    fn threads_of_the_host_are_known_and_others_only_if_they_were_there_before() {
        static UNTIL: AtomicI32 = AtomicI32::new(0);
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let before = Strangers::now().unwrap();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let known = thread::spawn(move || ended.recv());
        assert_eq!(
            before.since().unwrap(),
            [""; 0],
            "the standard library makes threads by `pthread_create`"
        );

        let stranger = start_stranger(&UNTIL);
        assert_eq!(before.since().unwrap(), [name(stranger)]);
        assert_eq!(Strangers::now().unwrap().since().unwrap(), [""; 0]);
        UNTIL.store(1, Ordering::Release);
        while exists(stranger) {
            thread::sleep(PAUSE);
        }
        assert_eq!(before.since().unwrap(), [""; 0]);
        drop(end);
        assert!(known.join().unwrap().is_err());
    }

    #[test]
    fn a_thread_that_begins_while_others_look_becomes_known() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let before = Strangers::now().unwrap();
        let mut unknown = Vec::new();
        let (start, looking) = (std::sync::Barrier::new(3), std::sync::atomic::AtomicBool::new(true));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    start.wait();
                    while looking.load(Ordering::Relaxed) {
                        Strangers::now().unwrap();
                    }
                });
            }
            start.wait();
            for _ in 0..50 {
                let (end, ended) = std::sync::mpsc::channel::<()>();
                let known = thread::spawn(move || {
                    // So that it has begun.
                    thread::yield_now();
                    ended.recv()
                });
                unknown.extend(before.since());
                drop(end);
                let _ = known.join();
            }
            looking.store(false, Ordering::Relaxed);
        });
        assert_eq!(unknown, [[""; 0]; 50]);
    }

    #[test]
    fn the_numbers_of_threads_that_have_ended_are_forgotten() {
        for _ in 0..300 {
            // As a thread of an app, which does not say when it has ended.
            thread::spawn(begun).join().unwrap();
        }
        assert!(super::known().threads.len() < 300);
    }
}
