//! What the host warns of that an app does: however often it does it, the log gets a line a second for each kind.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use atoll_port::Warnings;
use tokio::runtime::Handle;

use crate::observe::window::{self, Admission, Window};

/// What an app may do again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WarningKind {
    /// A worker does it, and its port warns of it.
    Port(atoll_port::WarningKind),
    /// It writes more log records than its limit.
    LogRecords,
    /// Its streams end before they are complete.
    Incomplete,
}

impl WarningKind {
    /// What is counted of it.
    fn counted(self) -> &'static str {
        use atoll_port::WarningKind as Port;
        match self {
            Self::Port(Port::Malformed) => "malformed messages",
            Self::Port(Port::Numberless) => "responses without an id",
            Self::Port(Port::Unknown) => "unknown messages",
            Self::Port(Port::Answer) => "responses to unknown requests",
            Self::Port(Port::Credit) => "stream chunks without credit",
            Self::Port(Port::MessageSize) => "messages over message_limit",
            Self::Port(Port::Calls) => "calls over max_calls",
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
    /// Of the kinds that there have been.
    windows: Mutex<Vec<(WarningKind, Window)>>,
    /// Where the counts are written from.
    runtime: Option<Handle>,
}

impl Warnings for AppWarnings {
    fn warn(self: Arc<Self>, kind: atoll_port::WarningKind, what: &dyn Display) {
        AppWarnings::warn(&self, WarningKind::Port(kind), what);
    }
}

impl AppWarnings {
    /// Those of the app of this name. Outside of a runtime, what is left out is counted in the next line only.
    pub(crate) fn new(app: Arc<str>) -> Arc<Self> {
        Arc::new(Self { app, windows: Mutex::default(), runtime: Handle::try_current().ok() })
    }

    fn with_window<R>(&self, kind: WarningKind, act: impl FnOnce(&mut Window) -> R) -> R {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let place = windows.iter().position(|(of, _)| *of == kind).unwrap_or_else(|| {
            windows.push((kind, Window::default()));
            windows.len() - 1
        });
        act(&mut windows[place].1)
    }

    /// Writes a line, or counts it.
    pub(crate) fn write(self: &Arc<Self>, kind: WarningKind, text: impl FnOnce() -> String) {
        let admission = self.with_window(kind, |window| {
            // Their report is the next line.
            let is_reported = self.runtime.is_some() && window.has_left_out();
            if is_reported { window.leave_out() } else { window.admit(Instant::now(), kind.lines()) }
        });
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
        let count = self.with_window(kind, |window| window.end_window(Instant::now()));
        if count > 0 {
            log::warn!("{}: {count} more {} in a second", self.app, kind.counted());
        }
    }
}
