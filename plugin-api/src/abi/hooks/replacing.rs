//! Functions that replace the process with another program, or leave it to a child: the end of the generation, as
//! `exit`.

use super::behind::behind_program;
use super::ending::stop_thread;
use super::environment;
use super::types::*;

/// Gives a macro these functions.
#[doc(hidden)]
#[macro_export]
macro_rules! __replacing_functions {
    ($($macro:tt)*) => {
        $($macro)*! {
            fn daemon(stays: c_int, keeps_open: c_int) -> c_int;
            fn execve(
                path: *const c_char,
                arguments: *const *const c_char,
                environment: *const *const c_char,
            ) -> c_int;
            fn execvpe(
                file: *const c_char,
                arguments: *const *const c_char,
                environment: *const *const c_char,
            ) -> c_int;
            fn fexecve(
                file: c_int,
                arguments: *const *const c_char,
                environment: *const *const c_char,
            ) -> c_int;
        }
    };
}

/// Defines such functions.
macro_rules! ending {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> c_int;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`, in a forked child; the end of the generation otherwise.")]
            ///
            /// # Safety
            /// As for libc's function.
            pub unsafe fn $name($($argument: $type),*) -> c_int {
                stop_thread(stringify!($name));
                // SAFETY: by the caller's contract.
                unsafe { real::$name($($argument),*) }
            }
        )*
    };
}

__replacing_functions! { behind_program }
__replacing_functions! { ending }

/// `execv`, with the variables of the library.
///
/// # Safety
/// As for libc's function.
pub unsafe fn execv(path: *const c_char, arguments: *const *const c_char) -> c_int {
    stop_thread("execv");
    // SAFETY: by the caller's contract.
    unsafe { real::execve(path, arguments, environment::current().cast()) }
}

/// `execvp`, with the variables of the library.
///
/// # Safety
/// As for libc's function.
pub unsafe fn execvp(file: *const c_char, arguments: *const *const c_char) -> c_int {
    stop_thread("execvp");
    // SAFETY: by the caller's contract.
    unsafe { real::execvpe(file, arguments, environment::current().cast()) }
}
