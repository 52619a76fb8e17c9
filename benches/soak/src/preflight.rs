//! `soak preflight`: an app is replaced by damaged libraries again and again while it is asked.

use std::time::Instant;

use serde_json::json;

use crate::load::Load;
use crate::process::{check_leftovers, check_open_files, open_files, settle, status};
use crate::support::{Launch, damaged_for_loader, versioned, wait_until};
use crate::table::Table;

/// Replaces an app by damaged libraries under load.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many damaged libraries.
    #[arg(long, default_value_t = 2000)]
    count: u64,
    /// The seed of the first one; each of the others has the next.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many connections ask all the time.
    #[arg(long, default_value_t = 2)]
    connections: usize,
}

/// What a library that hangs costs at most, in milliseconds.
const START_TIMEOUT: u64 = 2000;

const SERVED: &str = "is serving";
const REFUSED: &str = "failed to start";
const DIED: &str = "opening it ended the preflight process";
const HUNG: &str = "opening it took longer";

pub(crate) fn run(args: &Args) -> Result<Table, String> {
    // A damaged library that is served may not come out of the process again.
    let app = json!({
        "name": "app", "path": "libapp.so", "start_timeout_ms": START_TIMEOUT, "max_pinned": 1000, "keep": 0,
    });
    let original = versioned(1);
    let host = Launch::serve(json!([app])).write("libapp.so", &original).start();
    let first = host.get("/apps/app/");
    if first.status != 200 {
        return Err(format!("the first answer is {}: {}", first.status, first.text()));
    }
    let keys_before = status(&host)?.process.lowest_free_key;
    let load = Load::start(host.address(), "/apps/app/", args.connections);
    let outcomes = |words: &str| host.log_lines(&[words]).len();

    let (begun, files_before) = (Instant::now(), open_files(&host));
    for number in 0..args.count {
        let seed = args.seed + number;
        let before = outcomes(SERVED) + outcomes(REFUSED);
        host.replace("libapp.so", damaged_for_loader(&original, seed));
        wait_until(&format!("the library with seed {seed} is refused or served"), || {
            outcomes(SERVED) + outcomes(REFUSED) > before
        });
        if number % 100 == 0 {
            eprintln!("{number} libraries, {} refused", outcomes(REFUSED));
        }
    }
    let elapsed = begun.elapsed();
    host.replace("libapp.so", versioned(2));
    wait_until("a good library answers", || host.get("/apps/app/").text() == "2");
    let (sent, good, failed) = load.stop();
    settle(&host);
    let files_after = open_files(&host);

    let mut table = Table::new(format!("{} damaged libraries under load", args.count));
    table.row("requests sent", sent);
    table.row("requests answered with 200", good);
    table.check("requests failed", failed, 0, failed == 0 && good == sent);
    table.row("libraries served", outcomes(SERVED) - 2);
    table.row("libraries refused", outcomes(REFUSED));
    table.row("of these, by the end of the preflight process", outcomes(DIED));
    table.row("of these, by a time limit", outcomes(HUNG));
    table.row("milliseconds for each library", elapsed.as_millis() as u64 / args.count.max(1));
    check_open_files(&mut table, files_before, files_after);
    check_leftovers(&mut table, &host, keys_before, 1)?;
    Ok(table)
}
