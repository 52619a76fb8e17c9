//! `atoll remove`, and `atoll rollback --fleet`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use atoll_host::config::FleetSettings;
use atoll_host::internal::fleet::Record;
use atoll_host::internal::fleet::nats::Fleet;
use atoll_host::logging;
use clap::Args;
use log::LevelFilter;

use super::arguments::{ConfigArgs, FleetArgs, settings, who};
use super::deploy::runtime;
use super::rollout::settle;
use crate::cli::out;
use crate::cli::units::{count, now_ms};

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  atoll remove hello --fleet

The record of the app in NATS is replaced by one that it was removed, and each host removes the app with its library when it sees \
that, also a host that joins later. A record that is missing, for example because a NATS server has lost its data, removes \
nothing. `atoll rollback APP --fleet` brings the app back.";

/// How long hosts may take to remove an app or to go back to another version.
const TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct RemoveArgs {
    /// The name of the app.
    app: String,
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Removes an app from all hosts of a fleet.
pub(in crate::cli) fn remove(args: &RemoveArgs) -> anyhow::Result<ExitCode> {
    let (settings, app) = (args.fleet.settings(&args.config.config)?, &*args.app);
    let hosts = change(&settings, app, |before| {
        let before = before.with_context(|| format!("the fleet {} has no app {app}", settings.name))?;
        Ok(Record::removed(Some(before), &who(), now_ms()))
    })?;
    out::print(format!("{app}: removed from {}\n", count(hosts, "host")))?;
    Ok(ExitCode::SUCCESS)
}

/// Has all hosts of a fleet serve the version of an app before the last one.
pub(in crate::cli) fn roll_back(app: &str, servers: &str, config: &Path) -> anyhow::Result<ExitCode> {
    let settings = settings(servers, config)?;
    let mut version = String::new();
    let hosts = change(&settings, app, |before| {
        let before = before.with_context(|| format!("the fleet {} has no app {app}", settings.name))?;
        let back = before.rolled_back(app, now_ms())?;
        version = back.target.release().map(|release| release.version.clone()).unwrap_or_default();
        Ok(back)
    })?;
    out::print(format!("{app}: version {version} is on {}\n", count(hosts, "host")))?;
    Ok(ExitCode::SUCCESS)
}

/// Replaces the record of an app, and waits for the hosts; how many there are.
fn change(
    fleet: &FleetSettings,
    app: &str,
    change: impl FnOnce(Option<&Record>) -> anyhow::Result<Record>,
) -> anyhow::Result<usize> {
    logging::init_at(LevelFilter::Warn);
    runtime()?.block_on(async {
        let connection = Fleet::connect(fleet).await?;
        let before = connection.record(app).await?;
        let record = change(before.as_ref().map(|(record, _)| record))?;
        let revision = before.map(|(_, revision)| revision);
        let revision = connection.publish(app, &record, revision).await?;
        drop(connection);
        let hosts = settle(fleet, app, (record, revision), TIMEOUT).await;
        match hosts {
            Ok(hosts) => Ok(hosts),
            Err(error) => {
                bail!("{error:#}; the fleet is changed all the same, see `atoll describe {app} --fleet`")
            }
        }
    })
}
