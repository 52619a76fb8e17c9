//! Starting the disposable process that opens a library.

use std::fs;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::child::{CHILD, NO_REPORT, OPEN_LIBRARY, Report};
use crate::library::open_paths::OpenPaths;
use crate::library::stage::Staging;
use crate::observe::exit_status::describe;
use crate::sandbox::{FileAccess, FileRule, Policy, Require};

/// How long opening and closing a library may take.
pub const OPEN_LIMIT: Duration = Duration::from_secs(30);

/// How much of what the process writes to standard error is kept: its end, in bytes.
const WORDS: usize = 1024;

/// How long to wait for the last words of a process that has ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A program that opens a library in a sandbox, and ends: one that calls
/// [`run_child_process`](crate::run_child_process).
#[derive(Clone, Debug)]
pub struct Opener {
    program: PathBuf,
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
        "opening it ended the preflight process with {end}{}; it is damaged, or one of its constructors crashes: \
        rebuild it, or copy it again",
        if words.is_empty() { String::new() } else { format!(", which wrote {words:?}") }
    )]
    Died {
        /// The signal or the exit code.
        end: String,
        /// Whether it was killed from outside, as the kernel does when memory runs out.
        is_killed: bool,
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
    /// There is no process to try it in, or it cannot report.
    #[error("cannot run a preflight process: {0}")]
    Process(io::Error),
    /// The process could not be sandboxed.
    #[error("cannot sandbox the preflight process: {0}")]
    Sandbox(String),
}

impl OpenFailure {
    /// Whether another attempt with the same library may succeed.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Refused(_) => false,
            Self::Died { is_killed, .. } => *is_killed,
            Self::Hangs { .. } | Self::Process(_) | Self::Sandbox(_) => true,
        }
    }
}

impl Opener {
    /// This program, also when its file has been replaced.
    pub fn this_program() -> Self {
        Self::new("/proc/self/exe")
    }

    /// Another program.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), limit: OPEN_LIMIT }
    }

    /// With another limit than [`OPEN_LIMIT`].
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Opens the staged copy of an app's library, and closes it again. Why it stays in a process then, if it does.
    ///
    /// # Errors
    /// See [`OpenFailure`].
    pub(crate) fn open(
        &self,
        staging: &Staging,
        app: &str,
        paths: &OpenPaths,
    ) -> Result<Option<String>, OpenFailure> {
        // All that the process leaves behind is in here.
        let folder = tempfile::Builder::new().prefix("open-").tempdir_in(staging.folder());
        let folder = folder.map_err(OpenFailure::Process)?;
        let report = folder.path().join("report");
        let policy = policy(folder.path()).map_err(OpenFailure::Process)?;
        let searched =
            serde_json::to_string(&paths.searched).map_err(|error| OpenFailure::Process(error.into()))?;
        let mut child = Command::new(&self.program)
            .args([CHILD, OPEN_LIBRARY, &policy, app])
            .arg(&report)
            .arg(searched)
            .arg(&paths.library)
            .args(paths.needed.iter().flat_map(|needed| [needed.name.as_ref(), needed.path.as_os_str()]))
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
            Some(Report::NoSandbox(reason)) if status.success() => Err(OpenFailure::Sandbox(reason)),
            _ => {
                let words = words.recv_timeout(LAST_WORDS).unwrap_or_default();
                if status.code() == Some(NO_REPORT) {
                    return Err(OpenFailure::Process(io::Error::other(words)));
                }
                let is_killed = status.signal() == Some(libc::SIGKILL);
                Err(OpenFailure::Died { end: describe(status), is_killed, words })
            }
        }
    }
}

/// What the process may do: read every file, as shared libraries may be anywhere, and write in its folder. What a kernel
/// cannot enforce is left out: the process is there for what ends it, and the host trusts the library.
fn policy(folder: &Path) -> io::Result<String> {
    let files = [(FileAccess::Read, Path::new("/")), (FileAccess::ReadWrite, folder)];
    let files = files.map(|(access, path)| FileRule::new(access, path));
    let files = files.into_iter().collect::<Result<_, _>>().map_err(io::Error::other)?;
    let policy = Policy { files, require: Require::Available, ..Policy::default() };
    Ok(serde_json::to_string(&policy)?)
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
