//! `atoll doctor`.

mod certificates;
mod finding;
#[cfg(feature = "fleet")]
mod fleet;
mod folder;
mod glibc;
mod host;
mod limits;
mod registry;
mod sandbox;
mod server;
mod system;

use std::path::PathBuf;
use std::process::ExitCode;

use atoll_host::ListenAddress;
use atoll_host::logging;
use clap::Args;
use log::LevelFilter;

use self::finding::{Finding, Level};
use super::arguments::{Form, Format};
use super::{out, units};

pub(super) const EXAMPLES: &str = "\
The exit code is 1 if a problem was found, else 0. Each library is opened (which runs its constructors) and closed in \
a separate process; no app is started.";

#[derive(Args, Clone, Debug)]
pub(super) struct DoctorArgs {
    /// The apps.json file.
    #[arg(long, value_name = "FILE", default_value = "apps.json")]
    config: PathBuf,
    /// The address that you want a host to listen on. Repeatable.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: Vec<ListenAddress>,
    #[command(flatten)]
    form: Form,
}

/// Diagnoses problems with the machine, the registry, the libraries and the host.
pub(super) fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    // What the checks find is printed, and not logged as well.
    logging::init_at(LevelFilter::Off);
    let mut findings = system::check();
    findings.extend(sandbox::check());
    findings.extend(folder::check());
    findings.extend(limits::check());
    findings.extend(registry::check(&args.config));
    #[cfg(feature = "fleet")]
    findings.extend(fleet::check(&args.config));
    findings.extend(host::check(&args.config, &args.listen));
    match args.form.format {
        Format::Json => out::print_json(&findings)?,
        Format::Table => {
            let lines: String = findings.iter().map(Finding::to_text).collect();
            out::print_text(&(lines + &summary(&findings)))?;
        }
    }
    let is_bad = findings.iter().any(|finding| finding.level == Level::Problem);
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn summary(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
    format!("\n{}, {}\n", units::count(problems, "problem"), units::count(warnings, "warning"))
}
