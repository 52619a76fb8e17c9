//! `atoll versions`, `promote` and `rollback`.

use std::process::ExitCode;

use atoll_host::internal::admin::{Promoted, VersionState, VersionStatus};
use clap::Args;

use super::arguments::{Form, Format, Registry};
use super::table::{Cell, Column, table};
use super::{out, rollout, style, units};

pub(super) const EXAMPLES: &str = "\
Examples:
  atoll versions hello --to prod
  atoll promote hello 3f2a91c04d7e --to prod
  atoll rollback hello --to prod

A version is a library with the app's settings. The host keeps the current one and, by the setting `keep`, those that served \
before it.";

#[derive(Args, Clone, Debug)]
pub(super) struct VersionsArgs {
    /// The name of the app in apps.json.
    app: String,
    #[command(flatten)]
    registry: Registry,
    #[command(flatten)]
    form: Form,
}

#[derive(Args, Clone, Debug)]
pub(super) struct PromoteArgs {
    /// The name of the app in apps.json.
    app: String,
    /// The version's id, as in `atoll versions`, or its beginning; `new` is the newest that is not the current one.
    version: String,
    /// Promote it although its rollout was aborted.
    #[arg(long)]
    again: bool,
    /// Promote it at once, without a rollout.
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    registry: Registry,
}

#[derive(Args, Clone, Debug)]
pub(super) struct RollbackArgs {
    /// The name of the app in apps.json.
    app: String,
    /// The version's id, as in `atoll versions`, or its beginning [default: the version that served before the current one].
    version: Option<String>,
    /// Roll back on all hosts of a fleet: of the one that apps.json names in `fleet`, or of the one on these NATS servers,
    /// separated by commas.
    #[cfg(feature = "fleet")]
    #[arg(
        long,
        value_name = "NATS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        conflicts_with_all = ["version", "to"]
    )]
    fleet: Option<String>,
    #[command(flatten)]
    registry: Registry,
}

/// Shows the versions of an app.
pub(super) fn run(args: &VersionsArgs) -> anyhow::Result<ExitCode> {
    let versions = args.registry.connect()?.versions(&args.app)?;
    match args.form.format {
        Format::Json => out::print_json(&versions)?,
        Format::Table => out::print_text(&text(&versions))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a version the one that serves.
pub(super) fn promote(args: &PromoteArgs) -> anyhow::Result<ExitCode> {
    let mut host = args.registry.connect()?;
    let promoted = host.promote(&args.app, &args.version, args.again, args.now)?;
    rollout::finish(&mut host, &args.app, &promoted)
}

/// Goes back to a version.
pub(super) fn roll_back(args: &RollbackArgs) -> anyhow::Result<ExitCode> {
    #[cfg(feature = "fleet")]
    if let Some(servers) = &args.fleet {
        return super::fleet::change::roll_back(&args.app, servers, &args.registry.config);
    }
    let mut host = args.registry.connect()?;
    let Some(version) = &args.version else {
        let promoted = Promoted { generation: host.rollback(&args.app)?, rollout: None };
        return rollout::finish(&mut host, &args.app, &promoted);
    };
    // The caller has seen the version serve before.
    let promoted = host.promote(&args.app, version, true, true)?;
    rollout::finish(&mut host, &args.app, &promoted)
}

fn text(versions: &[VersionStatus]) -> String {
    let columns = [
        Column::Left("VERSION"),
        Column::Left("STATE"),
        Column::Left("CREATED"),
        Column::Left("BY"),
        Column::Left("PACKAGE"),
        Column::Left("RUSTC"),
        Column::Right("SIZE"),
        Column::Left("HASH"),
        Column::Left("NOTE"),
    ];
    let rows: Vec<_> = versions.iter().map(row).collect();
    table(columns, &rows)
}

fn row(version: &VersionStatus) -> [Cell; 9] {
    let look = match version.state {
        VersionState::Current => style::GOOD,
        VersionState::Failed => style::BAD,
        VersionState::Staged | VersionState::Previous => style::FAINT,
    };
    let note = version.failure.as_ref().or(version.note.as_ref()).cloned().unwrap_or_default();
    [
        (&*version.id).into(),
        Cell::styled(version.state.to_string(), look),
        units::time(version.created_ms).into(),
        version.by.as_deref().unwrap_or("-").into(),
        (&*version.package).into(),
        version.rustc.trim_start_matches("rustc ").into(),
        units::bytes(version.size).into(),
        (&*version.hash).into(),
        note.into(),
    ]
}
