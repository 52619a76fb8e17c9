//! An app's recent log records, failures and panics, in bounded memory, for later inspection.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use log::LevelFilter;
use tokio::sync::broadcast;

use crate::config::Settings;
use crate::observe::app_warnings::{AppWarnings, WarningKind};
use crate::observe::entries::{FailureEntry, LogEntry, PanicEntry};
use crate::observe::events::{EventBus, EventKind};
use crate::observe::fields::RecordFields;
use crate::observe::text;
use crate::observe::throttle::Throttle;
use crate::observe::unix_time::now_ms;
use crate::observe::window::{Admission, Window};

/// How many log records of an app are kept.
pub(crate) const RECORDS: usize = 500;

/// How many bytes their texts may have together.
pub(crate) const TEXT: usize = 256 * 1024;

/// How many failures and how many panics are kept.
pub(crate) const FAULTS: usize = 32;

/// How many records may wait for one who follows them; a slower one misses some.
const FOLLOWED: usize = 1024;

/// How many panics of an app are written in a second, with their backtraces. The rest is counted.
pub(crate) const PANICS_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("it is not zero");

/// How many lines about failed requests of an app are written to the log in a second. The rest is counted.
pub(crate) const FAILURES_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("it is not zero");

/// The level of an app without a separate level.
const NO_LEVEL: u8 = u8::MAX;

/// The records of one app.
#[derive(Debug)]
pub struct AppLog {
    app: Arc<str>,
    events: EventBus,
    log: Mutex<Log>,
    panics: Mutex<VecDeque<PanicEntry>>,
    failures: Mutex<VecDeque<FailureEntry>>,
    panicked: AtomicU64,
    written_panics: Throttle,
    written_failures: Throttle,
    level: AtomicU8,
    followers: broadcast::Sender<Arc<LogEntry>>,
    warnings: Arc<AppWarnings>,
    /// How many records are taken in a second, and how many bytes of each text.
    rate: AtomicU32,
    record_limit: AtomicUsize,
}

#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<Arc<LogEntry>>,
    text: usize,
    last: u64,
    window: Window,
}

impl AppLog {
    /// An empty one, which tells of what happens to the app on a bus.
    pub fn new(app: Arc<str>, events: EventBus) -> Self {
        let defaults = Settings::default();
        Self {
            warnings: AppWarnings::new(app.clone()),
            rate: AtomicU32::new(defaults.log_rate),
            record_limit: AtomicUsize::new(defaults.log_record_limit),
            app,
            events,
            log: Mutex::default(),
            panics: Mutex::default(),
            failures: Mutex::default(),
            panicked: AtomicU64::new(0),
            written_panics: Throttle::new(PANICS_PER_SECOND),
            written_failures: Throttle::new(FAILURES_PER_SECOND),
            level: AtomicU8::new(NO_LEVEL),
            followers: broadcast::Sender::new(FOLLOWED),
        }
    }

    /// Follows the settings.
    pub(crate) fn configure(&self, settings: &Settings) {
        self.rate.store(settings.log_rate, Ordering::Relaxed);
        self.record_limit.store(settings.log_record_limit, Ordering::Relaxed);
    }

    /// What the host warns of that the app does.
    pub(crate) fn warnings(&self) -> &Arc<AppWarnings> {
        &self.warnings
    }

