//! `atoll deploy`.

use std::process::ExitCode;

use anyhow::bail;
use atoll_host::config::FleetSettings;
use atoll_host::internal::build::Symbols;
use atoll_host::internal::escape;
use atoll_host::internal::fleet::nats::{Fleet, FleetError};
use atoll_host::internal::fleet::{Strategy, UNUSED_AGE};
use atoll_host::logging;
use clap::Args;
use log::LevelFilter;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use super::arguments::{ConfigArgs, FleetArgs, StrategyArgs, check_note};
use super::release::{Built, releases};
use super::rollout::{Before, Reporter, Rolled, roll_out};
use super::signing::SigningArgs;
use crate::cli::arguments::{Form, Format};
use crate::cli::{built, out};

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  atoll deploy --fleet                               all apps in ./apps.json, to the fleet that it names
  atoll deploy hello --fleet --wave 2 --hold 60      one host first, then two at a time, with a minute in between
  atoll deploy hello --fleet=nats://10.0.0.5:4222    to the fleet `default` on this server

Each app is built and checked as with `atoll build`, and uploaded to NATS. One host gets it first; it checks the library again and \
serves it as if it had been pushed to that host. When it serves without errors, the other hosts get it. If a host refuses it, or has \
errors with it, all hosts go back to the version before, and the command fails with the reason.

If the command is ended, the rollout waits: run it again to resume. Two people cannot deploy an app at once: the second one gets a \
conflict.

Exit codes:
  0  all hosts serve the apps
  1  a build or a check failed, someone else has changed the app, or the fleet cannot be reached
  2  the arguments are wrong
  4  a version went back, because of a host";

/// The exit code when a version went back.
const WENT_BACK: u8 = 4;

#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct DeployArgs {
    /// The apps to deploy [default: all].
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    #[command(flatten)]
    fleet: FleetArgs,
    /// A note for the list of versions.
    #[arg(short = 'm', long = "note", value_name = "NOTE")]
    note: Option<String>,
    #[command(flatten)]
    signing: SigningArgs,
    #[command(flatten)]
    strategy: StrategyArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// The symbols to keep for panic backtraces.
    #[arg(long, value_name = "SYMBOLS", default_value = "names")]
    symbols: Symbols,
    #[command(flatten)]
    form: Form,
}

/// Builds apps, and has the hosts of a fleet serve them.
pub(in crate::cli) fn run(args: &DeployArgs) -> anyhow::Result<ExitCode> {
    logging::init_at(LevelFilter::Warn);
    check_note(args.note.as_deref())?;
    let settings = args.fleet.settings(&args.config.config)?;
    let signer = args.signing.signer(&settings)?;
    let (config, text) = built::load(&args.config.config, &args.apps)?;
    let wanted = built::wanted(&config, &args.apps);
    if wanted.is_empty() {
        bail!("{} has no apps to deploy", args.config.config.display());
    }
    let runtime = runtime()?;
    // What others change from here on is a conflict.
    let names: Vec<_> = wanted.iter().map(|app| app.name.clone()).collect();
    let before = runtime.block_on(records(&settings, &names))?;
    let Some(ready) = built::ready(&wanted, args.symbols, "the fleet is unchanged")? else {
        return Ok(ExitCode::FAILURE);
    };
    let mut releases = releases(&ready, &text, args.note.as_deref())?;
    signer.sign(&mut releases)?;
    let releases = releases.into_iter().zip(before).collect();
    roll_out_all(&runtime, &settings, releases, &args.strategy.get(), args.form)
}

/// A runtime for the connection to NATS.
pub(super) fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// The records of apps.
pub(super) async fn records(settings: &FleetSettings, names: &[String]) -> Result<Vec<Before>, FleetError> {
    let fleet = Fleet::connect(settings).await?;
    let mut records = Vec::new();
    for name in names {
        records.push(fleet.record(name).await?);
    }
    Ok(records)
}

/// Rolls versions out, one after the other, until one goes back.
pub(super) fn roll_out_all(
    runtime: &Runtime,
    settings: &FleetSettings,
    releases: Vec<(Built, Before)>,
    strategy: &Strategy,
    form: Form,
) -> anyhow::Result<ExitCode> {
    let is_json = form.format == Format::Json;
    let reporter = Reporter { is_verbose: !is_json };
    let (mut done, mut code) = (Vec::new(), ExitCode::SUCCESS);
    for (built, before) in releases {
        let (app, version) = (&built.app, &built.release.version);
        let rolled = runtime.block_on(roll_out(settings, &built, before, strategy, reporter))?;
        match &rolled {
            Rolled::Out(hosts) => {
                done.push(json!({ "name": app, "version": version, "hosts": hosts, "failure": null }));
                if !is_json {
                    let hosts = crate::cli::units::count(*hosts, "host");
                    out::print(format!("{app}: version {version} is on {hosts}\n"))?;
                }
            }
            Rolled::Back(reason) => {
                done.push(json!({ "name": app, "version": version, "hosts": 0, "failure": reason }));
                eprintln!("atoll: {app}: the version {version} went back: {}", escape::line(reason));
                code = WENT_BACK.into();
                break;
            }
        }
    }
    if is_json {
        out::print_json(&json!({ "apps": done }))?;
    }
    // The apps are deployed all the same.
    match runtime.block_on(async { Fleet::connect(settings).await?.remove_unused(UNUSED_AGE).await }) {
        Ok(0) => {}
        Ok(_) if is_json => {}
        Ok(removed) => {
            out::print(format!("unused libraries removed from NATS: {removed}\n"))?;
        }
        Err(error) => log::warn!("{error}"),
    }
    Ok(code)
}
