//! `atoll ls --fleet` and `atoll describe --fleet`.

use std::time::Duration;

use anyhow::Context;
use atoll_host::internal::escape;
use atoll_host::internal::fleet::{CLOCK_TOLERANCE, Failure, FleetApp, FleetAppHost, FleetHost, FleetStatus};

use crate::cli::arguments::{Format, Registry};
use crate::cli::table::{Cell, Column, table};
use crate::cli::{out, style, units};

/// Shows the hosts and apps of the fleet of a host.
pub(in crate::cli) fn list(registry: &Registry, format: Format) -> anyhow::Result<()> {
    let status = registry.connect()?.fleet()?;
    match format {
        Format::Json => out::print_json(&status)?,
        Format::Table => out::print_text(&text(&status))?,
    }
    Ok(())
}

/// Shows an app on the hosts of the fleet of a host.
pub(in crate::cli) fn describe(registry: &Registry, app: &str, format: Format) -> anyhow::Result<()> {
    let status = registry.connect()?.fleet()?;
    let found = status.apps.iter().find(|found| found.name == app);
    let found = found.with_context(|| match &status.reason {
        None => format!("no host of the fleet {} has an app {app}", status.name),
        Some(reason) => {
            format!("{} is not in the fleet {} and has no app {app}: {reason}", status.host, status.name)
        }
    })?;
    match format {
        Format::Json => out::print_json(found)?,
        Format::Table => out::print_text(&(away(&status) + &details(found)))?,
    }
    Ok(())
}

/// The columns of a table of hosts.
pub(in crate::cli) const HOST_COLUMNS: [Column; 7] = [
    Column::Left("HOST"),
    Column::Left("ADDRESS"),
    Column::Left("LABELS"),
    Column::Left("ATOLL"),
    Column::Left("UP"),
    Column::Right("APPS"),
    Column::Left("OUT OF DATE"),
];

/// The columns of a table of the hosts of an app.
pub(in crate::cli) const ON_HOST_COLUMNS: [Column; 7] = [
    Column::Left("HOST"),
    Column::Left("VERSION"),
    Column::Right("GENERATION"),
    Column::Left("PHASE"),
    Column::Right("ERRORS"),
    Column::Left("OUT OF DATE"),
    Column::Left("REASON"),
];

fn text(status: &FleetStatus) -> String {
    let hosts = table(HOST_COLUMNS, &status.hosts.iter().map(host).collect::<Vec<_>>());
    let columns = [
        Column::Left("APP"),
        Column::Left("VERSION"),
        Column::Left("BY"),
        Column::Left("DEPLOYED"),
        Column::Left("HOSTS"),
        Column::Left("RUNS ON"),
        Column::Left("STATE"),
    ];
    let apps = table(columns, &status.apps.iter().map(app).collect::<Vec<_>>());
    let differences = status.apps.iter().flat_map(differences).chain(clocks(status));
    let differences: String =
        differences.map(|line| format!("{}\n", style::paint(style::WARNING, &line))).collect();
    format!("{}{hosts}\n{apps}{}{differences}", away(status), if differences.is_empty() { "" } else { "\n" })
}

/// That what is shown is old.
fn away(status: &FleetStatus) -> String {
    disconnection(status)
        .map_or_else(String::new, |text| format!("{}\n\n", style::paint(style::WARNING, &text)))
}

/// Since when and why the host is not connected.
pub(in crate::cli) fn disconnection(status: &FleetStatus) -> Option<String> {
    if status.connected {
        return None;
    }
    let reason = escape::line(status.reason.as_deref().unwrap_or_default()).into_owned();
    Some(format!("{} is not connected for {}: {reason}", status.host, units::since(status.since_ms)))
}

pub(in crate::cli) fn host(host: &FleetHost) -> [Cell; HOST_COLUMNS.len()] {
    let labels: Vec<_> = host.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let out_of_date = match host.out_of_date {
        0 => "-".into(),
        number => Cell::styled(units::count(number, "app"), style::WARNING),
    };
    [
        (&*host.name).into(),
        host.addresses.join(" ").into(),
        labels.join(" ").into(),
        (&*host.atoll).into(),
        units::since(host.started_ms).into(),
        host.apps.to_string().into(),
        out_of_date,
    ]
}

fn app(app: &FleetApp) -> [Cell; 7] {
    let runs_on = app.holder.as_ref();
    let runs_on = runs_on.map(|holder| format!("{}, for {}", holder.host, units::since(holder.since_ms)));
    let right = up_to_date(app);
    [
        (&*app.name).into(),
        app.version.as_deref().unwrap_or("-").into(),
        app.by.as_deref().unwrap_or("-").into(),
        app.at_ms.map_or_else(|| "-".to_owned(), units::time).into(),
        format!("{right} of {}", app.hosts.len()).into(),
        runs_on.unwrap_or_else(|| "-".to_owned()).into(),
        state(app),
    ]
}

