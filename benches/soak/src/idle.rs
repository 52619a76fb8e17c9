//! `soak idle`: many apps that are started by a call and idle out again.

use serde_json::{Value, json};

use crate::isolation;
use crate::process::{check_leftovers, resident_at_rest_kib, resident_kib, settle, status};
use crate::support::{Call, Launch, wait_until};
use crate::table::Table;

/// Starts and idles out many apps.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many times each app is started.
    #[arg(long, default_value_t = 50)]
    cycles: u64,
    /// How many apps.
    #[arg(long, default_value_t = 200)]
    apps: usize,
    #[command(flatten)]
    place: isolation::IsolationArgs,
}

/// After so many cycles the bounded history of each app is full.
const WARM_UP: u64 = 12;

pub(crate) fn run(args: &Args) -> Result<Table, String> {
    let apps: Vec<Value> =
        (0..args.apps).map(|n| json!({ "name": format!("app{n}"), "path": "libversioned.so" })).collect();
    let isolation = args.place.isolation;
    let defaults = json!({ "idle_timeout_ms": 50, "keep": 0, "isolation": isolation });
    let config = json!({ "defaults": defaults, "apps": apps });
    let host = Launch::serve(config).env("RUST_LOG", "warn").library("versioned").start();
    let keys_before = status(&host)?.process.lowest_free_key;

    let (mut sent, mut failed, mut resident_before) = (0_u64, 0_u64, 0);
    let mut connection = host.connect();
    for cycle in 0..args.cycles {
        for n in 0..args.apps {
            sent += 1;
            let reply =
                connection.call(&Call::get(&format!("/apps/app{n}/"))).map_err(|error| error.to_string())?;
            failed += u64::from(reply.status != 200);
        }
        wait_until("all apps are unloaded", || {
            host.mapped().is_empty()
                && status(&host).is_ok_and(|status| status.apps.iter().all(|app| app.serving.is_none()))
        });
        if cycle == WARM_UP.min(args.cycles / 2) {
            resident_before = resident_at_rest_kib(&host);
        }
        if cycle % 10 == 0 {
            eprintln!("{cycle} cycles, {} KiB resident", resident_kib(&host));
        }
    }
    settle(&host);
    let growth = resident_at_rest_kib(&host).saturating_sub(resident_before);
    let mut table = Table::new(format!(
        "{} apps {isolation}, each started and idled out {} times",
        args.apps, args.cycles
    ));
    table.row("requests sent", sent);
    table.check("requests failed", failed, 0, failed == 0);
    table.row("resident when all histories are full, KiB", resident_before);
    table.check("resident growth since, KiB", growth, "< 1024", growth < 1024);
    check_leftovers(&mut table, &host, keys_before, 0)?;
    isolation.check_processes(&mut table, &host, 0, 1);
    Ok(table)
}
