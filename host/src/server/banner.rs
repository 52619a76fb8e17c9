//! What the command prints when it serves.

use std::fmt::Write;

use crate::registry::Registry;

/// The table of apps and their URLs, for people; `base` is the server's URL.
pub fn banner(registry: &Registry, base: &str) -> String {
    let apps = registry.apps();
    if apps.is_empty() {
        return format!("Serving at {base}; no apps registered yet");
    }
    let width = apps.iter().map(|app| app.name().len()).max().unwrap_or(0).max(3);
    let mut table = format!("Serving {} app{}\n", apps.len(), if apps.len() == 1 { "" } else { "s" });
    // Writing to a string does not fail.
    let _ = writeln!(table, "  {:width$}  WORKERS  URL", "APP");
    for app in apps {
        let (name, workers) = (app.name(), app.settings().workers);
        let _ = write!(table, "  {name:width$}  {workers:>7}  {base}/apps/{name}/");
        for route in registry.routes(name) {
            let base = if route.host.is_none() { base } else { "" };
            let _ = write!(table, ", {base}{route}");
        }
        table.push('\n');
    }
    table.pop();
    table
}
