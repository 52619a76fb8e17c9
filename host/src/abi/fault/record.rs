//! The record, as a signal's handler writes it: lines of words, the important ones first, as what follows may fail.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

use super::alternate_stack;
use super::sink;
use super::text::Text;
use super::unwind;
use crate::abi::current;
use crate::abi::library_context::LibraryContext;
use crate::abi::panic_report::queue;
use crate::abi::signals::ending;

/// How a record begins: what it is, and the version of its format.
pub(super) const FIRST_LINE: &str = "atoll fault 1";

/// How it ends.
pub(super) const LAST_LINE: &str = "end";

/// How many requests it has at most.
pub(crate) const REQUESTS: usize = 64;

/// How many bytes of a request's id it has.
const ID: usize = 128;

/// How many bytes of the list of mappings it has.
pub(crate) const MAPS: usize = 4 << 20;

/// How long the record may take, in seconds. Then the process ends as it would have, with what is written.
const LIMIT: u32 = 5;

/// How long another thread that faults at the same time waits for the record, in steps of a millisecond.
const STEPS: usize = 2 * LIMIT as usize * 1000;

const NOTHING: u8 = 0;
const WRITING: u8 = 1;
const DONE: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(NOTHING);

/// The kernel's number of the thread that writes, or has written, the record.
static WRITER: AtomicI32 = AtomicI32::new(0);

/// Records a signal that ends the process, unless that is done already; comes back when it is.
///
/// Takes no lock and does not allocate.
pub(in crate::abi) fn write(signal: c_int, info: &libc::siginfo_t, context: *mut c_void) {
    let Some(files) = sink::files() else { return };
    // SAFETY: no preconditions.
    let thread = unsafe { libc::gettid() };
    if STATE.compare_exchange(NOTHING, WRITING, Ordering::SeqCst, Ordering::SeqCst).is_err() {
        // Not for itself: what it writes may fault.
        if WRITER.load(Ordering::SeqCst) != thread {
            wait_until(|| STATE.load(Ordering::SeqCst) == DONE);
        }
        return;
    }
    WRITER.store(thread, Ordering::SeqCst);
    ending::within(LIMIT, signal, || {
        let mut text = Text::new(files);
        let registers = Registers::interrupted(context);
        head(&mut text, signal, info, &registers);
        match current::with(|context| of_generation(&mut text, context)) {
            Some(()) => {}
            None => text.flush(),
        }
        mappings(&mut text, sink::maps(), MAPS);
        frames(&mut text, &registers);
        text.line(format_args!("{LAST_LINE}"));
        text.flush();
    });
    STATE.store(DONE, Ordering::SeqCst);
    // What was reported before is written by another thread.
    wait_until(queue::is_done);
}

fn wait_until(is_over: impl Fn() -> bool) {
    for _ in 0..STEPS {
        if is_over() {
            return;
        }
        let step = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        // SAFETY: the time lives through the call.
        unsafe { libc::nanosleep(&step, std::ptr::null_mut()) };
    }
}

/// What was interrupted.
struct Registers {
    instruction: usize,
    stack: usize,
    /// Where a function returns to that has just been called.
    caller: Option<usize>,
}

impl Registers {
    fn interrupted(context: *mut c_void) -> Self {
        // SAFETY: the kernel gives the context of what was interrupted.
        let context = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
        #[cfg(target_arch = "x86_64")]
        {
            let stack = context.gregs[libc::REG_RSP as usize] as usize;
            let instruction = context.gregs[libc::REG_RIP as usize] as usize;
            Self { instruction, stack, caller: read_word(stack) }
        }
        #[cfg(target_arch = "aarch64")]
        {
            let caller = Some(context.regs[30] as usize);
            Self { instruction: context.pc as usize, stack: context.sp as usize, caller }
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            let _ = context;
            Self { instruction: 0, stack: 0, caller: None }
        }
    }
}

/// What is at an address; `None`: nothing can be read there.
#[cfg(target_arch = "x86_64")]
fn read_word(address: usize) -> Option<usize> {
    let mut word = 0_usize;
    let to = libc::iovec { iov_base: (&raw mut word).cast(), iov_len: size_of::<usize>() };
    let from =
        libc::iovec { iov_base: std::ptr::without_provenance_mut(address), iov_len: size_of::<usize>() };
    // SAFETY: the kernel reads this process's own memory, and fails where there is none; there is room for the word.
    let read = unsafe { libc::process_vm_readv(libc::getpid(), &to, 1, &from, 1, 0) };
    (read == size_of::<usize>() as isize).then_some(word)
}

