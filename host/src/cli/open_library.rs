//! `atoll open-library`: run by `atoll check` and similar commands for each library, in a process that the library may
//! crash.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use atoll_host::internal::check::{Opener, open_and_report};
use atoll_host::logging;
use clap::Args;
use log::LevelFilter;

/// The name of the command.
pub(super) const NAME: &str = "open-library";

#[derive(Args, Clone, Debug)]
pub(super) struct OpenLibraryArgs {
    /// The name of the app.
    app: String,
    /// The staged copy.
    library: PathBuf,
    /// The file to write.
    report: PathBuf,
}

/// Starts this command.
pub(super) fn opener() -> Opener {
    // Also when the file of this program has been replaced.
    Opener::new("/proc/self/exe", [NAME])
}

/// Opens a library, and reports what came of it.
pub(super) fn run(args: &OpenLibraryArgs) -> anyhow::Result<ExitCode> {
    logging::init_at(LevelFilter::Warn);
    open_and_report(&args.app, &args.library, &args.report)
        .with_context(|| format!("{}", args.report.display()))?;
    Ok(ExitCode::SUCCESS)
}
