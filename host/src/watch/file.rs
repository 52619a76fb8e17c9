//! One watched file: from the first sign of a change to the report that it is complete.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::sync::watch;

use super::change::Change;
use super::fingerprint::Fingerprint;
use super::lease::Writers;
use super::pace::{Pace, backoff};

/// What the owner of a watch knows of the file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Known {
    /// It was being written when the watch began, so nothing is known, and the next complete state is news.
    Nothing,
    Missing,
    Present(Fingerprint),
}

impl Known {
    /// Whether a file in the state `now` would be no news.
    pub(super) fn is(&self, now: Option<&Fingerprint>) -> bool {
        match (self, now) {
            (Known::Missing, None) => true,
            (Known::Present(known), Some(now)) => !now.differs_from(known),
            _ => false,
        }
    }
}

impl From<Option<Fingerprint>> for Known {
    fn from(fingerprint: Option<Fingerprint>) -> Self {
        fingerprint.map_or(Known::Missing, Known::Present)
    }
}

/// What is known of a file when its watch begins.
pub(super) fn first_look(path: &Path, writers: fn(&File) -> Writers) -> Known {
    match Look::new(path, writers) {
        Look::Missing => Known::Missing,
        Look::Complete(fingerprint) | Look::Unsure(fingerprint) => Known::Present(fingerprint),
        Look::BeingWritten => Known::Nothing,
    }
}

/// What a look at a file finds.
enum Look {
    Missing,
    /// No process has it open for writing.
    Complete(Fingerprint),
    BeingWritten,
    /// The kernel does not say whether it is being written.
    Unsure(Fingerprint),
}

impl Look {
    fn new(path: &Path, writers: fn(&File) -> Writers) -> Look {
        let Ok(metadata) = fs::metadata(path) else { return Look::Missing };
        let fingerprint = Fingerprint::from(&metadata);
        if !metadata.is_file() {
            // Opening a pipe or a device has effects, and a folder has no writers.
            return Look::Unsure(fingerprint);
        }
        // Without waiting: something else may have taken the file's place, or hold a lease on it.
        let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Look::Missing,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Look::BeingWritten,
            Err(_) => return Look::Unsure(fingerprint),
        };
        let found = writers(&file);
        // Only what was there before the writers were asked for and is there afterwards is what they left.
        let unchanged = |now: io::Result<Fingerprint>| now.is_ok_and(|now| !now.differs_from(&fingerprint));
        if !unchanged(Fingerprint::of_file(&file)) || !unchanged(Fingerprint::read(path)) {
            return Look::BeingWritten;
        }
        match found {
            Writers::None => Look::Complete(fingerprint),
            Writers::Some => Look::BeingWritten,
            Writers::Unknown => Look::Unsure(fingerprint),
        }
    }
}

/// One watched file.
pub(super) struct WatchedFile {
    pub(super) path: PathBuf,
    known: Known,
    pending: Option<Pending>,
    reports: watch::Sender<Option<Change>>,
}

/// A change that was noticed and is not reported yet.
struct Pending {
    noticed: Instant,
    /// When to look next.
    due: Instant,
    /// How often the file was found being written.
    attempts: usize,
    /// What the file has been since when, where only time can tell whether it is complete.
    steady: Option<(Option<Fingerprint>, Instant)>,
}

impl WatchedFile {
    pub(super) fn new(path: PathBuf, known: Known, reports: watch::Sender<Option<Change>>) -> Self {
        WatchedFile { path, known, pending: None, reports }
    }

    /// When to look at the file next, if there is anything to wait for.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.due)
    }

    /// Takes note of a sign that the file has changed. `writing`: only that something was written to it.
    pub(super) fn touch(&mut self, at: Instant, writing: bool) {
        match &mut self.pending {
            // The writer is at work, which is known, and its end is being waited for.
            Some(_) if writing => {}
            Some(pending) => {
                pending.due = pending.due.min(at);
                pending.attempts = 0;
            }
            None => self.pending = Some(Pending { noticed: at, due: at, attempts: 0, steady: None }),
        }
    }

    /// Looks at the file, and reports what it is if it is complete and news.
    pub(super) fn look(&mut self, pace: &Pace) {
        let Some(pending) = &mut self.pending else { return };
        let seen = fs::metadata(&self.path).ok().map(|metadata| Fingerprint::from(&metadata));
        if self.known.is(seen.as_ref()) {
            // Takes over the count of links, too.
            self.known = Known::from(seen);
            self.pending = None;
            return;
        }
        let (state, patience) = match Look::new(&self.path, pace.writers) {
            Look::Complete(fingerprint) => return self.report(Some(fingerprint)),
            Look::BeingWritten => {
                pending.due = Instant::now() + backoff(pending.attempts);
                pending.attempts += 1;
                pending.steady = None;
                return;
            }
            Look::Missing => (None, pace.missing),
            Look::Unsure(fingerprint) => (Some(fingerprint), pace.quiet),
        };
        let now = Instant::now();
        match pending.steady {
            Some((before, since)) if before == state => {
                pending.due = since + patience;
                if pending.due <= now {
                    self.report(state);
                }
            }
            _ => {
                pending.steady = Some((state, now));
                pending.due = now + patience;
            }
        }
    }

    fn report(&mut self, fingerprint: Option<Fingerprint>) {
        let complete = Instant::now();
        let noticed = self.pending.take().map_or(complete, |pending| pending.noticed);
        if !self.known.is(fingerprint.as_ref()) {
            // The change is news to a receiver that is gone, too, but its watch is about to end.
            let _ = self.reports.send(Some(Change { fingerprint, noticed, complete }));
        }
        self.known = Known::from(fingerprint);
    }
}
