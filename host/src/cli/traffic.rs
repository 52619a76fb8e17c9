//! `atoll traffic`.

use std::process::ExitCode;
use std::str::FromStr;

use atoll_host::internal::admin::{
    EvidenceStatus, NewTraffic, NewVersionTraffic, RolloutStatus, TrafficStatus, VersionFigures,
    VersionTraffic,
};
use atoll_host::internal::escape;
use clap::Args;

use super::arguments::{Form, Format, Registry};
use super::table::{Cell, Column, table};
use super::{out, rollout, style, units};

pub(super) const EXAMPLES: &str = "\
Examples:
  atoll traffic hello                            show how the traffic is split
  atoll traffic hello new=5                      the newest version serves 5 % of the clients
  atoll traffic hello 3f2a=10 b17c=0.5           two versions beside the current one
  atoll traffic hello 3f2a=0 --preview           it serves at /apps/hello@3f2a91c04d7e/ only
  atoll traffic hello --end                      the current version serves all clients again

The versions that you name serve beside the current one, and those that you do not name no longer do. A client keeps its version: \
by its address, or by the setting `sticky`. A request with the header X-Atoll-Version chooses its version by id, or `current`; that \
takes a token with the permission deploy in X-Atoll-Token, or a client in a trusted network.

`atoll promote` makes a version the current one and ends the split.";

#[derive(Args, Clone, Debug)]
pub(super) struct TrafficArgs {
    /// The name of the app in apps.json.
    app: String,
    /// A version and the percentage of the clients that it serves: its id, as in `atoll versions`, or the beginning of it; `new`
    /// is the newest version that is not the current one.
    #[arg(value_name = "VERSION=PERCENT")]
    versions: Vec<Weight>,
    /// Open the versions to everyone at /apps/APP@VERSION/.
    #[arg(long, requires = "versions")]
    preview: bool,
    /// Let the current version serve all clients.
    #[arg(long, conflicts_with_all = ["versions", "preview"])]
    end: bool,
    #[command(flatten)]
    registry: Registry,
    #[command(flatten)]
    form: Form,
}

/// A version with its weight.
#[derive(Clone, Debug, PartialEq)]
struct Weight {
    version: String,
    percent: f64,
}

impl FromStr for Weight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a version and a percentage, such as 3f2a=5 or new=0.5".to_owned();
        let (version, percent) = text.split_once('=').ok_or_else(expected)?;
        let percent = percent.trim_end_matches('%').parse().map_err(|_| expected())?;
        if version.is_empty() || !(0.0..=100.0).contains(&percent) {
            return Err(expected());
        }
        Ok(Self { version: version.to_owned(), percent })
    }
}

/// Shows or changes how the requests to an app are split between its versions.
pub(super) fn run(args: &TrafficArgs) -> anyhow::Result<ExitCode> {
    let mut host = args.registry.connect()?;
    let status = if args.versions.is_empty() && !args.end {
        host.traffic(&args.app)?
    } else {
        let versions = args.versions.iter().map(|weight| NewVersionTraffic {
            version: weight.version.clone(),
            weight: weight.percent,
            preview: args.preview,
        });
        host.set_traffic(&args.app, &NewTraffic { versions: versions.collect() })?
    };
    match args.form.format {
        Format::Json => out::print_json(&status)?,
        Format::Table => {
            out::print_text(&text(&args.app, &status))?;
            if let Some(rollout) = &status.rollout {
                out::print_text(&rollout_text(rollout))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(app: &str, status: &TrafficStatus) -> String {
    let columns = [
        Column::Left("VERSION"),
        Column::Right("CLIENTS"),
        Column::Left("PHASE"),
        Column::Right("RESPONSES"),
        Column::Right("FAILED"),
        Column::Right("PANICS"),
        Column::Right("HEAP"),
        Column::Left("PREVIEW"),
    ];
    let current = status.current.as_deref().unwrap_or("-");
    let first = [
        current.into(),
        percent(status.weight),
        Cell::styled("current", style::GOOD),
        "".into(),
        "".into(),
        "".into(),
        "".into(),
        "".into(),
    ];
    let rows: Vec<_> =
        [first].into_iter().chain(status.versions.iter().map(|version| row(app, version))).collect();
    table(columns, &rows)
}

fn row(app: &str, version: &VersionTraffic) -> [Cell; 8] {
    let heap = version.serving.as_ref().map_or("-".to_owned(), |serving| units::bytes(serving.live_bytes));
    let preview =
        if version.preview { format!("/apps/{app}@{}/", version.version) } else { "closed".to_owned() };
    [
        (&*version.version).into(),
        percent(version.weight),
        Cell::styled(&*version.phase, style::of_phase(&version.phase)),
        version.requests.to_string().into(),
        version.failures.to_string().into(),
        version.panics.to_string().into(),
        heap.into(),
        preview.into(),
    ]
}

/// How far the last rollout has come.
fn rollout_text(rollout: &RolloutStatus) -> String {
    let mut text = format!("rollout: {}\n", escape::line(&rollout::summary(rollout)));
    for (name, figures) in [("current", &rollout.current), ("new", &rollout.new)] {
        let VersionFigures { requests, failures, panics, p95_ms } = figures;
        let p95 = p95_ms.map(|time| format!(", p95 {time:.1} ms")).unwrap_or_default();
        text += &format!("  {name}: {requests} requests, {failures} failed, {panics} panics{p95}\n");
    }
    let EvidenceStatus { errors, panics, times } = rollout.evidence;
    text + &format!("  evidence (1 aborts): errors {errors:.2}, panics {panics:.2}, times {times:.2}\n")
}

fn percent(weight: f64) -> Cell {
    format!("{weight} %").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_has_a_version_and_a_percentage() {
        let read = |text: &str| text.parse::<Weight>().ok().map(|weight| (weight.version, weight.percent));
        assert_eq!(read("new=5"), Some(("new".into(), 5.0)));
        assert_eq!(read("3f2a=0.5%"), Some(("3f2a".into(), 0.5)));
        for wrong in ["", "5", "=5", "a=", "a=x", "a=-1", "a=101", "a=NaN", "a=inf"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
