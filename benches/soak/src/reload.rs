//! `soak reload`: an app is replaced again and again while it is asked.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::isolation;
use crate::load::Load;
use crate::process::{
    check_leftovers, check_open_files, open_files, resident_at_rest_kib, resident_kib, settle, status,
};
use crate::support::{Call, Host, Launch, patched};
use crate::table::Table;

/// Reloads an app under load.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many reloads.
    #[arg(long, default_value_t = 10_000)]
    count: u64,
    /// The app: `versioned`, which is as small as an app can be, or `tokio-axum`.
    #[arg(long, default_value = "versioned")]
    app: String,
    /// How many connections ask all the time.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    #[command(flatten)]
    place: isolation::IsolationArgs,
}

/// So many libraries come one after the other, again and again: what the host keeps of each, above all the row of what the app has
/// used with it, is bounded by the hour and by the number of libraries, not by the number of reloads.
const LIBRARIES: u64 = 200;

/// How many reloads come before the first look at the memory: each library has been there then, the app's history is full, and the
/// more reloads are counted, the more of the host's threads have pages of the allocator for all sizes that they ask for.
fn warm_up(count: u64) -> u64 {
    LIBRARIES.max(count / 10)
}

pub(crate) fn run(args: &Args) -> Result<Table, String> {
    let isolation = args.place.isolation;
    let app = json!({ "name": "app", "path": "libapp.so", "isolation": isolation });
    let launch =
        Launch::serve(json!([app])).env("RUST_LOG", "warn").write("libapp.so", patched(&args.app, "1"));
    let host = launch.start();
    let path = "/apps/app/greet/tobe";
    let first = host.get(path);
    if first.status != 200 {
        return Err(format!("the first answer is {}: {}", first.status, first.text()));
    }
    let keys_before = status(&host)?.process.lowest_free_key;
    let load = Load::start(host.address(), path, args.connections);

    let mut times = Vec::new();
    let (mut resident_before, mut files_before) = (0, 0);
    let warm_up = warm_up(args.count);
    for number in 0..warm_up + args.count {
        if number == warm_up {
            settle(&host);
            resident_before = resident_at_rest_kib(&host);
            files_before = open_files(&host);
        }
        times.push(reload(&host, path, &args.app, 2 + number % LIBRARIES)?);
        if number % 500 == 0 {
            eprintln!(
                "{number} reloads, {} KiB resident, {:.1} ms",
                resident_kib(&host),
                millis(times[times.len() - 1])
            );
        }
    }
    settle(&host);
    let resident_after = resident_at_rest_kib(&host);
    let files_after = open_files(&host);
    let (sent, good, failed) = load.stop();

    times.sort();
    let growth = resident_after.saturating_sub(resident_before);
    let mut table = Table::new(format!("{} reloads of {} under load, {isolation}", args.count, args.app));
    table.row("requests sent", sent);
    table.row("requests answered with 200", good);
    table.check("requests failed", failed, 0, failed == 0 && good == sent);
    table.row("resident before, KiB", resident_before);
    table.row("resident after, KiB", resident_after);
    table.check("resident growth, KiB", growth, "< 1024", growth < 1024);
    check_open_files(&mut table, files_before, files_after);
    check_leftovers(&mut table, &host, keys_before, 1)?;
    isolation.check_processes(&mut table, &host, 1, 1);
    table.row("rename to first new answer, median ms", format!("{:.1}", millis(times[times.len() / 2])));
    table.row("rename to first new answer, 99 % ms", format!("{:.1}", millis(times[times.len() * 99 / 100])));
    Ok(table)
}

/// Puts version `number` in the app's place and waits for its first answer.
fn reload(host: &Host, path: &str, app: &str, number: u64) -> Result<Duration, String> {
    let text = number.to_string();
    let library = patched(app, &text);
    let mut connection = host.connect();
    let call = Call::get(path);
    let new = host.folder().join(".libapp.so.new");
    std::fs::write(&new, library).map_err(|error| error.to_string())?;
    let begun = Instant::now();
    std::fs::rename(&new, host.folder().join("libapp.so")).map_err(|error| error.to_string())?;
    loop {
        let reply = connection.call(&call).map_err(|error| format!("after reload {number}: {error}"))?;
        let seen = match serde_json::from_slice::<serde_json::Value>(&reply.body) {
            Ok(serde_json::Value::Object(object)) => {
                object["version"].as_str().unwrap_or_default().to_owned()
            }
            _ => reply.text(),
        };
        if seen == text {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > Duration::from_secs(30) {
            return Err(format!("version {number} did not answer within 30 s, but {seen:?}"));
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
