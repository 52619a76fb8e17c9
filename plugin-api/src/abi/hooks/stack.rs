//! The stacks of threads that ask for no size.

use std::mem::MaybeUninit;
use std::ptr;

use super::types::pthread_attr_t;

/// Calls `create` with the attributes of a new thread: those that are given or, where there are none, some that ask for a
/// stack of `size` bytes. With 0, and where the system does not take that, the stack is the system's default.
pub fn with_stack<R>(
    attributes: *const pthread_attr_t,
    size: usize,
    create: impl FnOnce(*const pthread_attr_t) -> R,
) -> R {
    if !attributes.is_null() || size == 0 {
        return create(attributes);
    }
    let mut made = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: there is room for attributes.
    if unsafe { libc::pthread_attr_init(made.as_mut_ptr()) } != 0 {
        return create(ptr::null());
    }
    // SAFETY: they were made above. A size that is refused leaves the default.
    unsafe { libc::pthread_attr_setstacksize(made.as_mut_ptr(), size) };
    let result = create(made.as_ptr().cast());
    // SAFETY: as above, and nobody uses them any more.
    unsafe { libc::pthread_attr_destroy(made.as_mut_ptr()) };
    result
}
