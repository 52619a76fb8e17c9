//! The environment of the library: as a process, it has its own variables, and changes only those.
//!
//! They are those of the message that starts its first worker. Before, while the library is opened, there are none. A program
//! that the app is linked into, as a test or one that serves it by itself, has those of the process.
//!
//! A list of variables that was replaced is never freed, as in libc: `getenv` returns pointers into it.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use super::behind::behind;
use super::types::Environment;

behind! {
    fn clearenv() -> c_int;
    fn getenv(name: *const c_char) -> *mut c_char;
    fn putenv(text: *mut c_char) -> c_int;
    fn setenv(name: *const c_char, value: *const c_char, overwrites: c_int) -> c_int;
    fn unsetenv(name: *const c_char) -> c_int;
}

/// Where the library's `environ` is; null before the first worker is started.
static ENVIRON: AtomicPtr<Environment> = AtomicPtr::new(ptr::null_mut());

/// Held while variables are changed. Nothing waits to read them: a list that is published does not change any more.
static CHANGE: Mutex<()> = Mutex::new(());

/// The library's `environ`; `None` before the first worker is started.
fn environ() -> Option<&'static AtomicPtr<*mut c_char>> {
    let environ = ENVIRON.load(Ordering::Acquire);
    // SAFETY: it is the library's variable, which lives as long as this code; others read it as they do libc's.
    (!environ.is_null()).then(|| unsafe { AtomicPtr::from_ptr(environ) })
}

/// What the library's `environ` points to: null before the first worker is started.
pub(super) fn current() -> Environment {
    environ().map_or(ptr::null_mut(), |environ| environ.load(Ordering::Acquire))
}

/// Whether this is a program and no library: its variables are those of libc.
static IS_PROGRAM: AtomicBool = AtomicBool::new(false);

/// Called before `main`, and when a library is opened: a program's `environ` becomes what it is without this definition.
///
/// # Safety
/// `environ` is the program's or library's variable of this name.
pub unsafe fn begin(environ: *mut Environment) {
    if is_in_program() {
        IS_PROGRAM.store(true, Ordering::Release);
        ENVIRON.store(environ, Ordering::Release);
        follow();
    }
}

fn is_program() -> bool {
    IS_PROGRAM.load(Ordering::Relaxed)
}

/// Makes a program's `environ` that of libc, which may have changed.
fn follow() {
    // SAFETY: the name is a C string.
    let of_libc = unsafe { libc::dlsym(libc::RTLD_NEXT, c"environ".as_ptr()) }.cast::<Environment>();
    // SAFETY: it is libc's variable, or null.
    if let (Some(environ), Some(of_libc)) = (environ(), unsafe { of_libc.as_ref() }) {
        environ.store(*of_libc, Ordering::Release);
    }
}

/// Whether this code is in the program, and not in a library.
fn is_in_program() -> bool {
    unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
        // SAFETY: the linker gives an object's record, and `dl_iterate_phdr` its own argument.
        let (info, found) = unsafe { (&*info, &mut *found.cast::<bool>()) };
        // SAFETY: the record has so many headers.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let this = is_in_program as fn() -> bool as usize;
        *found = headers.iter().filter(|header| header.p_type == libc::PT_LOAD).any(|header| {
            let begin = info.dlpi_addr as usize + header.p_vaddr as usize;
            (begin..begin + header.p_memsz as usize).contains(&this)
        });
        // The program is the first one.
        1
    }
    let mut found = false;
    // SAFETY: `look` takes what is given here, during the call only.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut found).cast()) };
    found
}

/// The variables in a list.
///
/// # Safety
/// It has C strings and a null pointer at the end, or is null.
unsafe fn texts(mut list: Environment) -> impl Iterator<Item = *mut c_char> {
    std::iter::from_fn(move || {
        // SAFETY: by the caller's contract: the end was not reached.
        unsafe {
            let text = if list.is_null() { ptr::null_mut() } else { *list };
            (!text.is_null()).then(|| {
                list = list.add(1);
                text
            })
        }
    })
}

