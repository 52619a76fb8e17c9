//! Whether a thread waits in a system call that its library has made, and nobody else needs what it has.
//!
//! Between the system call and the library there may be one function of libc, as `read` or `epoll_wait`, or one of those that
//! are known to keep nothing of libc's while they wait. One that waits deeper in libc, or in the host, may hold a lock there.

use std::ffi::{CStr, c_void};
use std::sync::OnceLock;

use atoll_plugin::hooks::unwinder;

use super::range::Ranges;
use crate::abi::fault::unwind;

/// Functions of libc that wait by others of its functions, and keep nothing meanwhile.
const KEEP_NOTHING: [&CStr; 11] = [
    c"clock_nanosleep",
    c"nanosleep",
    c"usleep",
    c"sleep",
    c"pthread_cond_wait",
    c"pthread_cond_timedwait",
    c"pthread_cond_clockwait",
    c"sem_wait",
    c"sem_timedwait",
    c"sem_clockwait",
    c"sigwait",
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
    let here = interrupted.uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
    is_behind_system_call(here, ranges) && is_called_by_library(here, ranges)
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn is_waiting(_: &libc::ucontext_t, _: &Ranges) -> bool {
    false
}

/// Whether the instruction before this address is a system call, in the library or in libc.
#[cfg(target_arch = "x86_64")]
fn is_behind_system_call(address: usize, ranges: &Ranges) -> bool {
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    let Some(before) = address.checked_sub(SYSCALL.len()) else { return false };
    if !(ranges.library.contains(&before) || ranges.libc.contains(&before)) {
        return false;
    }
    // SAFETY: the thread runs code at the address, and the object that this is in begins before it.
    SYSCALL == unsafe { std::ptr::with_exposed_provenance::<[u8; 2]>(before).read_unaligned() }
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

/// Whether the frames above the host's are those of the library, and one of libc's at most that keeps something.
#[cfg(target_arch = "x86_64")]
fn is_called_by_library(here: usize, ranges: &Ranges) -> bool {
    let mut seen = Seen::Libc(0, 0);
    let found = unwind::interrupted(here, |address| seen = seen.then(address, ranges));
    found && seen == Seen::Host
}

impl Seen {
    fn then(self, address: usize, ranges: &Ranges) -> Self {
        // What is returned to is behind the call.
        let place = address.saturating_sub(1);
        match self {
            Self::Libc(count, _) if ranges.libc.contains(&place) => Self::Libc(count + 1, place),
            Self::Libc(count, last) if ranges.library.contains(&place) => {
                if count <= 1 || keeps_nothing(last) { Self::Library } else { Self::Other }
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
