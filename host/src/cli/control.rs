//! `atoll ls`, `atoll reload` and `atoll rollback`: what is said to a running host.

use std::fmt::Write;
use std::path::Path;

use atoll_host::admin::{AdminClient, AppStatus, HostStatus};

/// Prints the apps of the host that serves `config`, as a table or as JSON.
pub(crate) fn ls(config: &Path, json: bool) -> anyhow::Result<()> {
    let status = AdminClient::connect(config)?.status()?;
    if json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print!("{}", table(&status));
    }
    Ok(())
}

/// Loads an app's library anew.
pub(crate) fn reload(config: &Path, app: &str) -> anyhow::Result<()> {
    let number = AdminClient::connect(config)?.reload(app)?;
    println!("{app}#{number} serves");
    Ok(())
}

/// Goes back to an app's previous good library.
pub(crate) fn rollback(config: &Path, app: &str) -> anyhow::Result<()> {
    let number = AdminClient::connect(config)?.rollback(app)?;
    println!("{app}#{number} serves the previous library; the next change on disk is loaded as usual");
    Ok(())
}

fn table(status: &HostStatus) -> String {
    let width = status.apps.iter().map(|app| app.name.len()).max().unwrap_or(0).max(3);
    let routes = |app: &AppStatus| app.routes.join(", ");
    let widest = status.apps.iter().map(|app| routes(app).len()).max().unwrap_or(0);
    // Most hosts have none, and then no column for them.
    let (title, routes_width) = if widest == 0 { ("", 0) } else { ("ROUTES", widest.max(6) + 2) };
    let mut table = format!(
        "{:width$}  {:8}  {:>10}  {:>7}  {:>9}  {:>9}  {:>9}  {title:routes_width$}LAST\n",
        "APP", "PHASE", "GENERATION", "WORKERS", "IN FLIGHT", "HEAP", "PEAK"
    );
    for app in &status.apps {
        let last = app.history.last().map_or(String::new(), |entry| {
            let reason = entry.reason.lines().next().unwrap_or("");
            format!("#{} {} {reason}", entry.generation, entry.state)
        });
        let cells = app.serving.as_ref().map_or(["-"; 5].map(str::to_owned), |generation| {
            [
                generation.number.to_string(),
                generation.workers.to_string(),
                generation.in_flight.to_string(),
                bytes(generation.live_bytes),
                bytes(generation.peak_bytes),
            ]
        });
        let [number, workers, in_flight, live, peak] = cells;
        let (name, phase, routes) = (&app.name, &app.phase, routes(app));
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "{name:width$}  {phase:8}  {number:>10}  {workers:>7}  {in_flight:>9}  {live:>9}  {peak:>9}  {routes:routes_width$}{last}"
        );
    }
    for pinned in &status.pinned {
        let _ = writeln!(table, "pinned: {}#{}: {}", pinned.app, pinned.generation, pinned.reason);
    }
    table
}

/// A count of bytes for people.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = count as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1024), bytes(3 << 20)],
            ["0 B", "1023 B", "1.0 KiB", "3.0 MiB"]
        );
    }
}
