//! Unseen are the calls that these tests make without telling of them.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use super::*;

/// Moves a descriptor to a number that no other test of this process gets.
fn at(number: RawFd, descriptor: impl Into<OwnedFd>) -> RawFd {
    let descriptor = descriptor.into();
    // SAFETY: both numbers are this test's.
    assert_eq!(unsafe { libc::dup3(descriptor.as_raw_fd(), number, libc::O_CLOEXEC) }, number);
    number
}

fn is_open(number: RawFd) -> bool {
    fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok()
}

fn file() -> File {
    File::open("/proc/self/exe").unwrap()
}

fn close(number: RawFd) {
    // SAFETY: the number is this test's, and open.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
}

fn close_left(maker: &Maker) -> usize {
    // SAFETY: no library has made what this test has.
    unsafe { maker.close_left() }
}

#[test]
fn every_kind_that_is_left_is_closed() {
    let new = |descriptor: c_int| {
        assert!(descriptor >= 0);
        // SAFETY: it was made just now.
        unsafe { OwnedFd::from_raw_fd(descriptor) }
    };
    // SAFETY: these make descriptors of nothing but numbers.
    let kinds: [OwnedFd; 6] = unsafe {
        [
            new(libc::eventfd(0, 0)),
            new(libc::epoll_create1(0)),
            new(libc::inotify_init1(0)),
            new(libc::timerfd_create(libc::CLOCK_MONOTONIC, 0)),
            file().into(),
            UnixStream::pair().unwrap().0.into(),
        ]
    };
    let maker = Maker::new();
    let numbers: Vec<RawFd> = (800..).zip(kinds).map(|(number, kind)| at(number, kind)).collect();
    numbers.iter().for_each(|&number| maker.made(number));
    assert_eq!(close_left(&maker), 6);
    assert!(!numbers.iter().any(|&number| is_open(number)));
    assert_eq!(close_left(&maker), 0);
}

#[test]
fn a_copy_is_closed_of_its_own() {
    let maker = Maker::new();
    let (first, copy) = (at(810, file()), at(811, file()));
    // SAFETY: both numbers are this test's.
    unsafe { libc::dup3(first, copy, 0) };
    maker.made(first);
    maker.made(copy);
    gone(first);
    close(first);
    assert_eq!(close_left(&maker), 1);
    assert!(!is_open(copy));
}

#[test]
fn what_was_closed_and_made_again_unseen_stays_open() {
    let maker = Maker::new();
    let number = at(820, file());
    maker.made(number);
    close(number);
    at(number, file());
    assert_eq!(close_left(&maker), 0);
    assert!(is_open(number));
    close(number);
}

#[test]
fn what_was_closed_unseen_is_no_longer_there() {
    let maker = Maker::new();
    let number = at(821, file());
    maker.made(number);
    close(number);
    assert_eq!(close_left(&maker), 0);
}

#[test]
fn what_another_library_has_made_since_stays_open() {
    let (one, other) = (Maker::new(), Maker::new());
    let number = at(830, file());
    one.made(number);
    close(number);
    at(number, file());
    other.made(number);
    assert_eq!(close_left(&one), 0);
    assert!(is_open(number));
    assert_eq!(close_left(&other), 1);
}

#[test]
fn what_is_struck_off_stays_open() {
    let maker = Maker::new();
    let number = at(840, file());
    maker.made(number);
    gone(number);
    assert_eq!(close_left(&maker), 0);
    assert!(is_open(number));
    close(number);
}

#[test]
fn the_standard_ones_and_numbers_that_are_none_are_not_recorded() {
    let maker = Maker::new();
    for number in [-1, 0, 1, 2, RawFd::MAX] {
        maker.made(number);
        gone(number);
    }
    // One that is not open.
    maker.made(850);
    assert_eq!(close_left(&maker), 0);
}

#[test]
fn what_cannot_be_marked_is_not_recorded() {
    use std::os::unix::fs::OpenOptionsExt;
    let path = File::options().read(true).custom_flags(libc::O_PATH).open("/proc").unwrap();
    let maker = Maker::new();
    maker.made(path.as_raw_fd());
    assert_eq!(close_left(&maker), 0);
    assert!(is_open(path.as_raw_fd()));
}
