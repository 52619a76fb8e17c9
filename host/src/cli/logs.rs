//! `atoll logs`.

use std::future::pending;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::process::ExitCode;

use atoll_host::internal::LogEntry;
use atoll_host::internal::admin::Followed;
use atoll_host::internal::escape;
use clap::Args;
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;
use tokio::signal::ctrl_c;

use super::arguments::{Form, Format, Registry};
use super::{out, style, units};

pub(super) const EXAMPLES: &str = "\
Examples:
  atoll logs hello             the most recent records, up to 500
  atoll logs -n 20 -f hello    the last 20, and new ones until Ctrl-C
  atoll logs hello --version 3f2a91c04d7e
  atoll logs --format json hello | jq 'select(.level == \"error\")'

With --format json, each line is one record.";

#[derive(Args, Clone, Debug)]
pub(super) struct LogsArgs {
    /// The name of the app in apps.json.
    app: String,
    /// The id of a version that serves beside the current one [default: the current one].
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Follow new records until SIGINT.
    #[arg(short, long)]
    follow: bool,
    /// The number of most recent records to show [default: all].
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<u32>,
    #[command(flatten)]
    registry: Registry,
    #[command(flatten)]
    form: Form,
}

/// Shows the log records of an app.
pub(super) fn run(args: &LogsArgs) -> anyhow::Result<ExitCode> {
    let mut host = args.registry.connect()?;
    let limit = args.tail.unwrap_or(u32::MAX);
    let mut printed = Ok(());
    if args.follow {
        host.follow_log(&args.app, args.version.as_deref(), limit, end(), |followed| {
            print(&followed, args.form.format).unwrap_or_else(|error| {
                printed = Err(error);
                ControlFlow::Break(())
            })
        })?;
    } else {
        for record in host.log(&args.app, args.version.as_deref(), limit)? {
            if print(&Followed::Record(record), args.form.format)?.is_break() {
                break;
            }
        }
    }
    printed?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for SIGINT, or until standard output is closed.
async fn end() {
    tokio::select! {
        Ok(()) = ctrl_c() => {}
        () = nobody_reads() => {}
    }
}

/// Waits until the other end of the pipe is closed, also when nothing is written.
async fn nobody_reads() {
    let stdout = io::stdout().as_fd().try_clone_to_owned();
    // It is not written to by this sender, and a file, which cannot be awaited, has no other end.
    if let Ok(stdout) = stdout.and_then(Sender::from_owned_fd_unchecked)
        && stdout.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    pending().await
}

fn print(followed: &Followed, format: Format) -> io::Result<ControlFlow<()>> {
    match (followed, format) {
        (Followed::Record(record), Format::Table) => out::print_on(&line(record)),
        (Followed::Record(record), Format::Json) => {
            out::print_on(&format!("{}\n", escape::json(&serde_json::to_string(record)?)))
        }
        (Followed::Missed(count), _) => {
            let records = units::count(usize::try_from(*count).unwrap_or(usize::MAX), "record");
            eprintln!("atoll: {records} skipped: reading was too slow");
            Ok(ControlFlow::Continue(()))
        }
    }
}

fn line(record: &LogEntry) -> String {
    let time = style::paint(style::FAINT, &units::time(record.at_ms));
    let level = style::paint(style::of_level(&record.level), &format!("{:5}", record.level.to_uppercase()));
    let origin = format!("#{} {}:", record.generation, escape::line(&record.target));
    // A record begins at the left with its time: no line of a message is there.
    let message = escape::indented(&record.message, "    ");
    let mut fields = record.fields.to_string();
    if !fields.is_empty() {
        fields = style::paint(style::FAINT, &escape::line(&fields));
    }
    format!("{time} {level} {} {message}{fields}\n", style::paint(style::FAINT, &origin))
}
