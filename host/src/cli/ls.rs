//! `atoll ls`.

use std::process::ExitCode;

use atoll_host::internal::admin::{
    AppStatus, GenerationStatus, HostStatus, RolloutState, RolloutStatus, VersionTraffic,
};
use atoll_host::internal::escape;
use clap::Args;

use super::arguments::{Form, Format, Registry};
use super::table::{Cell, Column, table};
use super::{fleet, out, rollout, style, units};

#[derive(Args, Clone, Debug)]
pub(super) struct LsArgs {
    /// Show the hosts and apps of the fleet that the host is in.
    #[arg(long)]
    fleet: bool,
    #[command(flatten)]
    registry: Registry,
    #[command(flatten)]
    form: Form,
}

/// Shows the apps of a host.
pub(super) fn run(args: &LsArgs) -> anyhow::Result<ExitCode> {
    if args.fleet {
        fleet::show::list(&args.registry, args.form.format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let status = args.registry.connect()?.status()?;
    match args.form.format {
        Format::Json => out::print_json(&status)?,
        Format::Table => out::print_text(&text(&status))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(status: &HostStatus) -> String {
    let columns = [
        Column::Left("APP"),
        Column::Left("PHASE"),
        Column::Right("GENERATION"),
        Column::Right("WORKERS"),
        Column::Right("IN FLIGHT"),
        Column::Right("HEAP"),
        Column::Right("PEAK"),
        Column::Left("ROUTES"),
        Column::Left("LAST"),
    ];
    let rows: Vec<_> = status.apps.iter().flat_map(rows_of).collect();
    let mut text = table(columns, &rows);
    for app in &status.apps {
        let Some(rollout) = app.rollout.as_ref().filter(|rollout| rollout.state != RolloutState::Promoted)
        else {
            continue;
        };
        let (look, line) =
            (style_of(rollout), format!("rollout of {}: {}", app.name, rollout::summary(rollout)));
        text += &(style::paint(look, &escape::line(&line)) + "\n");
    }
    for pinned in &status.pinned {
        let line = format!("pinned: {}#{}: {}", pinned.app, pinned.generation, pinned.reason);
        text += &(style::paint(style::WARNING, &escape::line(&line)) + "\n");
    }
    if let Some(fault) = &status.fault {
        let line = format!("fault: {} at {}", fault.report(), units::time(fault.at_ms));
        text += &(style::paint(style::BAD, &escape::line(&line)) + "\n");
    }
    text
}

fn style_of(rollout: &RolloutStatus) -> anstyle::Style {
    if rollout.state == RolloutState::Aborted { style::BAD } else { style::FAINT }
}

/// The row of an app, and those of the versions that serve beside its current one.
fn rows_of(app: &AppStatus) -> Vec<[Cell; 9]> {
    let last = app.history.last();
    let last = last.map(|entry| format!("#{} {} {}", entry.generation, entry.state, entry.reason));
    let own =
        row(&app.name, &app.phase, app.serving.as_ref(), app.routes.join(", "), last.unwrap_or_default());
    [own].into_iter().chain(app.traffic.iter().map(|version| row_of_version(&app.name, version))).collect()
}

fn row_of_version(app: &str, version: &VersionTraffic) -> [Cell; 9] {
    let VersionTraffic { version, weight, preview, phase, serving, requests, failures, .. } = version;
    let name = format!("{app}@{version}");
    let preview = if *preview { format!("/apps/{name}/") } else { String::new() };
    let last = format!("{weight} % of the clients, {requests} responses, {failures} failed");
    row(&name, phase, serving.as_ref(), preview, last)
}

fn row(
    name: &str,
    phase: &str,
    serving: Option<&GenerationStatus>,
    routes: String,
    last: String,
) -> [Cell; 9] {
    let cells = serving.map_or(["-"; 5].map(str::to_owned), |generation| {
        [
            generation.number.to_string(),
            generation.workers.to_string(),
            generation.in_flight.to_string(),
            units::bytes(generation.live_bytes),
            units::bytes(generation.peak_bytes),
        ]
    });
    let [number, workers, in_flight, live, peak] = cells.map(Cell::from);
    let phase = Cell::styled(phase, style::of_phase(phase));
    [name.into(), phase, number, workers, in_flight, live, peak, routes.into(), last.into()]
}