/// Sets all variables, before the library's first worker makes the app; later calls do nothing. `environ` is the library's
/// variable of this name.
pub(crate) fn set<'v>(environ: *mut Environment, variables: impl Iterator<Item = (&'v str, &'v str)>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let texts = variables.filter_map(|(name, value)| CString::new(format!("{name}={value}")).ok());
        let _turn = turn();
        ENVIRON.store(environ, Ordering::Release);
        publish(texts.map(CString::into_raw).collect());
    });
}

fn turn() -> MutexGuard<'static, ()> {
    CHANGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The variables, as they are now.
fn variables() -> Vec<*mut c_char> {
    // SAFETY: it is such a list, as C has it.
    unsafe { texts(current()) }.collect()
}

/// Makes these the variables.
fn publish(mut variables: Vec<*mut c_char>) {
    variables.push(ptr::null_mut());
    if let Some(environ) = environ() {
        environ.store(Vec::leak(variables).as_mut_ptr(), Ordering::Release);
    }
}

/// Sets a variable to a string of the form `NAME=value`.
fn put(name: &[u8], text: *mut c_char) {
    let mut variables = variables();
    match variables.iter().position(|text| value(*text, name).is_some()) {
        Some(place) => variables[place] = text,
        None => variables.push(text),
    }
    publish(variables);
}

/// The value in `text`, if that is the variable of this name.
fn value(text: *mut c_char, name: &[u8]) -> Option<*mut c_char> {
    // SAFETY: the list has C strings.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    let is_it = bytes.len() > name.len() && bytes.starts_with(name) && bytes[name.len()] == b'=';
    // SAFETY: the string is longer than the name.
    is_it.then(|| unsafe { text.add(name.len() + 1) })
}

/// The bytes of a name, if it can be one.
///
/// # Safety
/// It is a C string, or null.
unsafe fn name_of<'n>(name: *const c_char) -> Option<&'n [u8]> {
    if name.is_null() {
        return None;
    }
    // SAFETY: by the caller's contract.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes();
    (!bytes.is_empty() && !bytes.contains(&b'=')).then_some(bytes)
}

fn invalid() -> c_int {
    // SAFETY: it is this thread's.
    unsafe { *libc::__errno_location() = libc::EINVAL };
    -1
}

/// Changes the variables of a program.
fn in_program(change: impl FnOnce() -> c_int) -> c_int {
    let result = change();
    follow();
    result
}

/// `getenv`, of the library's variables.
///
/// # Safety
/// As for libc's function.
pub unsafe fn getenv(name: *const c_char) -> *mut c_char {
    if is_program() {
        // SAFETY: by the caller's contract.
        return unsafe { real::getenv(name) };
    }
    // SAFETY: by the caller's contract.
    let Some(name) = (unsafe { name_of(name) }) else { return ptr::null_mut() };
    // SAFETY: it is such a list, as C has it.
    unsafe { texts(current()) }.find_map(|text| value(text, name)).unwrap_or(ptr::null_mut())
}

/// `secure_getenv`, which is [`getenv`]: the library does not run with more privileges than who has started it.
///
/// # Safety
/// As for libc's function.
pub unsafe fn secure_getenv(name: *const c_char) -> *mut c_char {
    // SAFETY: by the caller's contract.
    unsafe { getenv(name) }
}

/// `setenv`, of the library's variables.
///
/// # Safety
/// As for libc's function.
pub unsafe fn setenv(name: *const c_char, value: *const c_char, overwrites: c_int) -> c_int {
    if is_program() {
        // SAFETY: by the caller's contract.
        return in_program(|| unsafe { real::setenv(name, value, overwrites) });
    }
    // SAFETY: by the caller's contract.
    let Some(name) = (unsafe { name_of(name) }) else { return invalid() };
    // SAFETY: by the caller's contract.
    let value = unsafe { CStr::from_ptr(value) }.to_bytes();
    let _turn = turn();
    if overwrites != 0 || !variables().iter().any(|text| self::value(*text, name).is_some()) {
        let text = CString::new([name, b"=", value].concat()).unwrap_or_default();
        put(name, text.into_raw());
    }
    0
}

