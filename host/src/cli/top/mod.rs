//! `atoll top`.

mod columns;
mod fleet;
mod live;
mod screen;

use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Context;
use atoll_host::internal::admin::{AdminClient, Stats};
use clap::Args;

use self::columns::{COLUMNS, Order, SortKey, cells};
use super::arguments::{Form, Format, Registry};
use super::table::table;
use super::{fleet as shown_fleet, out, style, table};

pub(super) const EXAMPLES: &str = "\
Keys: n r f p i h sort by name, requests, failures, p99, in flight, heap; the same key again reverses the order. Up, \
down, page up and page down scroll; q quits.

When standard output is not a terminal, or with --format json, the figures of one second are printed; with --fleet, what \
`atoll ls --fleet` prints.";

#[derive(Args, Clone, Debug)]
pub(super) struct TopArgs {
    /// Show the hosts and apps of the fleet that the host is in.
    #[arg(long, conflicts_with = "sort")]
    fleet: bool,
    /// The sort key.
    #[arg(long, value_name = "KEY", default_value = "requests")]
    sort: SortKey,
    #[command(flatten)]
    registry: Registry,
    #[command(flatten)]
    form: Form,
}

/// Shows what the apps do, live or once.
pub(super) fn run(args: &TopArgs) -> anyhow::Result<ExitCode> {
    if args.fleet {
        match args.form.format {
            Format::Table if io::stdout().is_terminal() => fleet::run(args.registry.connect()?)?,
            format => shown_fleet::show::list(&args.registry, format)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut host = args.registry.connect()?;
    let order = Order::new(args.sort);
    match args.form.format {
        Format::Json => out::print_json(&reading(&mut host, order)?)?,
        Format::Table if io::stdout().is_terminal() => screen::run(host, order)?,
        Format::Table => {
            let rows: Vec<_> = reading(&mut host, order)?.apps.iter().map(row).collect();
            out::print_text(&table(COLUMNS, &rows))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(app: &atoll_host::internal::admin::AppStats) -> [table::Cell; COLUMNS.len()] {
    let mut row = cells(app).map(table::Cell::from);
    row[1] = table::Cell::styled(&*app.phase, style::of_phase(&app.phase));
    row
}

/// What the apps do in one second.
fn reading(host: &mut AdminClient, order: Order) -> anyhow::Result<Stats> {
    let mut readings = Vec::new();
    host.follow_stats(|stats| {
        readings.push(stats);
        // The first has no rates: nothing was counted before it.
        if readings.len() < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let mut stats = readings.pop().context("the host has exited")?;
    order.sort(&mut stats.apps);
    Ok(stats)
}
