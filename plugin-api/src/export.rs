//! From an app's function to a loadable library.

use abi_stable::library::{CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::prefix_type::WithMetadata;

use crate::abi::link::{self, Link};
use crate::abi::panic::{catch, install_hook};
use crate::abi::port::Port;
use crate::abi::{Exit, GenerationHandle, HostRef, Plugin, PluginRef, PortHandle, hooks, logging};
use crate::protocol::Start;
use crate::worker::app::{App, work};

/// What [`export_app!`](crate::export_app) implements for the library that it is used in.
#[doc(hidden)]
pub trait Export {
    /// Whether the library allocates from the host's heap.
    const HOST_HEAP: bool;
    fn app(start: &Start) -> Box<dyn App>;
    /// The library's `environ`.
    fn environ() -> *mut hooks::types::Environment;
}

/// The library's header, which the host finds by [`ROOT_SYMBOL`](crate::abi::ROOT_SYMBOL).
#[doc(hidden)]
pub const fn header<E: Export + 'static>() -> LibHeader {
    // SAFETY: `root` returns a `PluginRef`, as the type parameter says.
    unsafe { LibHeader::from_constructor::<PluginRef>(root::<E>, CheckTypeLayout::Yes) }
}

/// The root module, in the library's constants: there is nothing to free when it is unloaded.
struct Root<E>(std::marker::PhantomData<E>);

impl<E: Export + 'static> Root<E> {
    const PLUGIN: &'static WithMetadata<Plugin> =
        &WithMetadata::new(Plugin { bind: bind::<E>, main: main::<E>, unbind });
}

extern "C" fn root<E: Export + 'static>() -> RootModuleResult {
    abi_stable::library::__call_root_module_loader(|| PluginRef(Root::<E>::PLUGIN.static_as_prefix()))
}

unsafe extern "C" fn bind<E: Export>(host: HostRef, generation: GenerationHandle, max_level: u8) {
    let bound = catch(|| {
        if link::set(Link { host, generation, host_heap: E::HOST_HEAP, is_test: false }) {
            hooks::find_libc_functions();
            hooks::report_early_keys();
            logging::set_max_level(max_level);
            install_hook();
        }
    });
    // Nothing above panics, and nothing could be done about it here: the library fails at its first use then.
    drop(bound);
}

unsafe extern "C" fn main<E: Export>(port: PortHandle) -> Exit {
    // SAFETY: the host gives one count of the port away with this call, after `bind`.
    let port = unsafe { Port::from_handle(port) };
    #[cfg(feature = "tracing")]
    crate::abi::tracing::follow_thread();
    let exit = work(port, |start| {
        let variables = start.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        hooks::environment::set(E::environ(), variables);
        if !start.own_logger {
            logging::install();
        }
        E::app(start)
    });
    hooks::streams::flush_all();
    exit
}

unsafe extern "C" fn unbind() {
    // What does not work here is left registered, as it would be without.
    drop(catch(hooks::registrations::take_back));
}