    /// A text as far as it is kept and logged.
    pub(crate) fn shortened<'a>(&self, text: &'a str) -> Cow<'a, str> {
        text::shortened(text, self.record_limit.load(Ordering::Relaxed))
    }

    /// The fields and spans of a record, as far as they are kept and logged.
    pub(crate) fn fields(&self, fields: &str, spans: &str) -> RecordFields {
        RecordFields::parse(fields, spans, self.record_limit.load(Ordering::Relaxed))
    }

    /// Keeps a log record, whose text and [`fields`](Self::fields) are shortened already; `false`: it is one too many.
    pub(crate) fn write(
        &self,
        level: log::Level,
        target: &str,
        generation: u64,
        message: &str,
        fields: &RecordFields,
    ) -> bool {
        let rate = self.rate.load(Ordering::Relaxed);
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Admission::LeftOut { .. } = log.window.admit(Instant::now(), rate) {
            drop(log);
            let what = format_args!("it exceeds its limit of {rate} log records per second (log_rate)");
            self.warnings.warn(WarningKind::LogRecords, what);
            return false;
        }
        log.last += 1;
        let entry = Arc::new(LogEntry {
            number: log.last,
            at_ms: now_ms(),
            level: level.as_str().to_ascii_lowercase(),
            target: target.to_owned(),
            generation,
            message: message.to_owned(),
            fields: fields.clone(),
        });
        log.text += size(&entry);
        log.entries.push_back(entry.clone());
        while log.entries.len() > RECORDS || (log.text > TEXT && log.entries.len() > 1) {
            if let Some(oldest) = log.entries.pop_front() {
                log.text -= size(&oldest);
            }
        }
        // Under the lock, so that followers see the records in their order. Without any there is nobody to tell.
        let _ = self.followers.send(entry);
        true
    }

    /// The last `limit` log records, the oldest first.
    pub fn log(&self, limit: usize) -> Vec<Arc<LogEntry>> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.entries.iter().skip(log.entries.len().saturating_sub(limit)).cloned().collect()
    }

    /// The last `limit` log records, and those that come after them: none is missing or there twice.
    pub fn follow(&self, limit: usize) -> (Vec<Arc<LogEntry>>, broadcast::Receiver<Arc<LogEntry>>) {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let last = log.entries.iter().skip(log.entries.len().saturating_sub(limit)).cloned().collect();
        (last, self.followers.subscribe())
    }

    /// Counts a panic. How many before it were only counted, if this one is to be written; `None`: it is counted only.
    pub(crate) fn count_panic(&self) -> Option<u64> {
        self.panicked.fetch_add(1, Ordering::Relaxed);
        self.written_panics.pass()
    }

    /// Keeps a panic, which was counted.
    pub(crate) fn panicked(&self, mut panic: PanicEntry) {
        shorten(&mut panic.message, self.record_limit.load(Ordering::Relaxed));
        self.tell(|| EventKind::Panic(panic.clone()));
        push(&self.panics, panic);
    }

    /// The last panics, the oldest first.
    pub fn panics(&self) -> Vec<PanicEntry> {
        all(&self.panics)
    }

    /// How many panics there have been.
    pub fn panic_count(&self) -> u64 {
        self.panicked.load(Ordering::Relaxed)
    }

    /// Logs a failed request with the text of `line`.
    pub(crate) fn log_failure(&self, line: impl FnOnce() -> String) {
        match self.written_failures.pass() {
            Some(0) => log::error!("{}", line()),
            Some(more) => {
                let limit = FAILURES_PER_SECOND;
                log::error!(
                    "{} ({more} earlier failures not logged: the limit is {limit} per second)",
                    line()
                );
            }
            None => {}
        }
    }

    /// Keeps a failure.
    pub(crate) fn failed(&self, mut failure: FailureEntry) {
        let limit = self.record_limit.load(Ordering::Relaxed);
        shorten(&mut failure.detail, limit);
        shorten(&mut failure.request, limit);
        self.tell(|| EventKind::Failure(failure.clone()));
        push(&self.failures, failure);
    }

    /// The last failures, the oldest first.
    pub fn failures(&self) -> Vec<FailureEntry> {
        all(&self.failures)
    }

    /// Tells those who follow what happens.
    pub(crate) fn tell(&self, what: impl FnOnce() -> EventKind) {
        self.events.tell(&self.app, what);
    }

    /// The level of the app's own that its records are filtered by, instead of what `RUST_LOG` says.
    pub fn level(&self) -> Option<LevelFilter> {
        LevelFilter::iter().nth(self.level.load(Ordering::Relaxed).into())
    }

    pub(crate) fn set_level(&self, level: Option<LevelFilter>) {
        self.level.store(level.map_or(NO_LEVEL, |level| level as u8), Ordering::Relaxed);
    }
}

/// How many bytes of text a record has.
fn size(entry: &LogEntry) -> usize {
    entry.message.len() + entry.fields.size()
}

