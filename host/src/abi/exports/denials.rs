//! Calls that a sandbox may deny: what has failed is reported, so that the app's log can name the setting.

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use libc::{addrinfo, mode_t, pid_t, posix_spawn_file_actions_t, posix_spawnattr_t, sockaddr, socklen_t};

use crate::abi::denials::{self, Attempt, last_error};

/// Lists the functions of this module: exports them, and knows those of libc's behind them.
macro_rules! export_all {
    ($($name:ident),* $(,)?) => {
        export! { $($name),* }

        /// libc's functions, under their names.
        #[expect(non_upper_case_globals, reason = "they have the names of the functions")]
        mod libc_functions {
            use crate::abi::behind::Behind;

            $(
                pub(super) static $name: Behind =
                    Behind::new(match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                        Ok(name) => name,
                        Err(_) => panic!("a name has no zeros"),
                    });
            )*
        }

        /// Looks libc's functions up.
        pub(super) fn find_libc_functions() {
            $(libc_functions::$name.find();)*
        }
    };
}

export_all! {
    bind, connect, execve, execvp, execvpe, getaddrinfo, mkdir, open, open64, openat, openat64, posix_spawn, posix_spawnp,
    rename, rmdir, socket, unlink,
}

/// Defines a function of libc's that returns -1 and sets `errno` when it fails, with what it attempts: that `is` a value, or
/// what a function `reads` from its arguments.
macro_rules! observed {
    (@attempt is $attempt:expr) => { $attempt };
    // SAFETY: by the contract of the function, as libc's one has read the same arguments.
    (@attempt reads $attempt:expr) => { unsafe { $attempt } };
    ($($(#[$note:meta])* fn $name:ident($($argument:ident: $type:ty),*) $how:ident $attempt:expr;)*) => {
        $(
            $(#[$note])*
            ///
            /// # Safety
            /// As for libc's function.
            unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
                type Function = unsafe extern "C" fn($($type),*) -> c_int;
                // SAFETY: libc's function has this type, or takes these arguments if it takes a variable number.
                let function = unsafe { std::mem::transmute::<*mut c_void, Function>(libc_functions::$name.find()) };
                // SAFETY: by the caller's contract.
                let result = unsafe { function($($argument),*) };
                if result == -1 {
                    let error = last_error();
                    denials::failed(error, || observed!(@attempt $how $attempt));
                    // SAFETY: it is this thread's.
                    unsafe { *libc::__errno_location() = error };
                }
                result
            }
        )*
    };
}

observed! {
    /// `open`.
    fn open(path: *const c_char, flags: c_int, mode: c_uint) reads opening(libc::AT_FDCWD, path, flags);
    /// `open64`.
    fn open64(path: *const c_char, flags: c_int, mode: c_uint) reads opening(libc::AT_FDCWD, path, flags);
    /// `openat`.
    fn openat(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) reads opening(folder, path, flags);
    /// `openat64`.
    fn openat64(folder: c_int, path: *const c_char, flags: c_int, mode: c_uint) reads opening(folder, path, flags);
    /// `mkdir`.
    fn mkdir(path: *const c_char, mode: mode_t) reads changing(path);
    /// `rmdir`.
    fn rmdir(path: *const c_char) reads changing(path);
    /// `unlink`.
    fn unlink(path: *const c_char) reads changing(path);
    /// `rename`.
    fn rename(from: *const c_char, to: *const c_char) reads changing(from);
    /// `socket`.
    fn socket(family: c_int, kind: c_int, protocol: c_int) is {
        Some(Attempt::Socket(family, kind & !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)))
    };
    /// `connect`.
    fn connect(socket: c_int, address: *const sockaddr, size: socklen_t) reads {
        port(address, size).map(Attempt::Connect)
    };
    /// `bind`.
    fn bind(socket: c_int, address: *const sockaddr, size: socklen_t) reads port(address, size).map(Attempt::Bind);
    /// `execve`.
    fn execve(path: *const c_char, arguments: *const *const c_char, variables: *const *const c_char) is {
        Some(Attempt::Execute)
    };
    /// `execvpe`.
    fn execvpe(file: *const c_char, arguments: *const *const c_char, variables: *const *const c_char) is {
        Some(Attempt::Execute)
    };
    /// `execvp`.
    fn execvp(path: *const c_char, arguments: *const *const c_char) is Some(Attempt::Execute);
}

/// What opening a path attempts.
///
/// # Safety
/// The path is a C string.
unsafe fn opening(folder: c_int, path: *const c_char, flags: c_int) -> Option<Attempt> {
    // SAFETY: by the caller's contract.
    let path = absolute(folder, unsafe { text(path) }).ok()?;
    let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & (libc::O_CREAT | libc::O_TRUNC) != 0;
    Some(if writes { Attempt::Write(path) } else { Attempt::Read(path) })
}

/// What changing a path attempts.
///
/// # Safety
/// The path is a C string.
unsafe fn changing(path: *const c_char) -> Option<Attempt> {
    // SAFETY: by the caller's contract.
    let path = unsafe { text(path) };
    absolute(libc::AT_FDCWD, path).ok().map(Attempt::Write)
}

/// # Safety
/// The path is a C string, which lives as long as what is returned.
unsafe fn text<'p>(path: *const c_char) -> &'p Path {
    // SAFETY: by the caller's contract.
    Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()))
}

