//! `soak usage`: what is counted of the apps' processor time, beside what the system counts.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::load::Load;
use crate::process::settle;
use crate::support::{Call, Connection, Host, Launch, library};
use crate::table::Table;

/// Compares what is counted of the apps' processor time with what the system counts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For how many seconds the apps are under load, and for how many the host is idle then.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// How many apps the idle host has loaded.
    #[arg(long, default_value_t = 200)]
    apps: usize,
    /// How far the counts may be from the system's, in percent: more in a short run, in which each millisecond weighs more.
    #[arg(long, default_value_t = 2.0)]
    tolerance: f64,
}

/// What the apps are asked for: little, work on their worker, and work on threads that end. What the system takes to make and end a
/// thread, some 0.1 ms, is in no clock that can be read before its end.
const PATHS: [&str; 3] = ["", "burn/3", "burn-on-thread/20"];

/// How often the clocks of the host's threads are read.
const LOOK: Duration = Duration::from_millis(500);

/// What an idle host may take of one processor; without optimisation, several times as much.
const IDLE: f64 = if cfg!(debug_assertions) { 0.03 } else { 0.005 };

pub(crate) fn run(args: &Args) -> Result<Table, String> {
    let time = Duration::from_secs(args.seconds);
    let mut table = Table::new(format!(
        "{} s of load on two apps, and {} s of rest with {} apps",
        args.seconds, args.seconds, args.apps
    ));
    busy(time, args.tolerance, &mut table)?;
    idle(time, args.apps, &mut table)?;
    Ok(table)
}

fn busy(time: Duration, tolerance: f64, table: &mut Table) -> Result<(), String> {
    let app = |name: &str| json!({ "name": name, "path": library("metered"), "isolation": name });
    let host = start(&json!([app("thread"), app("process")]));
    for app in ["thread", "process"] {
        host.get(&format!("/apps/{app}/"));
    }
    let mut own = OwnThreads::default();
    let before = Reading::of(&host, &mut own)?;
    let paths =
        ["thread", "process"].into_iter().flat_map(|app| PATHS.map(|path| format!("/apps/{app}/{path}")));
    let loads: Vec<Load> = paths.map(|path| Load::start(host.address(), &path, 1)).collect();
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::thread::sleep(LOOK.min(time));
        own.look(host.pid())?;
    }
    let (mut answered, mut failed) = (0, 0);
    for (_, good, bad) in loads.into_iter().map(Load::stop) {
        (answered, failed) = (answered + good, failed + bad);
    }
    let after = Reading::of(&host, &mut own)?;
    table.row("requests answered with 200", answered);
    table.check("requests failed", failed, 0, failed == 0);
    let [thread, process] = [0, 1].map(|app| {
        let counted = after.counted[app] - before.counted[app];
        let seen = after.seen[app] - before.seen[app];
        (counted, seen)
    });
    for ((counted, seen), names) in [(thread, THREAD), (process, PROCESS)] {
        let difference = (counted / seen - 1.0) * 100.0;
        let goal = format!("within {tolerance}");
        table.row(names[0], format!("{counted:.2}"));
        table.row(names[1], format!("{seen:.2}"));
        table.check(names[2], format!("{difference:.2}"), goal, difference.abs() <= tolerance);
    }
    Ok(())
}

const THREAD: [&str; 3] =
    ["on threads: seconds counted", "on threads: seconds of the system", "on threads: difference, %"];
const PROCESS: [&str; 3] =
    ["in a process: seconds counted", "in a process: seconds of the system", "in a process: difference, %"];

fn idle(time: Duration, count: usize, table: &mut Table) -> Result<(), String> {
    let app = |number: usize| json!({ "name": format!("app{number}"), "path": library("versioned") });
    let host = start(&(0..count).map(app).collect());
    for number in 0..count {
        host.get(&format!("/apps/app{number}/"));
    }
    settle(&host);
    let before = of_process(host.pid())?;
    std::thread::sleep(time);
    let part = (of_process(host.pid())? - before) / time.as_secs_f64();
    let goal = format!("< {}", IDLE * 100.0);
    table.check("idle host, % of a processor", format!("{:.3}", part * 100.0), goal, part < IDLE);
    Ok(())
}

fn start(apps: &Value) -> Host {
    Launch::serve(apps.clone()).args(["--admin", "127.0.0.1:0"]).env("RUST_LOG", "warn").start()
}

/// The processor time of both apps so far, in seconds.
struct Reading {
    /// By the host.
    counted: [f64; 2],
    /// By the system: what the host's process has taken but for the host's own threads, and what the app process has taken.
    seen: [f64; 2],
}

impl Reading {
    fn of(host: &Host, own: &mut OwnThreads) -> Result<Self, String> {
        let metrics = Connection::open(host.admin())
            .and_then(|mut admin| admin.call(&Call::get("/metrics")))
            .map_err(|error| error.to_string())?
            .text();
        let counted = |app: &str| {
            let begin = format!("atoll_app_cpu_seconds_total{{app=\"{app}\"");
            let line = metrics.lines().find(|line| line.starts_with(&begin));
            let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
            value.ok_or_else(|| format!("no processor time of {app} in the metrics"))
        };
        let own = own.look(host.pid())?;
        let process = host.app_processes().into_iter().find(|process| name_of(*process) == "atoll:process");
        let process = process.ok_or("the app has no process")?;
        Ok(Self {
            counted: [counted("thread")?, counted("process")?],
            seen: [of_process(host.pid())? - own, of_process(process)?],
        })
    }
}

fn name_of(process: u32) -> String {
    fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// The processor time of a process, of threads that have ended too, in seconds: in steps of what the system counts in.
fn of_process(process: u32) -> Result<f64, String> {
    let stat = read(format!("/proc/{process}/stat").as_ref())?;
    // The name may contain anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut ticks = fields.split_whitespace().skip(11).map_while(|field| field.parse::<f64>().ok());
    let (user, system) = (ticks.next().unwrap_or_default(), ticks.next().unwrap_or_default());
    // SAFETY: it only returns a setting.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Ok((user + system) / per_second as f64)
}

/// The processor time in seconds of the host's own threads, by their numbers, as it was seen last: some end meanwhile.
#[derive(Default)]
struct OwnThreads(HashMap<OsString, f64>);

impl OwnThreads {
    /// Reads the clocks of the threads of a process; the sum of all that were ever seen.
    fn look(&mut self, process: u32) -> Result<f64, String> {
        let folder = format!("/proc/{process}/task");
        let threads = fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
        // One that ends meanwhile has no file any more.
        let of_thread = |folder: &Path| {
            let name = fs::read_to_string(folder.join("comm")).ok()?;
            // A thread that an app starts has the name of the worker that starts it.
            let is_app = name.starts_with("thread#");
            let schedstat = fs::read_to_string(folder.join("schedstat")).ok()?;
            let nanoseconds: f64 = schedstat.split_whitespace().next()?.parse().ok()?;
            (!is_app).then_some(nanoseconds / 1e9)
        };
        for thread in threads.flatten() {
            if let Some(seconds) = of_thread(&thread.path()) {
                self.0.insert(thread.file_name(), seconds);
            }
        }
        Ok(self.0.values().sum())
    }
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}
