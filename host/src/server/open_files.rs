//! The files that a process may have open, which its connections share with the apps.

use std::io;

use crate::http::connection::limits::{FILES_KEPT_BACK, MAX_CONNECTIONS};

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

    #[test]
    fn connections_leave_some_files_free() {
        assert_eq!(share(1024, 2), 480);
        assert_eq!(share(u64::MAX, 2), MAX_CONNECTIONS);
        assert_eq!((share(64, 2), share(10, 0)), (1, 1));
    }
}
