//! Everything that crosses between the host and an app: plain data and C functions.
//!
//! This is the only file with types that both sides hold. Each derives [`StableAbi`], so that the host can
//! compare its own idea of them with the one that a library was built with before it runs a line of it.
//!
//! Two rules keep it sound. Every object that is shared belongs to the host: an app holds opaque handles and
//! gives them back through the [`Host`] table, so a host thread never runs or drops anything of the app's.
//! And no panic crosses: all functions here are `extern "C"`, and each implementation catches panics.

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::RStr;

/// The version of this interface. A host only loads libraries with the same version; it is part of the
/// [stamp](crate::stamp).
pub const API_VERSION: u32 = 1;

/// The name under which a library exports its root module.
pub const ROOT_SYMBOL: &str = "ATOLL_APP";

/// One loaded generation in the host: its heap and its name in the log.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerationHandle(pub *const u8);

/// The host's end of one port, counted: [`Host::port_retain`] and [`Host::port_release`].
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortHandle(pub *const u8);

/// Bytes with one owner, which move between host and app without a copy.
///
/// The owner of a buffer may read its bytes, pass it on, or drop it; dropping calls `release`, which is always the
/// host's code, so a buffer may outlive the library that filled it.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct Buffer {
    pub(crate) data: *mut u8,
    pub(crate) len: usize,
    pub(crate) capacity: usize,
    pub(crate) owner: *const u8,
    /// `None`: there is nothing to release.
    pub(crate) release: Option<unsafe extern "C" fn(*const u8, *mut u8, usize, usize)>,
}

/// Takes a [`Buffer`]'s bytes back: its owner, place, length and capacity. Always the host's code.
pub type ReleaseBuffer = unsafe extern "C" fn(*const u8, *mut u8, usize, usize);

/// Takes the memory of a [`Buffers`] list back, when its buffers are gone. Always the host's code.
pub type ReleaseBuffers = unsafe extern "C" fn(*const u8, *mut Buffer, usize, usize);

/// A list of [`Buffer`]s with one owner.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct Buffers {
    pub(crate) data: *mut Buffer,
    pub(crate) len: usize,
    pub(crate) capacity: usize,
    pub(crate) owner: *const u8,
    /// `None`: there is nothing to release.
    pub(crate) release: Option<unsafe extern "C" fn(*const u8, *mut Buffer, usize, usize)>,
}

/// What a port carries: the text of one JSON-RPC 2.0 message, and the buffers that move along with it.
#[repr(C)]
#[derive(StableAbi, Debug, Default)]
pub struct Message {
    /// JSON-RPC 2.0 text in UTF-8.
    pub json: Buffer,
    /// Where in the text is what: see [`IndexedText::index`](crate::IndexedText::index). Empty: the text is to be read without.
    pub index: Buffer,
    /// The buffers that the text refers to as `{"transfer": index}`.
    pub transfer: Buffers,
}

/// What [`Host::port_receive`] brought.
#[repr(u8)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message was written to the place given.
    Message,
    /// [`Host::port_wake`] was called.
    Woken,
    /// The time given has passed.
    TimedOut,
    /// The host has closed the port: nothing more will come.
    Closed,
}

/// How an app's `main` ended.
#[repr(u8)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It received `stop`, or its port was closed, and it has finished its work.
    Stopped,
    /// It returned unexpectedly.
    Returned,
    /// It panicked.
    Panicked,
}

/// One log record of an app, borrowed for the call.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default)]
pub struct LogRecord<'a> {
    /// 1 (error) to 5 (trace), as in `log::Level`.
    pub level: u8,
    /// The line in `file`, or 0.
    pub line: u32,
    /// Usually the module's path.
    pub target: RStr<'a>,
    /// The source file, or empty.
    pub file: RStr<'a>,
    /// The formatted text.
    pub message: RStr<'a>,
    /// Its fields as the text of a JSON object, or empty.
    pub fields: RStr<'a>,
    /// The spans that it was written in, as the text of a JSON array of objects, the outermost first, or empty. Each has
    /// its `name`, and its fields.
    pub spans: RStr<'a>,
}

