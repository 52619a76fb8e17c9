//! What a signal does, for the host or for one generation.

use std::ffi::c_int;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

/// How many signals Linux has, counted from 1.
pub(super) const SIGNALS: usize = 64;

/// The bit of a signal in a set.
pub(super) const fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

/// What `sigaction` takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Action {
    /// `SIG_DFL`, `SIG_IGN`, or a function's address.
    pub(super) handler: usize,
    pub(super) flags: c_int,
    /// The signals that are blocked while the handler runs.
    pub(super) mask: u64,
}

impl Action {
    pub(super) const DEFAULT: Self = Self { handler: libc::SIG_DFL, flags: 0, mask: 0 };

    /// Whether it calls a function.
    pub(super) fn is_handler(self) -> bool {
        self.handler != libc::SIG_DFL && self.handler != libc::SIG_IGN
    }

    /// As libc has it.
    pub(super) fn from_raw(raw: &libc::sigaction) -> Self {
        Self { handler: raw.sa_sigaction, flags: raw.sa_flags, mask: mask_of(&raw.sa_mask) }
    }

    /// For libc.
    pub(super) fn to_raw(self) -> libc::sigaction {
        // SAFETY: all zeros are an action.
        let mut raw: libc::sigaction = unsafe { std::mem::zeroed() };
        raw.sa_sigaction = self.handler;
        raw.sa_flags = self.flags;
        raw.sa_mask = set_of(self.mask);
        raw
    }
}

/// The signals in a set. The kernel's sets have 64 bits, and libc's begin with them.
pub(super) fn mask_of(set: &libc::sigset_t) -> u64 {
    // SAFETY: a set of libc's is plain numbers, and longer than 8 bytes.
    unsafe { (&raw const *set).cast::<u64>().read_unaligned() }
}

/// A set of libc's with these signals.
pub(super) fn set_of(mask: u64) -> libc::sigset_t {
    // SAFETY: a set of libc's is plain numbers, and longer than 8 bytes.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        (&raw mut set).cast::<u64>().write_unaligned(mask);
        set
    }
}

/// An [`Action`] that can be read in a signal's handler while another thread changes it.
///
/// The parts are read one by one. A handler is only ever called with flags and mask that were set with it, or with those
/// set right after it, which is as if the signal had come a moment later.
#[derive(Debug)]
pub(super) struct Slot {
    handler: AtomicUsize,
    flags: AtomicI32,
    mask: AtomicU64,
}

impl Slot {
    pub(super) const fn new() -> Self {
        Self { handler: AtomicUsize::new(libc::SIG_DFL), flags: AtomicI32::new(0), mask: AtomicU64::new(0) }
    }

    pub(super) fn load(&self) -> Action {
        let handler = self.handler.load(Ordering::Acquire);
        Action { handler, flags: self.flags.load(Ordering::Relaxed), mask: self.mask.load(Ordering::Relaxed) }
    }

    pub(super) fn store(&self, action: Action) {
        self.mask.store(action.mask, Ordering::Relaxed);
        self.flags.store(action.flags, Ordering::Relaxed);
        self.handler.store(action.handler, Ordering::Release);
    }

    /// Back to the default, if this handler is still set; whether it was.
    pub(super) fn reset(&self, handler: usize) -> bool {
        self.handler.compare_exchange(handler, libc::SIG_DFL, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// A [`Slot`] for each signal.
#[derive(Debug)]
pub(super) struct Slots([Slot; SIGNALS]);

impl Slots {
    pub(super) const fn new() -> Self {
        Self([const { Slot::new() }; SIGNALS])
    }

    /// The slot of a signal, which is one: 1 to 64.
    pub(super) fn get(&self, signal: c_int) -> &Slot {
        &self.0[(signal - 1) as usize]
    }
}
