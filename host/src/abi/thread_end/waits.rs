//! Whether a thread waits in a system call that its library has made, and nobody else needs what it has.
//!
//! Between the system call and the library there may be one function of libc, two of those that wait for a futex (as a semaphore
//! does), or more below one that is known to keep nothing of libc's while it waits. A thread that waits elsewhere in libc, or in the host, may hold a lock there.

use std::ffi::{CStr, c_void};
use std::sync::OnceLock;

use atoll_plugin::hooks::unwinder;

use super::range::Ranges;
use crate::abi::fault::unwind;

/// Functions of libc that may wait in others of its functions, and keep nothing meanwhile. That one which can be cancelled does so
/// depends on libc's version.
const KEEP_NOTHING: [&CStr; 38] = [
    c"accept",
    c"accept4",
    c"clock_nanosleep",
    c"epoll_pwait",
    c"epoll_wait",
    c"flock",
    c"nanosleep",
    c"pause",
    c"poll",
    c"ppoll",
    c"pselect",
    c"pthread_cond_clockwait",
    c"pthread_cond_timedwait",
    c"pthread_cond_wait",
    c"read",
    c"readv",
    c"recv",
    c"recvfrom",
    c"recvmmsg",
    c"recvmsg",
    c"select",
    c"sem_clockwait",
    c"sem_timedwait",
    c"sem_wait",
    c"send",
    c"sendmsg",
    c"sendto",
    c"sigsuspend",
    c"sigtimedwait",
    c"sigwait",
    c"sigwaitinfo",
    c"sleep",
    c"usleep",
    c"wait4",
    c"waitid",
    c"waitpid",
    c"write",
    c"writev",
];

static ADDRESSES: OnceLock<[usize; KEEP_NOTHING.len()]> = OnceLock::new();

/// Looks up what cannot be in a handler.
pub(super) fn prepare() {
    ADDRESSES.get_or_init(|| {
        // SAFETY: the names are C strings.
        KEEP_NOTHING.map(|name| unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) } as usize)
    });
}

/// Whether the thread that was interrupted here waits in a system call of the library's. On the thread itself.
///
/// Takes no lock and does not allocate.
#[cfg(target_arch = "x86_64")]
pub(super) fn is_waiting(interrupted: &libc::ucontext_t, ranges: &Ranges) -> bool {
    let register = |number: libc::c_int| interrupted.uc_mcontext.gregs[number as usize];
    let here = register(libc::REG_RIP) as usize;
    // Its number is there where the kernel restarts it.
    let is_futex = register(libc::REG_RAX) == libc::SYS_futex;
    is_in_system_call(here, ranges) && is_called_by_library(here, is_futex, ranges)
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn is_waiting(_: &libc::ucontext_t, _: &Ranges) -> bool {
    false
}

/// Whether the thread is in a system call, of a function of the library or of libc. One that is interrupted continues behind the
/// instruction, or at it if the kernel restarts it.
#[cfg(target_arch = "x86_64")]
fn is_in_system_call(address: usize, ranges: &Ranges) -> bool {
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    let is_one = |place: usize| {
        let end = place + SYSCALL.len() - 1;
        let is_there = [&ranges.library, &ranges.libc]
            .into_iter()
            .any(|range| range.contains(&place) && range.contains(&end));
        // SAFETY: the thread runs code here, in an object that has these addresses.
        is_there && SYSCALL == unsafe { std::ptr::with_exposed_provenance::<[u8; 2]>(place).read_unaligned() }
    };
    is_one(address) || is_one(address.saturating_sub(SYSCALL.len()))
}

/// The frames of a thread, as they are seen from the innermost on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// So many of libc, and the address in the last one.
    Libc(usize, usize),
    Library,
    /// The frame of the host's that the library's are in.
    Host,
    /// Something else between them.
    Other,
}

/// Whether the frames above the host's are those of the library, and none of libc's that may keep something.
#[cfg(target_arch = "x86_64")]
fn is_called_by_library(here: usize, is_futex: bool, ranges: &Ranges) -> bool {
    let most = if is_futex { 2 } else { 1 };
    let mut seen = Seen::Libc(0, 0);
    let found = unwind::interrupted(here, |address| seen = seen.then(address, most, ranges));
    found && seen == Seen::Host
}

impl Seen {
    fn then(self, address: usize, most: usize, ranges: &Ranges) -> Self {
        // What is returned to is behind the call.
        let place = address.saturating_sub(1);
        match self {
            Self::Libc(count, _) if ranges.libc.contains(&place) => Self::Libc(count + 1, place),
            Self::Libc(count, last) if ranges.library.contains(&place) => {
                if count <= most || keeps_nothing(last) { Self::Library } else { Self::Other }
            }
            Self::Library if ranges.library.contains(&place) => Self::Library,
            Self::Library if !ranges.libc.contains(&place) => Self::Host,
            Self::Host => Self::Host,
            _ => Self::Other,
        }
    }
}

/// Whether this address is in a function of libc that keeps nothing.
fn keeps_nothing(address: usize) -> bool {
    // SAFETY: any address may be asked for.
    let function = unsafe { unwinder::_Unwind_FindEnclosingFunction(address as *mut c_void) } as usize;
    function != 0 && ADDRESSES.get().is_some_and(|addresses| addresses.contains(&function))
}
