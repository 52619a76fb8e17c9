//! Faults of the machine: file descriptors, threads, memory and disk that are used up. They pass, and are nothing that an
//! app or its library has done.

use std::error::Error;
use std::io;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it does not start")]
    struct Outer(#[source] io::Error);

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
