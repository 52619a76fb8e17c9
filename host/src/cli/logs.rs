//! `atoll logs`.

use std::io;
use std::ops::ControlFlow;
use std::process::ExitCode;

use atoll_host::admin::Followed;
use atoll_host::journal::LogEntry;
use clap::Args;

use super::arguments::{Form, Format, Registry};
use super::{out, style, units};

pub(super) const EXAMPLES: &str = "\
Examples:
  atoll logs hello             what the host has kept: up to 500 records
  atoll logs -n 20 -f hello    the last 20, and those that come, until Ctrl-C
  atoll logs --format json hello | jq 'select(.level == \"error\")'

With --format json, each line is a record.";

#[derive(Args, Clone, Debug)]
pub(super) struct LogsArgs {
    /// The app's name in the registry.
    app: String,
    /// Go on with the records that come, until SIGINT.
    #[arg(short, long)]
    follow: bool,
    /// How many of the last records are shown [default: all that are kept].
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<usize>,
    #[command(flatten)]
    registry: Registry,
    #[command(flatten)]
    form: Form,
}

/// Shows the log records of an app.
pub(super) fn run(args: &LogsArgs) -> anyhow::Result<ExitCode> {
    let mut host = args.registry.connect()?;
    let limit = args.tail.unwrap_or(usize::MAX);
    let mut printed = Ok(());
    if args.follow {
        let interrupted = async {
            if let Err(error) = tokio::signal::ctrl_c().await {
                log::warn!("SIGINT cannot be awaited: {error}");
                std::future::pending::<()>().await;
            }
        };
        host.follow_log(&args.app, limit, interrupted, |followed| {
            print(&followed, args.form.format).unwrap_or_else(|error| {
                printed = Err(error);
                ControlFlow::Break(())
            })
        })?;
    } else {
        for record in host.log(&args.app, limit)? {
            if print(&Followed::Record(record), args.form.format)?.is_break() {
                break;
            }
        }
    }
    printed?;
    Ok(ExitCode::SUCCESS)
}

fn print(followed: &Followed, format: Format) -> io::Result<ControlFlow<()>> {
    match (followed, format) {
        (Followed::Record(record), Format::Table) => out::print_on(&line(record)),
        (Followed::Record(record), Format::Json) => out::print_on(&(serde_json::to_string(record)? + "\n")),
        (Followed::Missed(count), _) => {
            let records = units::count(usize::try_from(*count).unwrap_or(usize::MAX), "record");
            eprintln!("atoll: {records} came too fast to be read, and are missing here");
            Ok(ControlFlow::Continue(()))
        }
    }
}

fn line(record: &LogEntry) -> String {
    let time = style::paint(style::FAINT, &units::time(record.at_ms));
    let level = style::paint(style::of_level(&record.level), &format!("{:5}", record.level.to_uppercase()));
    let origin = style::paint(style::FAINT, &format!("#{} {}:", record.generation, record.target));
    format!("{time} {level} {origin} {}\n", record.message)
}
