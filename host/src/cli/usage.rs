//! `atoll usage`.

use std::path::Path;
use std::process::ExitCode;

use atoll_host::internal::admin::AdminError;
use atoll_host::internal::usage::{self, UsageEntry, UsageError, UsageReport};
use clap::{Args, ValueEnum};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};

use super::arguments::Registry;
use super::state_dir::StateDir;
use super::table::{Cell, Column, table};
use super::{out, style, units};

pub(super) const EXAMPLES: &str = "\
Examples:
  atoll usage                                   all that was counted, by app and library
  atoll usage --since 24h shop
  atoll usage --since 2026-01-01 --until 2026-02-01 --format csv > january.csv

Usage is kept by hour: a time stands for its hour. If no host is running, the totals are those that the last host wrote.";

#[derive(Args, Clone, Debug)]
pub(super) struct UsageArgs {
    /// The names of apps, including apps that are no longer in apps.json [default: all].
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    /// Start with the hour of this time: `24h` or `7d` ago, a date in UTC, or an RFC 3339 time [default: the beginning].
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<Timestamp>,
    /// End before this time, in the same formats; an hour that has begun counts as a whole [default: now].
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<Timestamp>,
    #[command(flatten)]
    registry: Registry,
    #[command(flatten)]
    state: StateDir,
    /// The output format.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: UsageFormat,
}

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum UsageFormat {
    /// Human-readable text.
    Table,
    /// JSON, with all details.
    Json,
    /// A line for each app and library, below one with the names of the columns.
    Csv,
}