/// Makes the crate's library an Atoll app.
///
/// Takes the name of a function that returns an [`Application`](crate::Application), or a `Result` of one; it is called
/// once on each worker, when it starts. With the feature `tower` the function may return a `tower` service instead, such as an
/// `axum::Router`, and may be `async`. It has no parameters, or one: the [`Start`], with the app's settings. Use the
/// macro once in a crate, whose library is built with `crate-type = ["cdylib"]`.
///
/// ```
/// use atoll_plugin::prelude::*;
///
/// fn app() -> Application {
///     Application::new().get("/", |_: Request| "hello")
/// }
/// atoll_plugin::export_app!(app);
/// # fn main() {}
/// ```
///
/// ```
/// use atoll_plugin::prelude::*;
///
/// fn app(start: Start) -> Result<Application, Error> {
///     let greeting = start.var("GREETING").ok_or_else(|| Error::internal("GREETING is not set"))?;
///     Ok(Application::new().get("/", move |_: Request| greeting.clone()))
/// }
/// atoll_plugin::export_app!(app);
/// # fn main() {}
/// ```
///
/// A function of the [`Start`] and the [`Port`] is the worker's `main`: it has exclusive use of the port, and is called
/// when the worker has reported that it is ready. It serves until it receives `stop` or the port is closed:
///
/// ```
/// use atoll_plugin::abi::Exit;
/// use atoll_plugin::prelude::*;
/// use atoll_plugin::protocol::{Response, method};
/// use atoll_plugin::{Call, Event, Port};
///
/// fn serve(start: Start, port: Port) -> Exit {
///     loop {
///         let message = match port.receive(None) {
///             Event::Message(message) => message,
///             Event::Woken | Event::TimedOut => continue,
///             Event::Closed => return Exit::Stopped,
///         };
///         let Ok(call) = Call::parse(message) else { continue };
///         match (call.method(), call.id()) {
///             (method::STOP, None) => return Exit::Stopped,
///             // Any method is answered with the worker's number.
///             (_, Some(id)) if port.send(&Response::result(id, start.worker), Vec::new()).is_err() => {
///                 return Exit::Stopped;
///             }
///             _ => {}
///         }
///     }
/// }
/// atoll_plugin::export_app!(serve);
/// # fn main() {}
/// ```
///
/// The library allocates from a private heap in the host, which is destroyed when the library is unloaded.
/// If your library has its own `#[global_allocator]`, declare it; its buffers are then copied at the port:
///
/// ```
/// # use atoll_plugin::prelude::*;
/// # fn app() -> Application { Application::new() }
/// #[global_allocator]
/// static ALLOCATOR: std::alloc::System = std::alloc::System;
/// atoll_plugin::export_app!(app, own_allocator);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_app {
    ($app:path) => {
        $crate::__export_app!($app, true);

        #[cfg(not(test))]
        #[global_allocator]
        static __ATOLL_HEAP: $crate::__private::HostAllocator = $crate::__private::HostAllocator;
    };
    ($app:path, own_allocator) => {
        $crate::__export_app!($app, false);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_app {
    ($app:path, $host_heap:literal) => {
        const _: () = {
            struct ThisLibrary;

            impl $crate::__private::Export for ThisLibrary {
                const HOST_HEAP: bool = $host_heap;
                fn app(start: &$crate::protocol::Start) -> ::std::boxed::Box<dyn $crate::App> {
                    #[allow(unused_imports, reason = "an app's type needs one of these traits")]
                    use $crate::__private::make::*;
                    (&&&&&&&&&&Make::new($app)).make(start)
                }

                fn environ() -> *mut $crate::__private::hooks::types::Environment {
                    #[cfg(not(test))]
                    return &raw mut __atoll_hooks::environ;
                    #[cfg(test)]
                    return ::std::ptr::null_mut();
                }
            }

            #[unsafe(no_mangle)]
            static ATOLL_APP: $crate::__private::LibHeader = $crate::__private::header::<ThisLibrary>();

            const STAMP: &str = $crate::__stamp!();

            #[unsafe(no_mangle)]
            #[unsafe(link_section = ".atoll.stamp")]
            static ATOLL_STAMP: [u8; STAMP.len()] = $crate::__private::bytes(STAMP);
        };

        // Apart from the app's function, which may be called as one of these.
        #[cfg(not(test))]
        mod __atoll_hooks {
            use $crate::__private::hooks::types::*;

            ::std::arch::global_asm!(".hidden environ");

            #[unsafe(no_mangle)]
            pub static mut environ: Environment = ::std::ptr::null_mut();

            /// Before the constructors of the standard library.
            #[used]
            #[unsafe(link_section = ".init_array.00098")]
            static BEGIN: unsafe extern "C" fn() = begin;

            unsafe extern "C" fn begin() {
                // SAFETY: the variable is the one above.
                unsafe { $crate::__private::hooks::environment::begin(&raw mut environ) }
            }

            $crate::__new_descriptor_functions! { $crate::__hooked }
            $crate::__replacing_functions! { $crate::__hooked }
            $crate::__signal_functions! { $crate::__hooked }
            $crate::__hooked! {
                fn __assert_fail(
                    assertion: *const c_char,
                    file: *const c_char,
                    line: c_uint,
                    function: *const c_char,
                ) -> !;
                fn _Exit(status: c_int) -> !;
                fn _exit(status: c_int) -> !;
                fn abort() -> !;
                fn clearenv() -> c_int;
                fn close(descriptor: c_int) -> c_int;
                fn execv(path: *const c_char, arguments: *const *const c_char) -> c_int;
                fn execvp(file: *const c_char, arguments: *const *const c_char) -> c_int;
                fn exit(status: c_int) -> !;
                fn fcntl(descriptor: c_int, command: c_int, argument: usize) -> c_int;
                fn fcntl64(descriptor: c_int, command: c_int, argument: usize) -> c_int;
                fn fdopen(descriptor: c_int, mode: *const c_char) -> *mut FILE;
                fn fdopendir(descriptor: c_int) -> *mut DIR;
                fn getenv(name: *const c_char) -> *mut c_char;
                fn isatty(descriptor: c_int) -> c_int;
                fn kill(process: c_int, signal: c_int) -> c_int;
                fn pipe(ends: *mut c_int) -> c_int;
                fn pipe2(ends: *mut c_int, flags: c_int) -> c_int;
                fn pthread_create(
                    thread: *mut pthread_t,
                    attributes: *const pthread_attr_t,
                    start: StartRoutine,
                    argument: *mut c_void,
                ) -> c_int;
                fn pthread_key_create(key: *mut u32, destructor: KeyDestructor) -> c_int;
                fn pthread_key_delete(key: u32) -> c_int;
                fn pthread_kill(thread: pthread_t, signal: c_int) -> c_int;
                fn putenv(text: *mut c_char) -> c_int;
                fn quick_exit(status: c_int) -> !;
                fn secure_getenv(name: *const c_char) -> *mut c_char;
                fn setenv(name: *const c_char, value: *const c_char, overwrites: c_int) -> c_int;
                fn sigaction(signal: c_int, new: *const SignalAction, old: *mut SignalAction) -> c_int;
                fn socketpair(domain: c_int, kind: c_int, protocol: c_int, ends: *mut c_int) -> c_int;
                fn timer_create(clock: c_int, event: *mut c_void, timer: *mut *mut c_void) -> c_int;
                fn timer_delete(timer: *mut c_void) -> c_int;
                fn unsetenv(name: *const c_char) -> c_int;
                fn write(descriptor: c_int, bytes: *const c_void, length: usize) -> isize;
                fn writev(descriptor: c_int, parts: *const iovec, count: c_int) -> isize;
            }
            $crate::__hooked_weakly! {
                CRYPTO_get_ex_new_index => $crate::__private::hooks::registrations::new_index,
                CRYPTO_free_ex_index => $crate::__private::hooks::registrations::free_index,
                __register_frame => $crate::__private::hooks::registrations::register_frame,
                __deregister_frame => $crate::__private::hooks::registrations::deregister_frame,
            }
        }
    };
}

/// Defines libc's functions in the library, to come to [`hooks`]. They are hidden: only the library itself is linked with
/// them, and no other library in the process can find them.
#[doc(hidden)]
#[macro_export]
macro_rules! __hooked {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty;)*) => {
        $(
            // What is not mangled is exported as well, but for this.
            ::std::arch::global_asm!(concat!(".hidden ", stringify!($name)));

            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $type),*) -> $result {
                // SAFETY: the caller keeps the contract of the function of this name.
                unsafe { $crate::__private::hooks::$name($($argument),*) }
            }
        )*
    };
}

