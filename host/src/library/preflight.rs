//! Opening a library in a disposable process: a damaged library, or a constructor, may end the process that opens it.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, kill_process_group,
    set_parent_process_death_signal, setrlimit, waitid,
};
use serde::{Deserialize, Serialize};

use crate::abi::library_context::LibraryContext;
use crate::library::loaded::Loaded;
use crate::library::stage::{Staged, Staging};
use crate::observe::app_log::AppLog;
use crate::observe::events::EventBus;

/// How long opening and closing a library may take.
pub const OPEN_LIMIT: Duration = Duration::from_secs(30);

/// How much of what the process writes to standard error is kept: its end, in bytes.
const WORDS: usize = 1024;

/// How long to wait for the last words of a process that has ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A program that opens a library and ends.
///
/// It is started with the arguments of this, followed by those of [`open_and_report`], which it has to call with them.
#[derive(Clone, Debug)]
pub struct Opener {
    program: PathBuf,
    arguments: Vec<OsString>,
    limit: Duration,
}

/// Why a library could not be opened in a disposable process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenFailure {
    /// It was refused, as a host would refuse it; why.
    #[error("{0}")]
    Refused(String),
    /// The process has ended in the middle of it.
    #[error(
        "opening it killed the preflight process with {end}{}; it is damaged, or one of its constructors crashes: \
        rebuild it, or copy it again",
        if words.is_empty() { String::new() } else { format!(", which wrote {words:?}") }
    )]
    Died {
        /// The signal or the exit code.
        end: String,
        /// The end of what it wrote to standard error.
        words: String,
    },
    /// It took too long.
    #[error(
        "opening it took longer than {} s: one of its constructors or destructors hangs, or it is damaged",
        limit.as_secs_f64()
    )]
    Hangs {
        /// How long it may take.
        limit: Duration,
    },
    /// There is no process to try it in.
    #[error("cannot start a preflight process: {0}")]
    Process(io::Error),
}

/// What a process reports of a library.
#[derive(Debug, Serialize, Deserialize)]
enum Report {
    /// It was opened and closed again. Why it stays in a process all the same, if it does.
    Opened { stays: Option<String> },
    /// It was refused; why.
    Refused(String),
}

impl Opener {
    /// A program with the arguments that have it call [`open_and_report`].
    pub fn new(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.into(), arguments, limit: OPEN_LIMIT }
    }

    /// With another limit than [`OPEN_LIMIT`].
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Opens a staged copy, and closes it again. Why it stays in a process then, if it does.
    ///
    /// # Errors
    /// See [`OpenFailure`].
    pub fn open(&self, staging: &Staging, staged: &Staged) -> Result<Option<String>, OpenFailure> {
        // All that the process leaves behind is in here.
        let folder = tempfile::Builder::new().prefix("open-").tempdir_in(staging.folder());
        let folder = folder.map_err(OpenFailure::Process)?;
        let report = folder.path().join("report");
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(staged.app())
            .arg(staged.path())
            .arg(&report)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // What the library starts ends with it.
            .process_group(0)
            .spawn()
            .map_err(OpenFailure::Process)?;
        let words = last_words(&mut child);
        let process = Pid::from_child(&child);
        let ended = has_ended(process, self.limit);
        // Before it is waited for, so that its number is still its own. Usually nobody else is left.
        let _ = kill_process_group(process, Signal::KILL);
        let status = child.wait().map_err(OpenFailure::Process)?;
        if !ended.map_err(OpenFailure::Process)? {
            return Err(OpenFailure::Hangs { limit: self.limit });
        }
        let report = fs::read(&report).ok().and_then(|report| serde_json::from_slice(&report).ok());
        match report {
            Some(Report::Opened { stays }) if status.success() => Ok(stays),
            Some(Report::Refused(reason)) if status.success() => Err(OpenFailure::Refused(reason)),
            _ => {
                let words = words.recv_timeout(LAST_WORDS).unwrap_or_default();
                Err(OpenFailure::Died { end: text_of(status), words })
            }
        }
    }
}

/// Opens a library and closes it again, and writes to the file `report` what came of it: what a process does that an
/// [`Opener`] has started. The process should end then.
///
/// # Errors
/// The report cannot be written.
pub fn open_and_report(app: &str, library: &Path, report: &Path) -> io::Result<()> {
    // It ends with whoever has started it, and its memory is of no interest to anybody.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    let folder = report.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let outcome = open(app, library, folder).unwrap_or_else(Report::Refused);
    // Not by a rename: whoever reads it waits for the end of this process.
    fs::write(report, serde_json::to_vec(&outcome)?)
}

fn open(app: &str, library: &Path, folder: &Path) -> Result<Report, String> {
    let staging = Staging::within(folder).map_err(|error| error.to_string())?;
    let staged = staging.stage_up_to(u64::MAX, app, library).map_err(|error| error.to_string())?;
    let inspected = staged.inspect(None).map_err(|error| error.to_string())?;
    let app_log = Arc::new(AppLog::new(app.into(), EventBus::default()));
    let context = LibraryContext::new(app.into(), 1, app_log);
    // SAFETY: the open rule: whoever has it checked means to run it in a host, and this process is made for the attempt.
    let loaded = unsafe { Loaded::open(inspected, context) }.map_err(|error| error.to_string())?;
    // SAFETY: the unload rule: no worker was made, and nobody else has its root.
    let stays = unsafe { loaded.unload() }.err().map(|pinned| pinned.reason().to_string());
    Ok(Report::Opened { stays })
}

/// Waits for the end of a process, and says whether it has come.
fn has_ended(process: Pid, limit: Duration) -> io::Result<bool> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    while waitid(WaitId::Pid(process), options)?.is_none() {
        if begun.elapsed() >= limit {
            return Ok(false);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    Ok(true)
}

/// Reads what a process writes to standard error, and keeps the end of it.
fn last_words(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1);
    if let Some(mut stream) = child.stderr.take() {
        // Without a thread, there are no words; and a process that was started by the library may hold the stream open,
        // so nobody waits for this one.
        let _ = thread::Builder::new().spawn(move || {
            let mut end = Vec::new();
            let mut buffer = [0; WORDS];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                end.extend(&buffer[..count]);
                end.drain(..end.len().saturating_sub(WORDS));
            }
            let _ = sender.send(String::from_utf8_lossy(&end).trim().to_owned());
        });
    }
    receiver
}

fn text_of(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}{}", name_of(signal)),
        (None, code) => format!("exit code {}", code.unwrap_or_default()),
    }
}

/// The names of the signals that code gets by its own faults.
fn name_of(signal: i32) -> &'static str {
    match signal {
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGILL => " (SIGILL)",
        libc::SIGFPE => " (SIGFPE)",
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGTRAP => " (SIGTRAP)",
        libc::SIGSYS => " (SIGSYS)",
        libc::SIGKILL => " (SIGKILL)",
        _ => "",
    }
}
