//! The files that a process may have open, which its connections share with the apps.

use std::io;

use crate::http::connection::limits::FILES_KEPT_BACK;

/// How many HTTP threads serve, at most `threads`, and how many connections each may have: together at most `connections`, and
/// so many that [`FILES_KEPT_BACK`] file descriptors stay free. Further clients wait to be accepted.
pub(crate) fn threads_and_connections(threads: usize, connections: usize) -> (usize, usize) {
    let open_files = limit_of_open_files().map_or(u64::MAX, |limit| limit.rlim_cur);
    share(open_files, threads, connections)
}

fn share(open_files: u64, threads: usize, connections: usize) -> (usize, usize) {
    let files = usize::try_from(open_files.saturating_sub(FILES_KEPT_BACK)).unwrap_or(usize::MAX);
    let connections = connections.min(files).max(1);
    // A thread without a connection would keep the clients waiting that come to it.
    let threads = threads.clamp(1, connections);
    (threads, connections / threads)
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
        assert_eq!(share(1024, 2, 100_000), (2, 480));
        assert_eq!(share(u64::MAX, 2, 100_000), (2, 50_000));
        assert_eq!((share(64, 2, 100), share(10, 0, 100)), ((1, 1), (1, 1)));
    }

    #[test]
    fn all_threads_together_have_no_more_connections_than_allowed() {
        assert_eq!([1, 2, 3, 7].map(|most| share(1024, 4, most)), [(1, 1), (2, 1), (3, 1), (4, 1)]);
        assert_eq!(share(1024, 4, 9), (4, 2));
    }
}