/// Defines functions of other libraries, hidden as well, for those that are not linked statically: theirs come first.
#[doc(hidden)]
#[macro_export]
macro_rules! __hooked_weakly {
    ($($name:ident => $function:path,)*) => {
        $(
            ::std::arch::global_asm!(
                concat!(".pushsection .text.", stringify!($name), ",\"ax\",@progbits"),
                concat!(".weak ", stringify!($name)),
                concat!(".hidden ", stringify!($name)),
                concat!(".type ", stringify!($name), ",@function"),
                concat!(stringify!($name), ":"),
                $crate::__jump!(),
                concat!(".size ", stringify!($name), ", . - ", stringify!($name)),
                ".popsection",
                function = sym $function,
            );
        )*
    };
}

/// Assembly that jumps to `function`.
#[cfg(target_arch = "x86_64")]
#[doc(hidden)]
#[macro_export]
macro_rules! __jump {
    () => {
        "jmp {function}"
    };
}

/// Assembly that jumps to `function`.
#[cfg(target_arch = "aarch64")]
#[doc(hidden)]
#[macro_export]
macro_rules! __jump {
    () => {
        "b {function}"
    };
}

/// Assembly that jumps to `function`.
#[cfg(target_arch = "riscv64")]
#[doc(hidden)]
#[macro_export]
macro_rules! __jump {
    () => {
        "tail {function}"
    };
}

/// The stamp's text, put together at compile time from the constants of the crate that it is expanded in.
#[doc(hidden)]
#[macro_export]
macro_rules! __stamp {
    () => {
        $crate::__private::concatcp!(
            "{\"api\":",
            $crate::abi::API_VERSION,
            ",\"rustc\":\"",
            $crate::stamp::RUSTC,
            "\",\"target\":\"",
            $crate::stamp::TARGET,
            "\",\"panic\":\"",
            if cfg!(panic = "abort") { "abort" } else { "unwind" },
            "\",\"name\":\"",
            env!("CARGO_PKG_NAME"),
            "\",\"version\":\"",
            env!("CARGO_PKG_VERSION"),
            "\",",
            $crate::stamp::UNSEALED,
            "}"
        )
    };
}

/// A text's bytes as an array, for the stamp.
#[doc(hidden)]
pub const fn bytes<const N: usize>(text: &str) -> [u8; N] {
    match text.as_bytes().first_chunk() {
        Some(bytes) => *bytes,
        None => panic!("the array is as long as the text"),
    }
}
