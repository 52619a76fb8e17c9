//! `atoll describe`.

use std::process::ExitCode;

use atoll_host::config::Origin;
use atoll_host::internal::HistoryEntry;
use atoll_host::internal::PinnedGeneration;
use atoll_host::internal::admin::AppDetails;
use atoll_host::internal::escape;
use atoll_host::internal::{FailureEntry, FaultEntry, FrameEntry, PanicEntry};
use clap::Args;

use super::arguments::{Form, Format, Registry};
use super::table::{Cell, Column, table};
use super::{config, fleet, out, style, units};

#[derive(Args, Clone, Debug)]
pub(super) struct DescribeArgs {
    /// The name of the app in apps.json.
    app: String,
    /// Show the app on all hosts of the fleet that the host is in.
    #[arg(long)]
    fleet: bool,
    #[command(flatten)]
    registry: Registry,
    #[command(flatten)]
    form: Form,
}

/// Shows all that a host knows of an app.
pub(super) fn run(args: &DescribeArgs) -> anyhow::Result<ExitCode> {
    if args.fleet {
        fleet::show::describe(&args.registry, &args.app, args.form.format)?;
        return Ok(ExitCode::SUCCESS);
    }
    let details = args.registry.connect()?.app(&args.app)?;
    match args.form.format {
        Format::Json => out::print_json(&details)?,
        Format::Table => out::print_text(&text(&details))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(app: &AppDetails) -> String {
    let mut text = facts(app);
    let given: Vec<_> =
        app.settings.iter().filter(|(_, setting)| setting.origin != Origin::BuiltIn).collect();
    if !given.is_empty() {
        text += &section("Changed settings", &config::settings(given.into_iter()));
    }
    if !app.status.history.is_empty() {
        text += &section("History", &history(&app.status.history));
    }
    if !app.pinned.is_empty() {
        let line =
            |pinned: &PinnedGeneration| format!("#{}: {}\n", pinned.generation, escape::line(&pinned.reason));
        text += &section("Pinned generations", &app.pinned.iter().map(line).collect::<String>());
    }
    if !app.failures.is_empty() {
        text += &section("Failures", &failures(&app.failures));
    }
    if !app.faults.is_empty() {
        let faults: String = app.faults.iter().map(fault).collect();
        text += &section("Faults that ended the host", &faults);
    }
    if !app.panics.is_empty() {
        let panics: String = app.panics.iter().map(panic).collect();
        text += &section(&format!("Panics ({} in total)", app.panic_count), &panics);
    }
    text
}

/// A title, and under it what it is of, set in.
fn section(title: &str, body: &str) -> String {
    let body: String = body.lines().map(|line| format!("  {line}\n")).collect();
    format!("\n{}\n{body}", style::paint(style::TITLE, title))
}

fn facts(app: &AppDetails) -> String {
    let status = &app.status;
    let mut text = format!("{}\n", style::paint(style::TITLE, &status.name));
    let mut fact = |name: &str, value: &str| text += &format!("  {name:14}{value}\n");
    fact("phase", &style::paint(style::of_phase(&status.phase), &status.phase));
    if let Some(serving) = &status.serving {
        fact("generation", &format!("#{}", serving.number));
        fact("version", &escape::line(&serving.version));
        fact("workers", &serving.workers.to_string());
        fact(
            "requests",
            &format!(
                "{} in flight ({} waiting); {} in total",
                serving.in_flight, serving.waiting, serving.calls
            ),
        );
        if let Some(process) = &serving.process {
            let sandbox = match &process.sandbox {
                Some(layers) => format!("sandbox: {}", layers.join(", ")),
                None => "no sandbox".to_owned(),
            };
            fact("process", &format!("{}; {sandbox}", process.id));
            for missing in &process.missing {
                fact(
                    "",
                    &style::paint(style::WARNING, &format!("the sandbox lacks {}", escape::line(missing))),
                );
            }
        }
        let [live, peak] = [serving.live_bytes, serving.peak_bytes].map(units::bytes);
        fact("heap", &format!("{live} (peak {peak})"));
    }
    fact("path", &app.path);
    let routes = std::iter::once(format!("/apps/{}/", status.name)).chain(status.routes.iter().cloned());
    fact("routes", &routes.collect::<Vec<_>>().join(", "));
    fact("log level", app.log_level.as_deref().unwrap_or("from RUST_LOG"));
    let kept = if status.kept.is_empty() { "none".to_owned() } else { status.kept.join(", ") };
    fact("roll back to", &kept);
    text
}

fn history(entries: &[HistoryEntry]) -> String {
    let row = |entry: &HistoryEntry| -> [Cell; 4] {
        let look = match &*entry.state {
            "serving" => style::GOOD,
            "refused" => style::BAD,
            "pinned" => style::WARNING,
            _ => style::FAINT,
        };
        let state = Cell::styled(&*entry.state, look);
        [
            units::time(entry.at_ms).into(),
            format!("#{}", entry.generation).into(),
            state,
            (&*entry.reason).into(),
        ]
    };
    let columns =
        [Column::Left("TIME"), Column::Right("GENERATION"), Column::Left("STATE"), Column::Left("REASON")];
    table(columns, &entries.iter().map(row).collect::<Vec<_>>())
}

fn failures(entries: &[FailureEntry]) -> String {
    let row = |entry: &FailureEntry| -> [Cell; 5] {
        [
            units::time(entry.at_ms).into(),
            Cell::styled(entry.status.to_string(), style::BAD),
            (&*entry.request).into(),
            (&*entry.request_id).into(),
            (&*entry.detail).into(),
        ]
    };
    let columns = [
        Column::Left("TIME"),
        Column::Right("STATUS"),
        Column::Left("REQUEST"),
        Column::Left("REQUEST ID"),
        Column::Left("DETAIL"),
    ];
    table(columns, &entries.iter().map(row).collect::<Vec<_>>())
}

fn panic(panic: &PanicEntry) -> String {
    let PanicEntry { at_ms, generation, message, location, backtrace } = panic;
    let message = style::paint(style::BAD, &escape::indented(message, "    "));
    let location = escape::line(location);
    let mut text = format!("{} #{generation} at {location}: {message}\n", units::time(*at_ms));
    text += &frames(backtrace);
    text
}

fn fault(fault: &FaultEntry) -> String {
    let what = style::paint(style::BAD, &escape::line(&fault.report()));
    format!("{} {what}\n{}", units::time(fault.at_ms), frames(&fault.backtrace))
}

fn frames(backtrace: &[FrameEntry]) -> String {
    let mut text = String::new();
    for (number, frame) in backtrace.iter().enumerate() {
        let place = frame.location.as_deref().map(|place| format!(" at {place}")).unwrap_or_default();
        let (function, place) = (escape::line(&frame.function), escape::line(&place));
        text += &format!("  {number:3}: {function}{}\n", style::paint(style::FAINT, &place));
    }
    text
}
