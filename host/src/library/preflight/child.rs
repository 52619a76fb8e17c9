//! The process that opens a library: sandboxed, and made for one library.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::LevelFilter;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use crate::abi::library_context::LibraryContext;
use crate::library::loaded::open_library::OpenLibrary;
use crate::library::open_paths::{NeededPath, OpenPaths};
use crate::observe::app_log::AppLog;
use crate::observe::events::EventBus;
use crate::observe::logging;
use crate::sandbox::Policy;

/// The first argument of each process that a host starts of its program.
pub(crate) const CHILD: &str = "--atoll-child";

/// The second argument of one that opens a library; the others are a policy, the name of the app, the file for the report,
/// where was looked for libraries that it needs, the library, and the names and files of those that were found.
pub(crate) const OPEN_LIBRARY: &str = "open-library";

/// The exit code of a process that cannot write its report: `EX_IOERR` of sysexits.h.
pub(super) const NO_REPORT: i32 = 74;

/// What a process reports of a library.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It was opened and closed again. Why it stays in a process all the same, if it does.
    Opened { stays: Option<String> },
    /// It was refused; why.
    Refused(String),
    /// The process could not be sandboxed; why.
    NoSandbox(String),
}

/// Opens a library, and writes what came of it into a file; returns the exit code. `arguments`: those that follow [`OPEN_LIBRARY`].
pub(crate) fn run(arguments: &[OsString]) -> i32 {
    let [policy, app, report, searched, library, needed @ ..] = arguments else {
        eprintln!("{OPEN_LIBRARY}: expected a policy, an app, a file for the report, folders and a library");
        return 2;
    };
    let report: PathBuf = report.into();
    let done = paths(searched, library, needed)
        .and_then(|paths| open_and_report(policy, &app.to_string_lossy(), paths, &report));
    logging::finish();
    match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{OPEN_LIBRARY}: {}: {error}", report.display());
            NO_REPORT
        }
    }
}

/// What is to be opened.
fn paths(searched: &OsString, library: &OsString, needed: &[OsString]) -> io::Result<OpenPaths> {
    let (pairs, _rest) = needed.as_chunks::<2>();
    let of_pair = |[name, path]: &[OsString; 2]| NeededPath {
        name: name.to_string_lossy().into_owned(),
        path: path.into(),
    };
    Ok(OpenPaths {
        library: library.into(),
        needed: pairs.iter().map(of_pair).collect(),
        searched: serde_json::from_slice(searched.as_encoded_bytes())?,
    })
}

fn open_and_report(policy: &OsString, app: &str, paths: OpenPaths, report: &Path) -> io::Result<()> {
    // It ends with the host.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let policy: Policy = serde_json::from_slice(policy.as_encoded_bytes())?;
    let outcome = match policy.enforce() {
        Err(error) => Report::NoSandbox(error.to_string()),
        Ok(in_force) => {
            // Its threads are in the sandbox.
            logging::init_at(LevelFilter::Warn);
            log::debug!("in the sandbox: {:?}", in_force.layers);
            open(app, paths).unwrap_or_else(Report::Refused)
        }
    };
    // Not by a rename: the host reads it after the end of this process.
    fs::write(report, serde_json::to_vec(&outcome)?)
}

fn open(app: &str, paths: OpenPaths) -> Result<Report, String> {
    let app_log = Arc::new(AppLog::new(app.into(), EventBus::default()));
    let context = LibraryContext::new(app.into(), 1, app_log);
    // SAFETY: the open rule: the one who has it checked has inspected it and means to run it in a host, and this process is made
    // for the attempt.
    let library = unsafe { OpenLibrary::open(paths, None, context) };
    let mut library = library.map_err(|error| error.to_string())?;
    // SAFETY: the unload rule: no worker was made, and nobody else has its root.
    let stays = unsafe { library.close() }.err().map(|reason| reason.to_string());
    library.keep();
    Ok(Report::Opened { stays })
}
