//! `atoll apply`.

use std::path::PathBuf;
use std::process::ExitCode;

use atoll_host::internal::build::Symbols;
use atoll_host::internal::fleet::nats::{Fleet, FleetError};
use atoll_host::internal::fleet::{Record, Target};
use atoll_host::logging;
use clap::Args;
use log::LevelFilter;

use super::arguments::{FleetArgs, StrategyArgs, check_note};
use super::deploy::{records, roll_out_all, runtime};
use super::release::releases;
use super::signing::SigningArgs;
use crate::cli::arguments::Form;
use crate::cli::{built, out};

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  atoll apply apps.json --fleet          show what would change
  atoll apply apps.json --fleet --yes    make the fleet have the apps of this file

Each app in the file is built and compared with the fleet. With --yes, those that differ are rolled out as with `atoll deploy`. Apps of \
the fleet that the file does not have stay: `atoll remove APP --fleet` removes them. Use it also to restore a fleet whose NATS server \
has lost its data: hosts that serve the versions already are not touched.";

#[derive(Args, Clone, Debug)]
pub(in crate::cli) struct ApplyArgs {
    /// The apps.json file.
    #[arg(value_name = "FILE", default_value = "apps.json")]
    config: PathBuf,
    #[command(flatten)]
    fleet: FleetArgs,
    /// Carry out the plan. Without it, the command only prints it.
    #[arg(long)]
    yes: bool,
    /// A note for the list of versions.
    #[arg(short = 'm', long = "note", value_name = "NOTE")]
    note: Option<String>,
    #[command(flatten)]
    signing: SigningArgs,
    #[command(flatten)]
    strategy: StrategyArgs,
    /// The symbols to keep for panic backtraces.
    #[arg(long, value_name = "SYMBOLS", default_value = "names")]
    symbols: Symbols,
    #[command(flatten)]
    form: Form,
}

/// Has a fleet have the apps of a file.
pub(in crate::cli) fn run(args: &ApplyArgs) -> anyhow::Result<ExitCode> {
    logging::init_at(LevelFilter::Warn);
    check_note(args.note.as_deref())?;
    let settings = args.fleet.settings(&args.config)?;
    // A plan needs no signature.
    let signer = if args.yes { Some(args.signing.signer(&settings)?) } else { None };
    let (config, text) = built::load(&args.config, &[])?;
    let wanted = built::wanted(&config, &[]);
    let runtime = runtime()?;
    let names: Vec<_> = wanted.iter().map(|app| app.name.clone()).collect();
    let before = runtime.block_on(records(&settings, &names))?;
    let others: Vec<String> = runtime.block_on(async {
        let fleet = Fleet::connect(&settings).await?;
        let mut others = Vec::new();
        for app in fleet.apps().await? {
            if !names.contains(&app) && fleet.record(&app).await?.is_some() {
                others.push(app);
            }
        }
        Ok::<_, FleetError>(others)
    })?;
    let Some(ready) = built::ready(&wanted, args.symbols, "the fleet is unchanged")? else {
        return Ok(ExitCode::FAILURE);
    };
    let mut releases = releases(&ready, &text, args.note.as_deref())?;
    if let Some(signer) = signer {
        signer.sign(&mut releases)?;
    }
    let releases: Vec<_> = releases.into_iter().zip(before).collect();
    let mut plan = String::new();
    for (built, before) in &releases {
        let record = before.as_ref().map(|(record, _)| record);
        plan += &line(&built.app, &built.release.version, record);
    }
    for app in others {
        plan += &format!("  {app}: not in {}; stays as it is\n", args.config.display());
    }
    let is_table = args.form.format == crate::cli::arguments::Format::Table;
    if is_table {
        out::print(plan)?;
    }
    if !args.yes {
        eprintln!("atoll: nothing is changed; add --yes to carry this out");
        return Ok(ExitCode::SUCCESS);
    }
    roll_out_all(&runtime, &settings, releases, &args.strategy.get(), args.form)
}

/// What is to be done with an app.
fn line(app: &str, version: &str, record: Option<&Record>) -> String {
    match record.map(|record| &record.target) {
        None => format!("+ {app}: {version}\n"),
        Some(Target::Version(release)) if release.version == version => format!("= {app}: {version}\n"),
        Some(Target::Version(release)) => format!("~ {app}: {} -> {version}\n", release.version),
        Some(Target::Removed(_)) => format!("+ {app}: removed -> {version}\n"),
        Some(Target::Withdrawn(withdrawn)) => format!("+ {app}: {withdrawn} went back -> {version}\n"),
    }
}
