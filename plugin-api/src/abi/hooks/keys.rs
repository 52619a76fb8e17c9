//! pthread keys, which std never gives back.

use std::ffi::c_int;
use std::sync::atomic::{AtomicU32, Ordering};

use super::behind::behind;
use super::process;
use super::types::KeyDestructor;
use crate::abi::link;

behind! {
    fn pthread_key_create(key: *mut u32, destructor: KeyDestructor) -> c_int;
    fn pthread_key_delete(key: u32) -> c_int;
}

/// Keys made before the library was bound, each plus one; 0 is a free place.
static EARLY_KEYS: [AtomicU32; 32] = [const { AtomicU32::new(0) }; 32];

/// Tells the host of a key, or keeps it until there is a host.
fn key_event(key: u32, created: bool) {
    if process::is_forked_child() {
        return;
    }
    if let Some(link) = link::get() {
        // SAFETY: the function only keeps the number.
        unsafe { link.host.key_event()(link.generation, key, created) };
        return;
    }
    let (from, to) = if created { (0, key + 1) } else { (key + 1, 0) };
    for place in &EARLY_KEYS {
        if place.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            return;
        }
    }
}

/// Tells the host of the keys made before it was known.
pub(crate) fn report_early_keys() {
    for place in &EARLY_KEYS {
        if let Some(key) = place.swap(0, Ordering::AcqRel).checked_sub(1) {
            key_event(key, true);
        }
    }
}

/// `pthread_key_create`, with the key recorded.
///
/// # Safety
/// As for libc's function.
pub unsafe fn pthread_key_create(key: *mut u32, destructor: KeyDestructor) -> c_int {
    // SAFETY: by the caller's contract.
    let result = unsafe { real::pthread_key_create(key, destructor) };
    if result == 0 {
        // SAFETY: libc has just written the key.
        key_event(unsafe { *key }, true);
    }
    result
}

/// `pthread_key_delete`, with the key struck off.
///
/// # Safety
/// As for libc's function.
pub unsafe fn pthread_key_delete(key: u32) -> c_int {
    // SAFETY: by the caller's contract.
    let result = unsafe { real::pthread_key_delete(key) };
    if result == 0 {
        key_event(key, false);
    }
    result
}