fn absolute(folder: c_int, path: &Path) -> io::Result<PathBuf> {
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let folder = match folder {
        libc::AT_FDCWD => env::current_dir()?,
        folder => fs::read_link(format!("/proc/self/fd/{folder}"))?,
    };
    Ok(folder.join(path))
}

/// The port of an internet address.
///
/// # Safety
/// There is an address of this size, or it is null.
unsafe fn port(address: *const sockaddr, size: socklen_t) -> Option<u16> {
    // Both families have it at the same place.
    if address.is_null() || (size as usize) < size_of::<libc::sockaddr_in>() {
        return None;
    }
    // SAFETY: there is room for one, by the caller's contract and the size; addresses may be unaligned.
    let address = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
    let is_internet = [libc::AF_INET, libc::AF_INET6].contains(&c_int::from(address.sin_family));
    is_internet.then(|| u16::from_be(address.sin_port))
}

type Spawn = unsafe extern "C" fn(
    *mut pid_t,
    *const c_char,
    *const posix_spawn_file_actions_t,
    *const posix_spawnattr_t,
    *const *mut c_char,
    *const *mut c_char,
) -> c_int;

/// Defines a function that starts a program, and returns the number of its error.
macro_rules! spawning {
    ($($name:ident),*) => {
        $(
            /// Starts another program.
            ///
            /// # Safety
            /// As for libc's function.
            unsafe extern "C" fn $name(
                process: *mut pid_t,
                path: *const c_char,
                actions: *const posix_spawn_file_actions_t,
                attributes: *const posix_spawnattr_t,
                arguments: *const *mut c_char,
                variables: *const *mut c_char,
            ) -> c_int {
                // SAFETY: libc's function has this type.
                let spawn = unsafe { std::mem::transmute::<*mut c_void, Spawn>(libc_functions::$name.find()) };
                // SAFETY: by the caller's contract.
                let error = unsafe { spawn(process, path, actions, attributes, arguments, variables) };
                denials::failed(error, || Some(Attempt::Execute));
                error
            }
        )*
    };
}

spawning! { posix_spawn, posix_spawnp }

/// `getaddrinfo`, whose own sockets are not seen.
///
/// # Safety
/// As for libc's function.
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    result: *mut *mut addrinfo,
) -> c_int {
    type Function =
        unsafe extern "C" fn(*const c_char, *const c_char, *const addrinfo, *mut *mut addrinfo) -> c_int;
    // SAFETY: libc's function has this type.
    let look_up = unsafe { std::mem::transmute::<*mut c_void, Function>(libc_functions::getaddrinfo.find()) };
    // SAFETY: by the caller's contract.
    let error = unsafe { look_up(node, service, hints, result) };
    if error == libc::EAI_AGAIN || error == libc::EAI_SYSTEM {
        let number = last_error();
        // Without a socket, no server is reached, and that is all that is reported.
        denials::failed(libc::EPERM, || Some(Attempt::Resolve));
        // SAFETY: it is this thread's.
        unsafe { *libc::__errno_location() = number };
    }
    error
}
