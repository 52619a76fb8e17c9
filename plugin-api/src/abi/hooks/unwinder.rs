//! The unwinder's interface, which std's own panics use, too:
//! <https://refspecs.linuxbase.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/libgcc-s-ddefs.html>.

use std::ffi::{c_int, c_void};

/// What [`_Unwind_Backtrace`] is given for each frame returns this to see the next one.
pub const CONTINUE: c_int = 0;

/// What [`_Unwind_Backtrace`] is given for each frame returns this to see no more.
pub const END_OF_STACK: c_int = 5;

// SAFETY: the declarations are those of the specification above; the unwinder is linked by std.
unsafe extern "C" {
    /// Calls `trace` with each frame of the calling stack and with `argument`.
    pub fn _Unwind_Backtrace(
        trace: extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;

    /// The instruction pointer of a frame.
    pub fn _Unwind_GetIP(context: *mut c_void) -> usize;

    /// Where the function begins that an address is in; null: in none that can be unwound.
    pub fn _Unwind_FindEnclosingFunction(address: *mut c_void) -> *mut c_void;
}
