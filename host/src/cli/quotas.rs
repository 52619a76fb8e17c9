//! `atoll quotas`.

use std::process::ExitCode;

use atoll_host::internal::{QuotaLevel, QuotaStatus};
use clap::Args;

use super::arguments::{Form, Format, Registry};
use super::table::{Cell, Column, table};
use super::{out, style, units};

pub(super) const EXAMPLES: &str = "\
Examples:
  atoll quotas
  atoll quotas --to prod --format json

Quotas are in `quotas` in apps.json. The host counts what is used every five seconds.";

#[derive(Args, Clone, Debug)]
pub(super) struct QuotasArgs {
    #[command(flatten)]
    registry: Registry,
    #[command(flatten)]
    form: Form,
}

/// Shows the quotas.
pub(super) fn run(args: &QuotasArgs) -> anyhow::Result<ExitCode> {
    let quotas = args.registry.connect()?.quotas()?;
    match args.form.format {
        Format::Json => out::print_json(&quotas)?,
        Format::Table => out::print_text(&text(&quotas))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn text(quotas: &[QuotaStatus]) -> String {
    let columns = [
        Column::Left("APPS"),
        Column::Left("PERIOD"),
        Column::Right("CPU"),
        Column::Right("HEAP GiB·h"),
        Column::Right("REQUESTS"),
        Column::Right("STORAGE"),
        Column::Right("USED"),
        Column::Left("STATE"),
        Column::Left("UNTIL"),
    ];
    table(columns, &quotas.iter().map(row).collect::<Vec<_>>())
}

fn row(status: &QuotaStatus) -> [Cell; 9] {
    let QuotaStatus { quota, used, level, .. } = status;
    let of = |used: String, limit: Option<String>| {
        limit.map_or_else(|| "-".to_owned(), |limit| format!("{used} of {limit}"))
    };
    let bytes = quota.storage.map(units::bytes);
    [
        quota.names().into(),
        quota.period.to_string().into(),
        of(format!("{:.1}", used.cpu_seconds), quota.cpu_seconds.map(|limit| format!("{limit} s"))).into(),
        of(format!("{:.1}", used.memory_gib_hours), quota.memory_gib_hours.map(|limit| limit.to_string()))
            .into(),
        of(used.requests.to_string(), quota.requests.map(|limit| limit.to_string())).into(),
        of(units::bytes(used.storage.unwrap_or_default()), bytes).into(),
        format!("{} %", status.percent).into(),
        Cell::styled(
            level.to_string(),
            if *level == QuotaLevel::Free { style::FAINT } else { style::WARNING },
        ),
        units::time(status.until_ms).into(),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_has_what_is_used_of_each_limit() {
        let status = json!({
            "apps": ["acme-*", "shop"], "period": "day", "cpu_seconds": 100, "requests": null, "memory_gib_hours": null,
            "storage": 2048, "action": "throttle", "throttle_rate": 1, "since_ms": 0, "until_ms": 86_400_000, "level": "used-up",
            "percent": 120, "used": { "cpu_seconds": 120.04, "memory_gib_hours": 1.0, "requests": 7, "storage": 1024 }
        });
        let status = serde_json::from_value::<QuotaStatus>(status).unwrap();
        let text = anstream::adapter::strip_str(&text(&[status])).to_string();
        let line = text.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        let expected =
            "acme-*, shop day 120.0 of 100 s - - 1.0 KiB of 2.0 KiB 120 % used up 1970-01-02T00:00:00.000Z";
        assert_eq!(line, expected);
    }
}
