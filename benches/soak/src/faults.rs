//! `soak faults`: an app in a process faults again and again, in all ways, beside apps that do not.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::isolation::Isolation;
use crate::load::Load;
use crate::process::{
    check_leftovers, check_open_files, open_files, resident_at_rest_kib, resident_kib, settle, status,
};
use crate::support::{Call, Host, Launch, library};
use crate::table::Table;

/// Has an app in a process fault, in all ways.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many faults.
    #[arg(long, default_value_t = 10_000)]
    count: usize,
}

/// The ways to fault, as the fixture names them.
const WAYS: [&str; 10] =
    ["null", "wild", "call-null", "overflow", "illegal", "divide", "trap", "bus", "free", "raise"];

/// So many faults come before the first look at the memory, which swings with the backtraces that are read.
const WARM_UP: usize = 500;

pub(crate) fn run(args: &Args) -> Result<Table, String> {
    // One of the ways makes a file.
    let apps = json!([
        { "name": "bad", "path": library("faults"), "isolation": Isolation::Process, "sandbox": null },
        { "name": "beside", "path": library("versioned"), "isolation": Isolation::Process },
        { "name": "thread", "path": library("versioned") },
    ]);
    let host = Launch::serve(apps).args(["--admin", "127.0.0.1:0"]).env("RUST_LOG", "off").start();
    let keys_before = status(&host)?.process.lowest_free_key;
    let loads = ["/apps/beside/", "/apps/thread/"].map(|path| Load::start(host.address(), path, 1));

    let mut times = Vec::with_capacity(args.count);
    let (mut resident_before, mut files_before) = (0, 0);
    for number in 0..WARM_UP + args.count {
        if number == WARM_UP {
            (resident_before, files_before) = (resident_at_rest_kib(&host), open_files(&host));
            times.clear();
        }
        times.push(fault(&host, WAYS[number % WAYS.len()])?);
        if number % 500 == 0 {
            eprintln!("{number} faults, {} KiB resident", resident_kib(&host));
        }
    }
    settle(&host);
    let growth = resident_at_rest_kib(&host).saturating_sub(resident_before);
    let files_after = open_files(&host);
    let mut failed = 0;
    let mut answered = 0;
    for (_, good, bad) in loads.map(Load::stop) {
        (failed, answered) = (failed + bad, answered + good);
    }

    times.sort();
    let mut table = Table::new(format!("{} faults of an app in a process", args.count));
    table.row("requests to other apps answered with 200", answered);
    table.check("requests to other apps failed", failed, 0, failed == 0);
    // It depends on what else the machine has to do: the load alone keeps two processors busy.
    table.row("fault to next answer, median ms", format!("{:.1}", millis(times[times.len() / 2])));
    table.row("fault to next answer, 99 % ms", format!("{:.1}", millis(times[times.len() * 99 / 100])));
    table.row("resident before, KiB", resident_before);
    table.check("resident growth, KiB", growth, "< 16384", growth < 16_384);
    check_open_files(&mut table, files_before, files_after);
    check_leftovers(&mut table, &host, keys_before, 3)?;
    Isolation::Process.check_processes(&mut table, &host, 2, 2);
    let ended = host.stop();
    table.check("host ended with", ended.status, "exit status: 0", ended.status.success());
    Ok(table)
}

/// Has the app fault, and waits for its next answer; how long that took.
fn fault(host: &Host, way: &str) -> Result<Duration, String> {
    let error = |error: std::io::Error| format!("{way}: {error}");
    let mut connection = host.connect();
    let reply = connection.call(&Call::get(&format!("/apps/bad/now/{way}"))).map_err(error)?;
    let begun = Instant::now();
    if reply.status != 502 {
        return Err(format!("{way} was answered with {}: {}", reply.status, reply.text()));
    }
    // Without this, the next process is started ever later, as for any app that ends again and again.
    let mut admin = crate::support::Connection::open(host.admin()).map_err(error)?;
    admin.call(&Call::post("/api/v1/apps/bad/start", "")).map_err(error)?;
    // The first one may have waited longer than the host keeps it open.
    let mut connection = host.connect();
    let reply = connection.call(&Call::get("/apps/bad/")).map_err(error)?;
    if reply.status != 200 {
        return Err(format!("after {way}: {}: {}", reply.status, reply.text()));
    }
    Ok(begun.elapsed())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
