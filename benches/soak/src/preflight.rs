//! `soak preflight`: an app is replaced by damaged libraries again and again while it is asked.

use std::time::Instant;

use serde_json::json;

use crate::isolation::{self, Isolation};
use crate::support::{Launch, replace_by_damaged, versioned};
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
    #[command(flatten)]
    place: isolation::IsolationArgs,
}

pub(crate) fn run(args: &Args) -> Result<Table, String> {
    // One that hangs costs two seconds; one that is served may not come out of the process again.
    let isolation = args.place.isolation;
    let app = json!({
        "name": "v", "path": "libv.so", "start_timeout_ms": 2000, "max_pinned": 1000, "keep": 0, "isolation": isolation,
    });
    let launch = || Launch::serve(json!([app]));
    let begun = Instant::now();
    let damages = replace_by_damaged(launch, &versioned(1), args.seed..args.seed + args.count);
    let time = begun.elapsed().as_millis() / u128::from(args.count.max(1));
    let mut table = Table::new(format!("{} damaged libraries under load, {isolation}", args.count));
    table.row("requests answered with 200", damages.answered);
    let has_none_failed = damages.failed == 0;
    // In a process, it is the damaged app that fails them, and the host lives to count them.
    match isolation {
        Isolation::Thread => table.check("requests failed", damages.failed, 0, has_none_failed),
        Isolation::Process => table.row("requests failed by damaged libraries", damages.failed),
    }
    table.row("libraries served", damages.served);
    table.row("libraries refused", damages.refused);
    let may_end = isolation == Isolation::Thread;
    let expected = if may_end { "by code that opening does not run" } else { "0" };
    table.check("hosts ended", damages.ended, expected, may_end || damages.ended == 0);
    table.row("milliseconds for each library", time);
    Ok(table)
}
