//! From a record to what people read: names instead of numbers.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use addr2line::Loader;

use super::parse::{Image, Record};
use crate::abi::panic_report::{Frame, push_frames};
use crate::observe::entries::{FaultEntry, FaultRequest, FrameEntry};
use crate::observe::exit_status::signal_name;

/// How far from the stack pointer the address is that an overflow of the stack touches, at most, in bytes.
const BEYOND_STACK: usize = 64 << 10;

/// Addresses below this are those of fields of what a null pointer leads to.
const NULL: usize = 4096;

/// Reads a record. The library that caused the fault may be at `library`, if no longer where it was. `None`: nothing is
/// recorded there.
pub(crate) fn read(record: &[u8], library: &Path) -> Option<FaultEntry> {
    let head = read_head(record)?;
    Some(FaultEntry { backtrace: read_backtrace(record, library), ..head })
}

/// As [`read`], without the backtrace, which takes long.
pub(crate) fn read_head(record: &[u8]) -> Option<FaultEntry> {
    let record = Record::parse(record)?;
    let is_fault = record.code > 0;
    let requests = record.requests.iter().map(|request| FaultRequest {
        worker: request.worker,
        request_id: request.id.clone(),
        request: request.line.clone(),
    });
    let mut candidates: Vec<_> = requests.collect();
    let request = record.is_running.then(|| candidates.pop()).flatten();
    Some(FaultEntry {
        at_ms: record.at_ms,
        process: record.process,
        signal: signal_name(record.signal).map_or_else(|| format!("signal {}", record.signal), str::to_owned),
        cause: cause(&record).to_owned(),
        address: is_fault.then(|| format!("{:#x}", record.address)),
        request,
        candidates,
        backtrace: Vec::new(),
        app: record.app,
        generation: record.generation,
        worker: record.worker,
        thread: record.thread,
        library: record.library,
        own_process: false,
        resolved: false,
    })
}

fn cause(record: &Record) -> &'static str {
    match record.signal {
        libc::SIGABRT => "abort",
        _ if record.code <= 0 => "raised by the code itself",
        libc::SIGSEGV | libc::SIGBUS if is_overflow(record) => "stack overflow",
        libc::SIGSEGV if record.address < NULL => "null pointer dereference",
        libc::SIGSEGV => "invalid memory access",
        libc::SIGBUS => "access beyond the end of a mapped file, or to damaged memory",
        libc::SIGILL => "illegal instruction",
        libc::SIGFPE => "arithmetic trap, such as a division by zero",
        libc::SIGTRAP => "breakpoint",
        libc::SIGSYS => "forbidden system call",
        _ => "fault",
    }
}

/// Whether the stack has come to its end: what was touched is next to the stack pointer, and a guard page or nothing.
fn is_overflow(record: &Record) -> bool {
    record.stack != 0
        && record.address.abs_diff(record.stack) <= BEYOND_STACK
        && record.image(record.address).is_none_or(|image| image.is_guard)
}

/// The files of libraries, opened once each.
struct Files<'l> {
    library: &'l Path,
    opened: HashMap<(PathBuf, u64), Option<Loader>>,
}

impl Files<'_> {
    /// The very file that was mapped, if it is still there.
    fn open(&mut self, path: &Path, inode: u64) -> Option<&Loader> {
        let library = self.library;
        let opened = self.opened.entry((path.to_owned(), inode)).or_insert_with(|| {
            let is_it = |file: &&Path| file.metadata().is_ok_and(|metadata| metadata.ino() == inode);
            [path, library].into_iter().find(is_it).and_then(|file| Loader::new(file).ok())
        });
        opened.as_ref()
    }
}

/// The functions in the backtrace of a record. The library that caused the fault may be at `library`, if no longer where it was.
pub(crate) fn read_backtrace(record: &[u8], library: &Path) -> Vec<FrameEntry> {
    Record::parse(record).map_or_else(Vec::new, |record| backtrace(&record, library))
}

