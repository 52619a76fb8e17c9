//! What holds a library in the process.

use super::pin_reason::PinReason;

/// What holds a library in the process. Dropping it leaves the library there for good, with all that its code reaches.
pub(crate) trait Mapping: Send {
    /// Closes the library on the thread that opened it, unless `last`, which is called there before, has a reason against
    /// it; and gives back what it has left behind. `Err`: it is still in the process, and what holds it now; `None`: it
    /// can no longer be closed.
    ///
    /// # Safety
    /// The unload rule of the book's page on safety: no thread runs the library's code, or will, and no code has an
    /// address in it.
    unsafe fn close(self: Box<Self>, last: FinalCheck) -> Result<(), (Option<Box<dyn Mapping>>, PinReason)>;

    /// The library stays for now: what the next one needs of this is released.
    fn pin(&mut self) {}
}

/// What is done right before a library is closed, and may have a reason against that.
pub(crate) type FinalCheck = Box<dyn FnOnce() -> Result<(), PinReason> + Send>;
