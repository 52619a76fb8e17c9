//! File descriptors that a process has inherited.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::RawFd;

/// Standard input, output and error.
const STANDARD: [RawFd; 3] = [0, 1, 2];

/// Closes all descriptors of this process but these, and the standard ones.
///
/// # Errors
/// The system's error; Linux has the call since 5.9.
pub(super) fn close_all_but(kept: &[RawFd]) -> io::Result<()> {
    let kept: BTreeSet<u32> = kept.iter().chain(&STANDARD).filter_map(|&fd| u32::try_from(fd).ok()).collect();
    for (first, last) in gaps(&kept) {
        // SAFETY: the clean-up rule: the process has been started for its sandbox, and nothing in it uses a descriptor
        // that it was not given; there is no other thread.
        let failed = unsafe { libc::close_range(first, last, 0) };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The ranges between these numbers.
fn gaps(kept: &BTreeSet<u32>) -> Vec<(u32, u32)> {
    let mut gaps = Vec::new();
    let mut next = 0;
    for &fd in kept {
        if fd > next {
            gaps.push((next, fd - 1));
        }
        next = fd + 1;
    }
    gaps.push((next, u32::MAX));
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_all_that_is_not_kept() {
        let gaps = |kept: &[u32]| gaps(&kept.iter().copied().collect());
        assert_eq!(gaps(&[0, 1, 2]), [(3, u32::MAX)]);
        assert_eq!(gaps(&[0, 1, 2, 3, 7]), [(4, 6), (8, u32::MAX)]);
        assert_eq!(gaps(&[1]), [(0, 0), (2, u32::MAX)]);
    }
}