/// How many hosts have of an app what they should.
fn up_to_date(app: &FleetApp) -> usize {
    app.hosts.iter().filter(|host| host.out_of_date_since_ms.is_none()).count()
}

/// How an app is in the fleet.
pub(in crate::cli) fn state(app: &FleetApp) -> Cell {
    let (state, look) = match &app.wave {
        _ if !app.is_shared => ("not in the fleet".to_owned(), style::FAINT),
        Some(hosts) => (format!("rolling out: {}", hosts.join(", ")), style::WARNING),
        None if up_to_date(app) < app.hosts.len() => ("out of date".to_owned(), style::BAD),
        None if app.is_removed => ("removed".to_owned(), style::FAINT),
        None if app.failure.is_some() => ("went back".to_owned(), style::WARNING),
        None => ("up to date".to_owned(), style::GOOD),
    };
    Cell::styled(state, look)
}

/// A line for each host that has another version than it should.
pub(in crate::cli) fn differences(app: &FleetApp) -> Vec<String> {
    let wrong = app.hosts.iter().filter_map(|host| Some((host, host.out_of_date_since_ms?)));
    wrong
        .map(|(host, since)| {
            let has = match (&host.version, &host.phase) {
                (Some(version), _) => version.clone(),
                (None, Some(_)) => "an unknown version".to_owned(),
                (None, None) => "nothing".to_owned(),
            };
            let reason = host.refused.as_ref().map(|refused| format!(": {}", escape::line(&refused.reason)));
            format!(
                "{} on {}: has {has}, out of date for {}{}",
                app.name,
                host.host,
                units::since(since),
                reason.unwrap_or_default()
            )
        })
        .collect()
}

/// A line for each host with another clock.
fn clocks(status: &FleetStatus) -> impl Iterator<Item = String> {
    let ahead = status.hosts.iter().filter_map(|host| Some((host, host.clock_ahead_ms?)));
    ahead.filter(|(_, ahead)| u128::from(ahead.unsigned_abs()) >= CLOCK_TOLERANCE.as_millis()).map(
        |(host, ahead)| {
            let direction = if ahead > 0 { "ahead of" } else { "behind" };
            // To the nearest second.
            let by = units::duration(Duration::from_millis(ahead.unsigned_abs() + 500));
            format!("{}: its clock is {by} {direction} that of {}", host.name, status.host)
        },
    )
}

fn details(app: &FleetApp) -> String {
    let mut text = format!("{}\n", style::paint(style::TITLE, &app.name));
    let mut fact = |name: &str, value: &str| text += &format!("  {name:14}{}\n", escape::line(value));
    fact("version", app.version.as_deref().unwrap_or(if app.is_removed { "removed" } else { "-" }));
    if let (Some(by), Some(at)) = (&app.by, app.at_ms) {
        fact("by", &format!("{by}, {} ago", units::since(at)));
    }
    if let Some(signer) = &app.signed_by {
        fact("signed by", signer);
    }
    if let Some(note) = &app.note {
        fact("note", note);
    }
    if !app.on.is_empty() {
        let on: Vec<_> = app.on.iter().map(|(name, value)| format!("{name}={value}")).collect();
        fact("on", &on.join(" "));
    }
    if let Some(holder) = &app.holder {
        fact("runs on", &format!("{}, for {}", holder.host, units::since(holder.since_ms)));
    }
    if let Some(wave) = &app.wave {
        fact("rolling out", &wave.join(", "));
    }
    if let Some(failure) = &app.failure {
        fact("went back", &failed(failure));
    }
    text + "\n" + &table(ON_HOST_COLUMNS, &app.hosts.iter().map(on_host).collect::<Vec<_>>())
}

/// From which version a rollout went back, when and why.
pub(in crate::cli) fn failed(failure: &Failure) -> String {
    format!("from {}, {} ago: {}", failure.version, units::since(failure.at_ms), failure.reason)
}

pub(in crate::cli) fn on_host(host: &FleetAppHost) -> [Cell; ON_HOST_COLUMNS.len()] {
    let phase = host.phase.as_deref().unwrap_or("-");
    let out_of_date = host.out_of_date_since_ms.map(|since| format!("for {}", units::since(since)));
    [
        (&*host.host).into(),
        host.version.as_deref().unwrap_or("-").into(),
        host.generation.map_or_else(|| "-".to_owned(), |number| number.to_string()).into(),
        Cell::styled(phase, style::of_phase(phase)),
        host.errors.to_string().into(),
        Cell::styled(out_of_date.unwrap_or_default(), style::WARNING),
        host.refused.as_ref().map(|refused| refused.reason.clone()).unwrap_or_default().into(),
    ]
}
