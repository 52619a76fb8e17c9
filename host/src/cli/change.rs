//! `atoll start`, `stop`, `reload`, `enable`, `disable` and `log-level`: what changes a running host.

use std::process::ExitCode;

use atoll_host::internal::admin::{AdminClient, AdminError};
use atoll_host::internal::escape;
use clap::{Args, ValueEnum};

use super::arguments::{Apps, Registry};
use super::out;

/// What is done with an app; what is said when it is done.
type Change = fn(&mut AdminClient, &str) -> Result<String, AdminError>;

/// Starts apps, also those that have failed.
pub(super) fn start(apps: &Apps) -> anyhow::Result<ExitCode> {
    each(apps, |host, app| host.start(app).map(|number| format!("{app}#{number} is serving")))
}

/// Takes apps down.
pub(super) fn stop(apps: &Apps) -> anyhow::Result<ExitCode> {
    each(apps, |host, app| host.stop(app).map(|()| format!("{app} stopped; its next request starts it")))
}

/// Reload the libraries of apps.
pub(super) fn reload(apps: &Apps) -> anyhow::Result<ExitCode> {
    each(apps, |host, app| host.reload(app).map(|number| format!("{app}#{number} is serving")))
}

/// Lets requests start apps again.
pub(super) fn enable(apps: &Apps) -> anyhow::Result<ExitCode> {
    each(apps, |host, app| host.enable(app).map(|()| format!("{app} enabled; its next request starts it")))
}

/// Stop apps and reject their requests until they are enabled.
pub(super) fn disable(apps: &Apps) -> anyhow::Result<ExitCode> {
    each(apps, |host, app| {
        let message = |()| format!("{app} disabled until `atoll enable {app}` or a restart of the host");
        host.disable(app).map(message)
    })
}

/// Does the same with each of the apps. One that refuses does not keep the others from it.
fn each(apps: &Apps, change: Change) -> anyhow::Result<ExitCode> {
    let mut host = apps.registry.connect()?;
    let mut code = ExitCode::SUCCESS;
    for app in &apps.names {
        match change(&mut host, app) {
            Ok(message) => out::print(message + "\n")?,
            Err(refused @ AdminError::Refused(_)) => {
                eprintln!("atoll: {}", escape::lines(&refused.to_string()));
                code = ExitCode::FAILURE;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(code)
}

#[derive(Args, Clone, Debug)]
pub(super) struct LogLevelArgs {
    /// The name of the app in apps.json.
    app: String,
    /// The minimum level to log; `default` follows RUST_LOG.
    level: Level,
    #[command(flatten)]
    registry: Registry,
}

/// The level of an app's log records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
    /// The level from the host's `RUST_LOG`.
    Default,
}

/// Filters an app's log records by another level.
pub(super) fn log_level(args: &LogLevelArgs) -> anyhow::Result<ExitCode> {
    let name = args.level.to_possible_value().map(|value| value.get_name().to_owned());
    let level = name.as_deref().filter(|_| args.level != Level::Default);
    args.registry.connect()?.set_log_level(&args.app, level)?;
    let message = match level {
        Some(level) => format!("log level of {} set to {level} until the host restarts\n", args.app),
        None => format!("log level of {} set by RUST_LOG\n", args.app),
    };
    out::print(message)?;
    Ok(ExitCode::SUCCESS)
}