/// `putenv`, of the library's variables: the string itself becomes one.
///
/// # Safety
/// As for libc's function.
pub unsafe fn putenv(text: *mut c_char) -> c_int {
    if is_program() {
        // SAFETY: by the caller's contract.
        return in_program(|| unsafe { real::putenv(text) });
    }
    // SAFETY: by the caller's contract.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    match bytes.iter().position(|byte| *byte == b'=') {
        Some(0) => invalid(),
        Some(length) => {
            let _turn = turn();
            put(&bytes[..length], text);
            0
        }
        // SAFETY: by the caller's contract.
        None => unsafe { unsetenv(text) },
    }
}

/// `unsetenv`, of the library's variables.
///
/// # Safety
/// As for libc's function.
pub unsafe fn unsetenv(name: *const c_char) -> c_int {
    if is_program() {
        // SAFETY: by the caller's contract.
        return in_program(|| unsafe { real::unsetenv(name) });
    }
    // SAFETY: by the caller's contract.
    let Some(name) = (unsafe { name_of(name) }) else { return invalid() };
    let _turn = turn();
    let mut variables = variables();
    variables.retain(|text| value(*text, name).is_none());
    publish(variables);
    0
}

/// `clearenv`, of the library's variables.
///
/// # Safety
/// As for libc's function.
pub unsafe fn clearenv() -> c_int {
    if is_program() {
        // SAFETY: by the caller's contract.
        return in_program(|| unsafe { real::clearenv() });
    }
    let _turn = turn();
    publish(Vec::new());
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_set_and_removed() {
        // As long-lived as that of a library.
        let of_library: &'static mut Environment = Box::leak(Box::new(ptr::null_mut()));
        set(&raw mut *of_library, [("A", "1"), ("AB", "2"), ("BAD\0", "3")].into_iter());
        let get = |name: &CStr| {
            // SAFETY: the name is a C string, and so is what is found.
            unsafe {
                let found = getenv(name.as_ptr());
                (!found.is_null()).then(|| CStr::from_ptr(found).to_str().unwrap().to_owned())
            }
        };
        let listed = || {
            // SAFETY: all are C strings.
            let text = |text: *mut c_char| unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned();
            variables().into_iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(
            (get(c"A"), get(c"AB"), get(c"B"), get(c"")),
            (Some("1".into()), Some("2".into()), None, None)
        );
        // SAFETY: all are C strings that live long enough.
        unsafe {
            assert_eq!(setenv(c"A".as_ptr(), c"x".as_ptr(), 0), 0);
            assert_eq!(get(c"A").as_deref(), Some("1"), "it is not overwritten");
            assert_eq!(setenv(c"A".as_ptr(), c"x=y".as_ptr(), 1), 0);
            assert_eq!(setenv(c"C".as_ptr(), c"".as_ptr(), 0), 0);
            assert_eq!(setenv(c"C=".as_ptr(), c"".as_ptr(), 0), -1);
            assert_eq!(listed(), ["A=x=y", "AB=2", "C="]);
            assert_eq!(putenv(c"AB=3".as_ptr().cast_mut()), 0);
            assert_eq!(putenv(c"=3".as_ptr().cast_mut()), -1);
            assert_eq!(putenv(c"C".as_ptr().cast_mut()), 0, "without a value it is removed");
            assert_eq!(unsetenv(c"A".as_ptr()), 0);
            assert_eq!((get(c"A"), get(c"AB").as_deref()), (None, Some("3")));
            // What code has put into `environ` itself is seen, too.
            let mut own = [c"OWN=1".as_ptr().cast_mut(), ptr::null_mut()];
            environ().unwrap().store(own.as_mut_ptr(), Ordering::Release);
            assert_eq!((get(c"OWN").as_deref(), get(c"AB")), (Some("1"), None));
            assert_eq!(clearenv(), 0);
            assert_eq!(listed(), [""; 0]);
        }
    }
}