fn head(text: &mut Text, signal: c_int, info: &libc::siginfo_t, registers: &Registers) {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut now) };
    let mut name = [0_u8; 16];
    // SAFETY: there is room for the name, which has at most 16 bytes.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    text.line(format_args!("{FIRST_LINE}"));
    text.line(format_args!("at {}", now.tv_sec * 1000 + now.tv_nsec / 1_000_000));
    text.line(format_args!("process {}", std::process::id()));
    // SAFETY: signals of the kernel's have an address; of others it is not used.
    let address = unsafe { info.si_addr() } as usize;
    text.line(format_args!("signal {signal} {} {address:x}", info.si_code));
    text.line(format_args!("registers {:x} {:x}", registers.instruction, registers.stack));
    text.bytes(b"thread ");
    text.word(&name[..length], name.len());
    text.bytes(b"\n");
}

fn of_generation(text: &mut Text, context: &LibraryContext) {
    text.bytes(b"app ");
    text.word(context.app().as_bytes(), context.app().len());
    text.bytes(b"\n");
    text.line(format_args!("generation {}", context.generation()));
    if let Some(library) = context.library() {
        text.line(format_args!("library {}", library.hash()));
    }
    let worker = current::worker();
    if let Some(worker) = worker {
        text.line(format_args!("worker {worker}"));
    }
    requests(text, context, worker);
    text.flush();
    if let Some(library) = context.library() {
        for folder in sink::folders() {
            // SAFETY: both names are C strings.
            unsafe {
                let (name, here) = (sink::LIBRARY.as_ptr(), libc::AT_FDCWD);
                libc::unlinkat(folder, name, 0);
                libc::linkat(here, library.path().as_ptr(), folder, name, 0);
            }
        }
    }
}

/// The request that the worker ran; where that is not known, all that the workers have.
fn requests(text: &mut Text, context: &LibraryContext, worker: Option<usize>) {
    let running = worker.and_then(|worker| context.ports().get(worker)?.running());
    if let Some(id) = running {
        text.line(format_args!("running {id}"));
    }
    let mut written = 0;
    for (number, port) in context.ports().iter().enumerate() {
        if worker.is_some_and(|worker| worker != number) {
            continue;
        }
        let were_read = port.requests_at_fault(|request| {
            if running.is_some_and(|running| running != request.id) || written == REQUESTS {
                return;
            }
            written += 1;
            let _ = fmt_request(text, number, request.id);
            text.word(request.request_id.as_bytes(), ID);
            text.bytes(b" ");
            text.word(request.line.as_bytes(), request.line.len());
            text.bytes(b"\n");
        });
        if !were_read {
            text.line(format_args!("unread {number}"));
        }
    }
}

fn fmt_request(text: &mut Text, worker: usize, id: u64) -> std::fmt::Result {
    std::fmt::Write::write_fmt(text, format_args!("request {worker} {id} "))
}

/// The mappings as the kernel lists them in an open file, up to a number of bytes, and an empty line.
fn mappings(text: &mut Text, file: c_int, limit: usize) {
    text.line(format_args!("maps"));
    // SAFETY: the descriptor is open, or negative.
    unsafe { libc::lseek(file, 0, libc::SEEK_SET) };
    let (mut buffer, mut left) = ([0_u8; 512], limit);
    while left > 0 {
        let wanted = left.min(buffer.len());
        // SAFETY: there is room for so many bytes.
        let read = unsafe { libc::read(file, buffer.as_mut_ptr().cast(), wanted) };
        let Some(read) = usize::try_from(read).ok().filter(|read| *read > 0) else { break };
        text.bytes(&buffer[..read]);
        left -= read;
    }
    text.bytes(b"\n");
    text.flush();
}

fn frames(text: &mut Text, registers: &Registers) {
    let mut frame = |address: usize| {
        text.line(format_args!("frame {address:x}"));
        // The next step may be the last one: a damaged stack can lead anywhere.
        text.flush();
    };
    let mut seen = 0;
    if alternate_stack::has_room_to_unwind() {
        unwind::interrupted(registers.instruction, |address| {
            seen += 1;
            frame(address);
        });
    }
    if seen == 0 {
        frame(registers.instruction);
    }
    // Nothing is known of what was called: a null pointer, or what is no code.
    if seen <= 1
        && let Some(caller) = registers.caller
    {
        frame(caller);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn the_list_of_mappings_is_cut_at_its_limit() {
        let (mut from, mut to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let list = "1000-2000 r-xp 00000000 08:01 42 /srv/a.so\n".repeat(40);
        from.write_all(list.as_bytes()).unwrap();
        for limit in [1, 511, 512, 513, list.len(), list.len() + 1000] {
            to.set_len(0).unwrap();
            to.rewind().unwrap();
            let mut files = [-1; sink::SINKS];
            files[0] = to.as_raw_fd();
            mappings(&mut Text::new(files), from.as_raw_fd(), limit);
            let mut written = String::new();
            to.rewind().unwrap();
            to.read_to_string(&mut written).unwrap();
            assert_eq!(written, format!("maps\n{}\n", &list[..limit.min(list.len())]));
        }
    }
}