fn shorten(text: &mut String, limit: usize) {
    if text.len() > limit {
        *text = text::shortened(text, limit).into_owned();
    }
}

fn push<T>(entries: &Mutex<VecDeque<T>>, entry: T) {
    let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
    if entries.len() == FAULTS {
        entries.pop_front();
    }
    entries.push_back(entry);
}

fn all<T: Clone>(entries: &Mutex<VecDeque<T>>) -> Vec<T> {
    entries.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app_log() -> AppLog {
        AppLog::new("a".into(), EventBus::default())
    }

    fn none() -> RecordFields {
        RecordFields::default()
    }

    fn numbers(entries: &[Arc<LogEntry>]) -> Vec<u64> {
        entries.iter().map(|entry| entry.number).collect()
    }

    #[test]
    fn the_last_records_are_kept_in_bounded_memory() {
        let app_log = app_log();
        for _ in 0..RECORDS + 10 {
            app_log.write(log::Level::Info, "t", 1, "text", &none());
        }
        assert_eq!(numbers(&app_log.log(usize::MAX)), Vec::from_iter(11..=RECORDS as u64 + 10));
        assert_eq!(numbers(&app_log.log(2)), [RECORDS as u64 + 9, RECORDS as u64 + 10]);
        let app_log = self::app_log();
        let fields = app_log.fields(&format!(r#"{{"text":"{}"}}"#, "x".repeat(10_000)), "");
        for _ in 0..100 {
            app_log.write(log::Level::Info, "t", 1, "text", &fields);
        }
        assert!(app_log.log(usize::MAX).len() < 30, "the fields count");
        let app_log = self::app_log();
        let long = "x".repeat(TEXT / 2 + 1);
        app_log.write(log::Level::Info, "t", 1, &long, &none());
        app_log.write(log::Level::Info, "t", 1, &long, &none());
        assert_eq!(app_log.log(usize::MAX).len(), 1);
    }

    #[test]
    fn records_above_the_rate_are_left_out() {
        let app_log = app_log();
        app_log.configure(&Settings { log_rate: 3, ..Settings::default() });
        let begun = Instant::now();
        let written =
            (0..4).map(|_| app_log.write(log::Level::Info, "t", 1, "text", &none())).filter(|it| *it).count();
        assert!(written == 3 || begun.elapsed() > crate::observe::window::LENGTH, "{written}");
        assert_eq!(app_log.log(usize::MAX).len(), written);
    }

    #[test]
    fn texts_are_shortened_above_the_limit_only() {
        let app_log = app_log();
        app_log.configure(&Settings { log_record_limit: 1024, ..Settings::default() });
        let detail = "x".repeat(1_000_000);
        let failure = FailureEntry {
            at_ms: 0,
            request_id: String::new(),
            request: detail.clone(),
            status: 500,
            detail,
        };
        app_log.failed(failure);
        let [failure] = &*app_log.failures() else { panic!("one is kept") };
        assert!(failure.detail.len() < 1100 && failure.request.len() < 1100);
    }

    #[test]
    fn a_follower_misses_nothing_and_gets_nothing_twice() {
        let app_log = app_log();
        app_log.write(log::Level::Warn, "t", 1, "one", &none());
        let (before, mut after) = app_log.follow(10);
        app_log.write(log::Level::Warn, "t", 2, "two", &none());
        assert_eq!((numbers(&before), after.try_recv().unwrap().number), (vec![1], 2));
    }

    #[test]
    fn more_panics_than_are_written_are_counted() {
        let app_log = app_log();
        let begun = Instant::now();
        let written = (0..1000).filter(|_| app_log.count_panic().is_some()).count();
        assert!(written == 10 || begun.elapsed() > crate::observe::window::LENGTH, "{written}");
        assert_eq!(app_log.panic_count(), 1000);
    }

    #[test]
    fn an_app_has_a_level_of_its_own_or_none() {
        let app_log = app_log();
        assert_eq!(app_log.level(), None);
        for level in LevelFilter::iter() {
            app_log.set_level(Some(level));
            assert_eq!(app_log.level(), Some(level));
        }
        app_log.set_level(None);
        assert_eq!(app_log.level(), None);
    }
}
