//! Faults of the machine: file descriptors, threads, memory and disk that are used up. They pass, and are nothing that an
//! app or its library has done.

use std::error::Error;
use std::io;

use crate::http::connection::limits::{FILES_KEPT_BACK, MAX_CONNECTIONS};

/// The system's numbers of such faults.
const FAULTS: [i32; 6] = [libc::EMFILE, libc::ENFILE, libc::ENOSPC, libc::EDQUOT, libc::ENOMEM, libc::EIO];

/// Whether an error is a fault of the machine, or was caused by one, as far as its text and those of its sources say: the
/// dynamic linker and an app that does not start tell no more.
pub(crate) fn is_at_fault(error: &(dyn Error + 'static)) -> bool {
    names_a_fault(&error.to_string()) || error.source().is_some_and(is_at_fault)
}

fn names_a_fault(text: &str) -> bool {
    FAULTS.iter().any(|&number| {
        let error = io::Error::from_raw_os_error(number).to_string();
        let words = error.split(" (os error").next().unwrap_or(&error);
        text.contains(&format!("(os error {number})")) || text.contains(words)
    })
}

/// Whether a thread could not be made because there are too many, or too little memory.
pub(crate) fn has_no_thread(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAGAIN) || is_at_fault(error)
}

/// How many connections each of so many HTTP threads may have, so that all of them together leave [`FILES_KEPT_BACK`] file
/// descriptors free. Further clients wait to be accepted.
pub(crate) fn connections_for_each(threads: usize) -> usize {
    let open_files = limit_of_open_files().map_or(u64::MAX, |limit| limit.rlim_cur);
    share(open_files, threads)
}

fn share(open_files: u64, threads: usize) -> usize {
    let connections = usize::try_from(open_files.saturating_sub(FILES_KEPT_BACK)).unwrap_or(usize::MAX);
    (connections / threads.max(1)).clamp(1, MAX_CONNECTIONS)
}

fn limit_of_open_files() -> Option<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a value of the right type.
    (unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0).then_some(limit)
}

/// Raises the number of files that this process may have open to the most that it is allowed. The programs that start a
/// host often give it no more than 1024.
///
/// Child processes inherit it.
pub fn allow_many_files() {
    /// What the table of descriptors has room for.
    const MOST: libc::rlim_t = 1 << 20;
    let Some(mut limit) = limit_of_open_files() else { return };
    let wanted = limit.rlim_max.min(MOST);
    if limit.rlim_cur >= wanted {
        return;
    }
    limit.rlim_cur = wanted;
    // SAFETY: the pointer is to a value of the right type.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
        log::warn!("cannot raise the limit of open files: {}", io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it does not start")]
    struct Outer(#[source] io::Error);

    #[test]
    fn connections_leave_some_files_free() {
        assert_eq!(share(1024, 2), 480);
        assert_eq!(share(u64::MAX, 2), MAX_CONNECTIONS);
        assert_eq!((share(64, 2), share(10, 0)), (1, 1));
    }

    #[test]
    fn what_is_the_machines_is_told_from_what_is_not() {
        for number in FAULTS {
            assert!(is_at_fault(&io::Error::from_raw_os_error(number)), "{number}");
            assert!(is_at_fault(&Outer(io::Error::from_raw_os_error(number))), "{number}");
        }
        for text in [
            "libx.so: cannot open shared object file: Too many open files",
            "worker 0 did not start: the runtime: Too many open files (os error 24) (code -32001)",
        ] {
            assert!(is_at_fault(&io::Error::other(text)), "{text}");
        }
        for number in [libc::ENOENT, libc::EACCES, libc::EAGAIN, libc::EINVAL] {
            assert!(!is_at_fault(&io::Error::from_raw_os_error(number)), "{number}");
        }
        assert!(!is_at_fault(&io::Error::other("worker 0 did not start: this start fails")));
    }
}