/// A panic in an app, borrowed for the call.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct PanicReport<'a> {
    /// The panic's text.
    pub message: RStr<'a>,
    /// The source file, or empty.
    pub file: RStr<'a>,
    /// The line in `file`, or 0.
    pub line: u32,
    /// The column in `line`, or 0.
    pub column: u32,
    /// `frame_count` instruction pointers of the panicking stack, the innermost first.
    pub frames: *const usize,
    /// How many there are at `frames`.
    pub frame_count: usize,
}

/// What happens to one of an app's own threads.
#[repr(u8)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadEvent {
    /// It is about to be made; called by the thread that makes it.
    Starting,
    /// It could not be made; called by the thread that tried.
    Failed,
    /// It runs; called by the new thread, before the app's code.
    Started,
    /// Its function has returned; called by itself. Destructors of thread-locals may still run.
    Ending,
}

/// The host's functions, as an app sees them.
///
/// A prefix type: a later version may add fields at the end, and older libraries keep working.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostRef)))]
#[sabi(missing_field(panic))]
pub struct Host {
    /// Allocates `size` bytes at `align` from the generation's heap; null when there is no memory.
    pub heap_alloc: unsafe extern "C" fn(GenerationHandle, size: usize, align: usize) -> *mut u8,
    /// As `heap_alloc`, filled with zeros.
    pub heap_alloc_zeroed: unsafe extern "C" fn(GenerationHandle, size: usize, align: usize) -> *mut u8,
    /// Grows or shrinks a block; null, and the block as it was, when there is no memory.
    pub heap_realloc: unsafe extern "C" fn(
        GenerationHandle,
        block: *mut u8,
        size: usize,
        align: usize,
        new: usize,
    ) -> *mut u8,
    /// Gives a block back, of the generation's heap or of the system's allocator.
    pub heap_free: unsafe extern "C" fn(GenerationHandle, block: *mut u8, size: usize),
    /// Makes a buffer of a block that `heap_alloc` gave at alignment 1, without a copy.
    pub buffer_adopt:
        unsafe extern "C" fn(GenerationHandle, data: *mut u8, len: usize, capacity: usize) -> Buffer,
    /// Makes a buffer of a copy of `len` bytes.
    pub buffer_copy: unsafe extern "C" fn(data: *const u8, len: usize) -> Buffer,
    /// Makes a list of `len` buffers, which are moved out of `data`.
    pub buffers_move: unsafe extern "C" fn(data: *mut Buffer, len: usize) -> Buffers,
    /// Whether a record of this level (1 to 5) and target would be written.
    pub log_enabled: unsafe extern "C" fn(GenerationHandle, level: u8, target: RStr<'_>) -> bool,
    /// Writes a record to the host's log.
    pub log_write: unsafe extern "C" fn(GenerationHandle, record: &LogRecord<'_>),
    /// Reports a panic; the host resolves its frames and logs it.
    pub panic_report: unsafe extern "C" fn(GenerationHandle, report: &PanicReport<'_>),
    /// Notes a change to one of the app's own threads.
    pub thread_event: unsafe extern "C" fn(GenerationHandle, event: ThreadEvent),
    /// The address of a function that calls a thread's start routine in a frame of the host's, from which the thread ends if
    /// it [leaves](Self::thread_leave) its code: an `unsafe extern "C-unwind" fn(StartRoutine, *mut c_void) -> *mut c_void`,
    /// a type that cannot be a field here.
    pub thread_frame: extern "C" fn() -> usize,
    /// Has the calling thread return to that frame, without unwinding; comes back where there is none.
    pub thread_leave: extern "C" fn(),
    /// The stack, in bytes, of a thread of the app's that asks for no size. Also called in a forked child.
    pub thread_stack: unsafe extern "C" fn(GenerationHandle) -> usize,
    /// Notes that the app has made a pthread key (`true`) or deleted one.
    pub key_event: unsafe extern "C" fn(GenerationHandle, key: u32, created: bool),
    /// Notes that the app has made a file descriptor (`true`), or is about to close it or has given it to libc. Also
    /// called in a forked child: it takes no lock and does not allocate.
    pub descriptor_event: unsafe extern "C" fn(GenerationHandle, descriptor: i32, made: bool),
    /// Notes that the calling thread of the app's has called `function`, which would end the process, such as `abort` or
    /// `exit`: it is the end of the generation. The thread is not to return to the code that did.
    pub aborted: unsafe extern "C" fn(GenerationHandle, function: RStr<'_>),
    /// libc's `sigaction`, for this generation: what it sets is called for it alone, until it is unloaded. `new` and `old`
    /// are null or point to a `struct sigaction`. Also called in a forked child, and in a handler.
    pub signal_action:
        unsafe extern "C" fn(GenerationHandle, signal: i32, new: *const u8, old: *mut u8) -> i32,
    /// Waits for the next thing on the port, at most `timeout_ns` nanoseconds (`u64::MAX`: for ever).
    pub port_receive: unsafe extern "C" fn(PortHandle, timeout_ns: u64, message: &mut Message) -> Received,
    /// Sends a message to the host, which takes it over. `false`: the port is closed.
    pub port_send: unsafe extern "C" fn(PortHandle, message: Message) -> bool,
    /// Makes the port's `port_receive` return [`Received::Woken`], now or when it is next called.
    pub port_wake: unsafe extern "C" fn(PortHandle),
    /// The port's doorbell, an eventfd of the host's that lives as long as the port: it becomes readable when something
    /// has come since [`Host::port_sleep`] said yes. Negative when there is none.
    pub port_doorbell: unsafe extern "C" fn(PortHandle) -> i32,
    /// Announces that the worker will wait for the doorbell. `false`: a message is available already.
    pub port_sleep: unsafe extern "C" fn(PortHandle) -> bool,
    /// Where the worker notes the number of the request whose code it runs now, or 0: an atomic of the host's, which lives
    /// as long as the port. The host reads it when the worker crashes.
    pub port_running: unsafe extern "C" fn(PortHandle) -> *mut u64,
    /// Counts one more holder of the port.
    pub port_retain: unsafe extern "C" fn(PortHandle),
    /// Counts one holder of the port less.
    #[sabi(last_prefix_field)]
    pub port_release: unsafe extern "C" fn(PortHandle),
}

/// What a library exports: the functions that the host calls, each on a thread made for this generation.
///
/// A prefix type: a later version may add fields at the end.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRef)))]
#[sabi(missing_field(panic))]
pub struct Plugin {
    /// Called once, before anything else: installs the heap, the logger and the panic hook.
    /// `max_level` is the host's maximum log level, 0 (off) to 5 (trace).
    pub bind: unsafe extern "C" fn(HostRef, GenerationHandle, max_level: u8),
    /// Runs one worker on the calling thread, until it receives `stop` or its port is closed.
    /// It takes ownership of one reference to the port.
    pub main: unsafe extern "C" fn(PortHandle) -> Exit,
    /// Called when all workers and threads of the library have ended, before it is closed: takes back what it has
    /// registered for the process, and would be called by. May be called again.
    #[sabi(last_prefix_field)]
    pub unbind: unsafe extern "C" fn(),
}

impl RootModule for PluginRef {
    abi_stable::declare_root_module_statics! {PluginRef}
    const BASE_NAME: &'static str = "atoll_app";
    const NAME: &'static str = "atoll_app";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

// SAFETY: a handle is a name for an object of the host's that may be used from any thread; the host keeps that.
unsafe impl Send for GenerationHandle {}
// SAFETY: as for `Send`.
unsafe impl Sync for GenerationHandle {}
// SAFETY: as for `GenerationHandle`.
unsafe impl Send for PortHandle {}
// SAFETY: as for `GenerationHandle`.
unsafe impl Sync for PortHandle {}
