//! Reports of a library in the host, whose panics are written by another thread.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use atoll_plugin::abi::LogRecord;

use crate::abi::panic_report::{has_backtraces, queue};
use crate::abi::reports::{Panic, Reports, ToAppLog};

/// Reports of a library go to the records of its app, in order. A panic waits there for its backtrace, and so does what is
/// reported after it.
#[derive(Debug)]
pub(crate) struct QueuedReports {
    to: Arc<ToAppLog>,
    /// How many reports are not written.
    waiting: Arc<AtomicUsize>,
}

impl QueuedReports {
    /// To be called on a thread of the host.
    pub(crate) fn new(to: ToAppLog) -> Self {
        queue::start();
        Self { to: Arc::new(to), waiting: Arc::default() }
    }

    /// Writes a report on the other thread.
    fn push(&self, write: impl FnOnce(&ToAppLog) + Send + 'static) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let (to, written) = (self.to.clone(), Written(self.waiting.clone()));
        queue::push(Box::new(move || {
            let _written = written;
            write(&to);
        }));
    }

    fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }
}

impl Reports for QueuedReports {
    fn max_level(&self) -> u8 {
        self.to.max_level()
    }

    fn is_enabled(&self, level: u8, target: &str) -> bool {
        self.to.is_enabled(level, target)
    }

    fn log(&self, record: &LogRecord<'_>) {
        if !self.is_waiting() {
            return self.to.log(record);
        }
        let record = OwnedRecord::new(record);
        self.push(move |to| to.log(&record.as_record()));
    }

    fn panicked(&self, panic: Panic, library: &Path) {
        let Some(counted) = self.to.count_panic() else { return };
        if !has_backtraces() && !self.is_waiting() {
            return self.to.write_panic(panic, counted, library);
        }
        let library = OpenLibrary::new(library);
        self.push(move |to| to.write_panic(panic, counted, library.path()));
    }
}

/// Counts a report as written, also if that has failed.
struct Written(Arc<AtomicUsize>);

impl Drop for Written {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A library's file, which can be read when the library is unloaded and its file removed.
struct OpenLibrary {
    path: PathBuf,
    _file: Option<File>,
}

impl OpenLibrary {
    fn new(path: &Path) -> Self {
        match File::open(path) {
            Ok(file) => {
                Self { path: format!("/proc/self/fd/{}", file.as_raw_fd()).into(), _file: Some(file) }
            }
            Err(_) => Self { path: path.to_owned(), _file: None },
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// A log record that outlives what it was made from.
struct OwnedRecord {
    level: u8,
    line: u32,
    /// Target, file, message, fields and spans.
    texts: [String; 5],
}

impl OwnedRecord {
    fn new(record: &LogRecord<'_>) -> Self {
        let texts = [record.target, record.file, record.message, record.fields, record.spans];
        Self { level: record.level, line: record.line, texts: texts.map(String::from) }
    }

    fn as_record(&self) -> LogRecord<'_> {
        let [target, file, message, fields, spans] = self.texts.each_ref().map(|text| text.as_str().into());
        LogRecord { level: self.level, line: self.line, target, file, message, fields, spans }
    }
}
