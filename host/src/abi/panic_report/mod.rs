//! Panics of apps, in the host's log.
//!
//! An app sends addresses only. They are resolved here, in the host's copy of the symboliser: one in each app would
//! keep each library's debug information in memory. What has been read of a library is kept for its next panic, for the
//! few libraries that panicked last, and until they are unloaded. So many panics of an app are written in a second: a
//! client that has found a request that panics can fill neither the log nor the worker's time.

pub(crate) mod queue;
pub(super) mod symbols;

use std::ffi::{CStr, OsStr, c_void};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use addr2line::Loader;
use atoll_plugin::abi::{LogRecord, PanicReport};

use self::symbols::DebugInfo;
pub(crate) use self::symbols::{LIBRARIES, READS_PER_SECOND};
use crate::abi::reports::{Counted, Panic, Reports};
use crate::observe::app_log::AppLog;
use crate::observe::entries::{FrameEntry, PanicEntry};
use crate::observe::logging;

/// Reports an app's panic, whose stack had these addresses.
pub(crate) fn report(reports: &dyn Reports, report: &PanicReport<'_>, addresses: &[usize]) {
    // The first address is in the app's own panic hook. The host's frames tell nobody anything, and to read its debug
    // information may take seconds.
    let library = addresses.first().and_then(|&address| Image::find(address));
    let (places, file) = match library {
        Some(Image { base, file }) => {
            let is_inside = |address: &usize| Image::find(*address).is_some_and(|image| image.base == base);
            let place = |address: &usize| (address - base) as u64;
            (addresses.iter().filter(|address| is_inside(address)).map(place).collect(), file)
        }
        None => (Vec::new(), PathBuf::new()),
    };
    let panic = Panic {
        message: report.message.to_string(),
        file: report.file.to_string(),
        line: report.line,
        column: report.column,
        places,
    };
    reports.panicked(panic, &file);
}

/// Whether panics are logged with their backtraces: unless `RUST_BACKTRACE` is `0`.
pub(super) fn has_backtraces() -> bool {
    std::env::var_os("RUST_BACKTRACE").is_none_or(|value| value != "0")
}

/// Logs an app's panic, and keeps it in the app's log, with its backtrace if panics have one.
pub(super) fn write(
    app: &str,
    generation: u64,
    app_log: &AppLog,
    debug_info: &DebugInfo,
    panic: Panic,
    Counted { at_ms, only_counted }: Counted,
    library: &Path,
) {
    let location = format!("{}:{}:{}", panic.file, panic.line, panic.column);
    let backtrace =
        if has_backtraces() { app_frames(debug_info, library, &panic.places) } else { Vec::new() };
    let backtrace: Vec<FrameEntry> = backtrace.into_iter().map(Frame::into_entry).collect();
    let mut text = format!("panicked at {location}: {}", panic.message);
    if only_counted > 0 {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  ({only_counted} earlier panics counted but not logged)");
    }
    for frame in &backtrace {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  {}", frame.function);
        if let Some(location) = &frame.location {
            let _ = write!(text, "\n      at {location}");
        }
    }
    app_log.panicked(PanicEntry { at_ms, generation, message: panic.message, location, backtrace });
    logging::write(
        app,
        generation,
        app_log,
        &LogRecord {
            level: log::Level::Error as u8,
            line: panic.line,
            target: app.into(),
            file: panic.file.as_str().into(),
            message: text.as_str().into(),
            ..LogRecord::default()
        },
    );
}

pub(super) struct Frame {
    name: String,
    /// Known when the library has debug information.
    place: Option<(String, u32)>,
}

impl Frame {
    /// Whether this is what runs each of the app's functions: beyond it is the host.
    pub(super) fn is_boundary(&self) -> bool {
        self.name.starts_with("atoll_plugin::abi::panic::catch")
    }

    pub(super) fn into_entry(self) -> FrameEntry {
        let location = self.place.map(|(file, line)| format!("{file}:{line}"));
        FrameEntry { function: self.name, location }
    }

    /// That of a place without a name.
    pub(super) fn unknown(name: String) -> Self {
        Self { name, place: None }
    }

    /// Whether it is what catches panics, or reports them.
    pub(super) fn is_machinery(&self) -> bool {
        let machinery = [
            "std::panicking",
            "std::panic::catch_unwind",
            "<core::panic::unwind_safe::AssertUnwindSafe",
            "core::panicking",
            "__rust_try",
            "__rustc",
            "rust_begin_unwind",
        ];
        machinery.iter().any(|prefix| self.name.starts_with(prefix))
    }
}

/// A library in this process.
struct Image {
    base: usize,
    file: PathBuf,
}

impl Image {
    /// The one that an address is in.
    fn find(address: usize) -> Option<Self> {
        let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
        // SAFETY: any address may be asked for, and there is room for the answer.
        if unsafe { libc::dladdr(address as *const c_void, info.as_mut_ptr()) } == 0 {
            return None;
        }
        // SAFETY: `dladdr` has filled it, and all zeros are a value of it as well.
        let info = unsafe { info.assume_init() };
        if info.dli_fname.is_null() {
            return None;
        }
        // SAFETY: the name stays as long as the library, whose code is on the stack of this thread.
        let name = unsafe { CStr::from_ptr(info.dli_fname) };
        Some(Self { base: info.dli_fbase as usize, file: OsStr::from_bytes(name.to_bytes()).into() })
    }
}

/// The app's frames between the panic machinery and the worker's loop.
fn app_frames(debug_info: &DebugInfo, library: &Path, places: &[u64]) -> Vec<Frame> {
    if places.is_empty() {
        return Vec::new();
    }
    let Some(symbols) = debug_info.symbols() else { return Vec::new() };
    let mut symbols = symbols.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(symbols) = symbols.read(library) else { return Vec::new() };
    let mut frames: Vec<Frame> = Vec::new();
    for place in places {
        // A return address is behind its call; one byte before it is inside.
        push_frames(symbols, place.saturating_sub(1), &mut frames);
        if let Some(boundary) = frames.iter().position(Frame::is_boundary) {
            frames.truncate(boundary);
            break;
        }
    }
    while frames.last().is_some_and(Frame::is_machinery) {
        frames.pop();
    }
    let end_of_hook = frames.iter().position(|frame| frame.name.contains("__rust_end_short_backtrace"));
    let frames = frames.into_iter().skip(end_of_hook.map_or(0, |last| last + 1));
    frames.skip_while(Frame::is_machinery).collect()
}

/// Pushes the function at a place in the library, after those that are inlined into it there.
pub(super) fn push_frames(symbols: &Loader, place: u64, frames: &mut Vec<Frame>) {
    let before = frames.len();
    if let Ok(mut found) = symbols.find_frames(place) {
        while let Ok(Some(frame)) = found.next() {
            let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
            let file = frame.location.as_ref().and_then(|location| Some((location.file?, location.line?)));
            if let Some(name) = name {
                frames.push(Frame {
                    name: demangled(&name),
                    place: file.map(|(file, line)| (file.to_owned(), line)),
                });
            }
        }
    }
    if frames.len() == before
        && let Some(name) = symbols.find_symbol(place)
    {
        frames.push(Frame { name: demangled(name), place: None });
    }
}

fn demangled(name: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(name))
}