/// Shows what apps have used.
pub(super) fn run(args: &UsageArgs) -> anyhow::Result<ExitCode> {
    let [since, until] = [args.since, args.until].map(|time| time.map(milliseconds));
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since > until
    {
        anyhow::bail!("--since {since} is after --until {until}");
    }
    let mut report = report(args, since, until)?;
    if let Some(unknown) = args.apps.iter().find(|app| report.apps.iter().all(|entry| entry.app != **app)) {
        eprintln!("atoll: no usage of the app `{unknown}` was counted in this time");
    }
    if !args.apps.is_empty() {
        report.retain(|app| args.apps.iter().any(|wanted| wanted == app));
    }
    if let Some(since) = report.complete_since_ms {
        eprintln!(
            "atoll: the report has no hours before {}: they are kept as a single total; to include it, omit --since and --until",
            units::time(since)
        );
    }
    match args.format {
        UsageFormat::Table => out::print_text(&text(&report.apps))?,
        UsageFormat::Json => out::print_json(&report)?,
        UsageFormat::Csv => out::print(csv(&report.apps)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// From the host that runs, or from what the last one has left.
fn report(args: &UsageArgs, since: Option<u64>, until: Option<u64>) -> anyhow::Result<UsageReport> {
    let no_host = match args.registry.connect() {
        Ok(mut host) => return Ok(host.usage(since, until)?),
        Err(error) if matches!(error.downcast_ref(), Some(AdminError::NoHost { .. })) => error,
        Err(error) => return Err(error),
    };
    let Some(state) = args.state.path() else { return Err(no_host) };
    let config: &Path = &args.registry.config;
    let folder = usage::folder_of(&state, config);
    let report = match usage::read(&folder, since, until) {
        Err(nothing @ UsageError::Nothing { .. }) => {
            return Err(no_host.context(nothing));
        }
        report => report?,
    };
    eprintln!(
        "atoll: no host is running for {}: usage until {}, from {}",
        config.display(),
        units::time(report.read_ms),
        folder.display()
    );
    Ok(report)
}

fn milliseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or(0)
}

/// `24h`: so long ago; `2026-01-31`: the beginning of this day in UTC; `2026-01-31T12:00:00Z`.
fn when(text: &str) -> Result<Timestamp, String> {
    let ago = |span: Span| {
        let time = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        Timestamp::now().checked_sub(time.abs()).ok()
    };
    let of_day = |day: Date| Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp());
    // Parsing as a date would accept a time of the day, and leave it out.
    let time = text.parse().ok().or_else(|| Date::strptime("%Y-%m-%d", text).ok().and_then(of_day));
    let time = time.or_else(|| text.parse().ok().and_then(ago));
    time.ok_or_else(|| "expected a time such as 24h (ago), 7d, 2026-01-31 or 2026-01-31T12:00:00Z".to_owned())
}

fn text(entries: &[UsageEntry]) -> String {
    let columns = [
        Column::Left("APP"),
        Column::Left("LIBRARY"),
        Column::Right("UPTIME"),
        Column::Right("CPU"),
        Column::Right("HEAP GiB·h"),
        Column::Right("REQUESTS"),
        Column::Right("RECEIVED"),
        Column::Right("SENT"),
        Column::Right("COLD STARTS"),
    ];
    table(columns, &entries.iter().map(row).collect::<Vec<_>>())
}

fn row(entry: &UsageEntry) -> [Cell; 9] {
    const GIB_HOUR: f64 = (1_u64 << 30) as f64 * 3600.0;
    [
        (&*entry.app).into(),
        Cell::styled(&*entry.library, style::FAINT),
        format!("{:.0} s", entry.uptime_seconds).into(),
        format!("{:.2} s", entry.cpu_seconds).into(),
        format!("{:.4}", entry.heap_byte_seconds as f64 / GIB_HOUR).into(),
        entry.requests.to_string().into(),
        units::bytes(entry.received_bytes).into(),
        units::bytes(entry.sent_bytes).into(),
        entry.cold_starts.to_string().into(),
    ]
}

fn csv(entries: &[UsageEntry]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    // Also where there are no entries.
    writer.write_record(COLUMNS)?;
    for entry in entries {
        writer.serialize(entry)?;
    }
    Ok(writer.into_inner()?)
}

/// The columns, in the order of an entry's fields.
const COLUMNS: [&str; 9] = [
    "app",
    "library",
    "uptime_seconds",
    "cpu_seconds",
    "heap_byte_seconds",
    "requests",
    "received_bytes",
    "sent_bytes",
    "cold_starts",
];

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn entry() -> UsageEntry {
        UsageEntry {
            app: "shop".to_owned(),
            library: "0123456789ab".to_owned(),
            uptime_seconds: 3600.5,
            cpu_seconds: 12.25,
            heap_byte_seconds: 1800 << 30,
            requests: 7,
            received_bytes: 2048,
            sent_bytes: 5,
            cold_starts: 1,
        }
    }

    #[test]
    fn times_are_ago_or_of_a_calendar() {
        assert_eq!(when("2026-01-31").unwrap().to_string(), "2026-01-31T00:00:00Z");
        assert_eq!(when("2026-01-31T12:00:00+02:00").unwrap().to_string(), "2026-01-31T10:00:00Z");
        for (text, minutes) in [("24h", 24 * 60), ("7d", 7 * 24 * 60), ("90m", 90), ("1d 2h", 26 * 60)] {
            let ago = SignedDuration::from_mins(minutes);
            let before = Timestamp::now() - ago;
            let time = when(text).unwrap();
            assert!(before <= time && time <= Timestamp::now() - ago, "{text}: {time}");
        }
        for text in ["", "yesterday", "24", "2026-13-01", "2026-01-31T12:00:00"] {
            let refused = when(text).unwrap_err();
            assert!(refused.contains("expected a time such as 24h"), "{text}: {refused}");
        }
    }

    #[test]
    fn the_columns_are_the_fields() {
        let fields = serde_json::to_value(entry()).unwrap();
        assert_eq!(fields.as_object().unwrap().len(), COLUMNS.len());
        assert!(COLUMNS.iter().all(|name| fields.get(name).is_some()), "{fields}");
        let text = String::from_utf8(csv(&[entry()]).unwrap()).unwrap();
        let (head, line) = text.split_once('\n').unwrap();
        assert_eq!(head.split(',').collect::<Vec<_>>(), COLUMNS);
        assert_eq!(line, "shop,0123456789ab,3600.5,12.25,1932735283200,7,2048,5,1\n");
        assert_eq!(csv(&[]).unwrap(), format!("{head}\n").into_bytes());
    }

    #[test]
    fn a_table_has_units() {
        let text = anstream::adapter::strip_str(&text(&[entry()])).to_string();
        let line = text.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(line, "shop 0123456789ab 3600 s 12.25 s 0.5000 7 2.0 KiB 5 B 1");
    }
}