fn backtrace(record: &Record, library: &Path) -> Vec<FrameEntry> {
    let mut files = Files { library, opened: HashMap::new() };
    let host = std::env::current_exe().ok().and_then(|host| Some(host.metadata().ok()?.ino()));
    let mut all: Vec<Frame> = Vec::new();
    for (index, &address) in record.frames.iter().enumerate() {
        // A return address is behind its call; one byte before it is inside.
        let inside = if index == 0 { address } else { address.saturating_sub(1) };
        let mut frames = Vec::new();
        let found = record.image(inside).and_then(|image| Some((image, image.path.as_deref()?)));
        if let Some((image, path)) = found
            // To read the debug information of the host may take seconds, and tells nothing about an app.
            && Some(image.inode) != host
            && let Some(symbols) = files.open(path, image.inode)
        {
            push_frames(symbols, (inside - record.base(image)) as u64, &mut frames);
        }
        let is_end = frames.iter().position(Frame::is_boundary);
        frames.truncate(is_end.unwrap_or(frames.len()));
        if frames.is_empty() && is_end.is_none() {
            frames.push(Frame::unknown(place(record, found, address)));
        }
        all.extend(frames);
        if is_end.is_some() {
            while all.last().is_some_and(Frame::is_machinery) {
                all.pop();
            }
            break;
        }
    }
    without_repeats(all.into_iter().map(Frame::into_entry).collect())
}

/// What can be said of an address without symbols.
fn place(record: &Record, found: Option<(&Image, &Path)>, address: usize) -> String {
    let Some((image, path)) = found else { return format!("{address:#x}") };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(" (deleted)").unwrap_or(&name);
    format!("{name}+{:#x}", address.saturating_sub(record.base(image)))
}

/// Replaces the repeated calls of a function to itself by their number.
fn without_repeats(entries: Vec<FrameEntry>) -> Vec<FrameEntry> {
    let mut kept: Vec<FrameEntry> = Vec::new();
    for group in entries.chunk_by(|one, next| one.function == next.function) {
        kept.push(group[0].clone());
        match group.len() - 1 {
            0 => {}
            1 => kept.push(group[1].clone()),
            more => {
                kept.push(FrameEntry { function: format!("({more} more calls of itself)"), location: None })
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_gone_leaves_an_offset() {
        let record = b"atoll fault 1\nsignal 11 1 10\nregisters 1000 7f0000\nthread t\nmaps\n\
            1000-3000 r-xp 00000000 08:01 4242424242 /gone/libbad.so (deleted)\n\nframe 1010\nframe 99\nend\n";
        let entry = read(record, Path::new("/gone/library.so")).unwrap();
        let functions: Vec<_> = entry.backtrace.iter().map(|frame| &*frame.function).collect();
        assert_eq!(functions, ["libbad.so+0x10", "0x99"]);
        assert_eq!((&*entry.signal, &*entry.cause), ("SIGSEGV", "null pointer dereference"));
        assert_eq!(entry.address.as_deref(), Some("0x10"));
    }

    #[test]
    fn an_overflow_is_next_to_the_stack_and_in_its_guard() {
        let record = |address: &str, rights: &str| {
            let text = format!(
                "atoll fault 1\nsignal 11 2 {address}\nregisters 1000 7f0100\nmaps\n\
                7e0000-7f0000 {rights} 00000000 00:00 0 \n\nend\n"
            );
            read(text.as_bytes(), Path::new("/")).unwrap().cause
        };
        assert_eq!(record("7efff8", "---p"), "stack overflow");
        assert_eq!(record("7efff8", "r--p"), "invalid memory access");
        assert_eq!(record("7a0000", "---p"), "invalid memory access");
    }

    #[test]
    fn a_recursion_is_counted() {
        let frame = |name: &str| FrameEntry { function: name.to_owned(), location: None };
        let entries: Vec<_> = ["a", "f", "f", "f", "f", "b", "b"].map(frame).into();
        let kept: Vec<_> = without_repeats(entries).into_iter().map(|frame| frame.function).collect();
        assert_eq!(kept, ["a", "f", "(3 more calls of itself)", "b", "b"]);
    }
}
