//! What the host warns of that an app does: however often it does it, the log gets a line a second for each kind.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use atoll_port::Warnings;
use tokio::runtime::Handle;

use crate::observe::window::{self, Admission, Window};

/// What an app may do again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WarningKind {
    /// It sends malformed messages.
    Malformed,
    /// It sends responses without an id.
    Numberless,
    /// It sends unknown messages.
    Unknown,
    /// It answers requests that were never asked, or twice.
    Answer,
    /// It sends more of a stream than its receiver has granted, or grants more often than it receives.
    Credit,
    /// It sends messages that are larger than its limit.
    MessageSize,
    /// It has more calls in flight than its limit.
    Calls,
    /// It writes more log records than its limit.
    LogRecords,
    /// Its streams end before they are complete.
    Incomplete,
}

impl WarningKind {
    const ALL: [Self; 9] = [
        Self::Malformed,
        Self::Numberless,
        Self::Unknown,
        Self::Answer,
        Self::Credit,
        Self::MessageSize,
        Self::Calls,
        Self::LogRecords,
        Self::Incomplete,
    ];

    /// What is counted of it.
    fn counted(self) -> &'static str {
        match self {
            Self::Malformed => "malformed messages",
            Self::Numberless => "responses without an id",
            Self::Unknown => "unknown messages",
            Self::Answer => "responses to unknown requests",
            Self::Credit => "stream chunks without credit",
            Self::MessageSize => "messages over message_limit",
            Self::Calls => "calls over max_calls",
            Self::LogRecords => "log records over log_rate",
            Self::Incomplete => "incomplete responses",
        }
    }

    /// How many lines a second it gets.
    fn lines(self) -> u32 {
        match self {
            // They are of one request each, and may be the work of clients.
            Self::Incomplete => 10,
            _ => 1,
        }
    }
}

/// The warnings of one app.
#[derive(Debug)]
pub(crate) struct AppWarnings {
    app: Arc<str>,
    windows: Mutex<[Window; WarningKind::ALL.len()]>,
    /// Where the counts are written from.
    runtime: Option<Handle>,
}

impl From<atoll_port::WarningKind> for WarningKind {
    fn from(kind: atoll_port::WarningKind) -> Self {
        match kind {
            atoll_port::WarningKind::Malformed => Self::Malformed,
            atoll_port::WarningKind::Numberless => Self::Numberless,
            atoll_port::WarningKind::Unknown => Self::Unknown,
            atoll_port::WarningKind::Answer => Self::Answer,
            atoll_port::WarningKind::Credit => Self::Credit,
            atoll_port::WarningKind::MessageSize => Self::MessageSize,
            atoll_port::WarningKind::Calls => Self::Calls,
        }
    }
}

impl Warnings for AppWarnings {
    fn warn(self: Arc<Self>, kind: atoll_port::WarningKind, what: &dyn Display) {
        AppWarnings::warn(&self, kind.into(), what);
    }
}

impl AppWarnings {
    /// Those of the app of this name. Outside of a runtime, what is left out is counted in the next line only.
    pub(crate) fn new(app: Arc<str>) -> Arc<Self> {
        Arc::new(Self { app, windows: Mutex::default(), runtime: Handle::try_current().ok() })
    }

    fn windows(&self) -> MutexGuard<'_, [Window; WarningKind::ALL.len()]> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line, or counts it.
    pub(crate) fn write(self: &Arc<Self>, kind: WarningKind, text: impl FnOnce() -> String) {
        let admission = {
            let window = &mut self.windows()[kind as usize];
            // Their report is the next line.
            let is_reported = self.runtime.is_some() && window.has_left_out();
            if is_reported { window.leave_out() } else { window.admit(Instant::now(), kind.lines()) }
        };
        match admission {
            Admission::Pass { left_out: 0 } => log::warn!("{}", text()),
            Admission::Pass { left_out } => {
                log::warn!("{} ({left_out} more before it)", text());
            }
            Admission::LeftOut { first } => {
                if let (true, Some(runtime)) = (first, &self.runtime) {
                    let this = self.clone();
                    runtime.spawn(async move {
                        tokio::time::sleep(window::LENGTH).await;
                        this.write_count(kind);
                    });
                }
            }
        }
    }

    /// As [`write`](Self::write), of the app as a whole.
    pub(crate) fn warn(self: &Arc<Self>, kind: WarningKind, what: impl Display) {
        self.write(kind, || format!("{}: {what}", self.app));
    }

    fn write_count(&self, kind: WarningKind) {
        let count = self.windows()[kind as usize].end_window(Instant::now());
        if count > 0 {
            log::warn!("{}: {count} more {} in a second", self.app, kind.counted());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_at_its_place() {
        for (place, kind) in WarningKind::ALL.into_iter().enumerate() {
            assert_eq!(place, kind as usize);
        }
    }
}
