//! What apps use is counted, to the end of a host and beyond.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Call, Connection, Ended, Host, Launch, contains, library, patched, wait_for, wait_until};
use tokio_tungstenite::tungstenite::{self, Message};

const ADMIN: [&str; 2] = ["--admin", "127.0.0.1:0"];

/// What a killed host may lose.
const MOST_LOST: Duration = Duration::from_secs(10);

fn app(name: &str) -> Value {
    json!({ "name": name, "path": library("metered"), "deadline_ms": 60_000 })
}

fn start(apps: Value) -> Host {
    Launch::serve(apps).args(ADMIN).start()
}

fn ask(host: &Host, path: &str) -> support::Reply {
    Connection::open(host.admin()).unwrap().call(&Call::get(path)).unwrap()
}

/// A counter in the metrics, of an app or of all.
fn metric(host: &Host, name: &str, app: &str) -> f64 {
    let text = ask(host, "/metrics").text();
    let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    let lines = lines.filter(|line| app.is_empty() || line.contains(&format!("app=\"{app}\"")));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

fn cpu_of_apps(host: &Host, app: &str) -> f64 {
    metric(host, "atoll_app_cpu_seconds_total", app)
}

/// The clock of a process, in seconds, and how fine it is.
fn clock(process: u32) -> f64 {
    let stat = procfs::process::Process::new(process as i32).unwrap().stat().unwrap();
    (stat.utime + stat.stime) as f64 * tick()
}

fn tick() -> f64 {
    1.0 / procfs::ticks_per_second() as f64
}

type Totals = BTreeMap<(String, String), BTreeMap<String, f64>>;

/// The amounts in a report, by app and library.
fn totals(report: &Value) -> Totals {
    let entries = report["apps"].as_array().unwrap().iter().map(|entry| {
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        let amounts = entry.as_object().unwrap().iter();
        let amounts = amounts.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)));
        ((text("app"), text("library")), amounts.collect())
    });
    entries.collect()
}

fn sum(totals: &Totals, app: &str, amount: &str) -> f64 {
    totals.iter().filter(|((name, _), _)| name == app).map(|(_, amounts)| amounts[amount]).sum()
}

fn usage(host: &Host) -> Totals {
    totals(&ask(host, "/api/v1/usage").json())
}

/// Waits until an app has a total that is large enough.
fn wait_for_usage(host: &Host, app: &str, amount: &str, least: f64) -> Totals {
    wait_for(&format!("{amount} of {app} are {least}"), || {
        Some(usage(host)).filter(|usage| sum(usage, app, amount) >= least)
    })
}

/// `atoll usage` in the folder of a host.
fn command(host: &Host, args: &[&str]) -> Ended {
    Launch::command("usage")
        .args(args)
        .args(["--config", &host.path("apps.json")])
        .env("TMPDIR", host.folder().join("tmp"))
        .env("XDG_STATE_HOME", host.folder().join("state"))
        .run()
}

/// Sends requests to these paths at the same time, and waits for all.
fn all_at_once(address: SocketAddr, paths: &[&str]) {
    thread::scope(|scope| {
        for path in paths {
            scope.spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                connection.set_patience(Duration::from_secs(60));
                assert_eq!(connection.call(&Call::get(path)).unwrap().status, 200, "{path}");
            });
        }
    });
}

#[test]
fn the_cpu_time_of_all_apps_is_that_of_the_process() {
    let host = start(json!([app("one"), app("two")]));
    host.get("/apps/one/");
    host.get("/apps/two/");
    // One of the process's readings is before those of the apps, and the other one behind.
    let process = clock(host.pid());
    let [one, two] = ["one", "two"].map(|app| cpu_of_apps(&host, app));
    let burn = ["/apps/one/burn/2500", "/apps/two/burn/2500"];
    all_at_once(host.address(), &burn);
    // On threads that have ended when the clock is read.
    all_at_once(host.address(), &["/apps/one/burn-on-thread/2500", "/apps/two/burn-on-thread/2500"]);
    let [one, two] = [cpu_of_apps(&host, "one") - one, cpu_of_apps(&host, "two") - two];
    let process = clock(host.pid()) - process + 2.0 * tick();
    assert!(one >= 5.0 && two >= 5.0, "what they have burnt is counted: {one} s, {two} s");
    let apps = one + two;
    assert!(apps <= process, "apps: {apps} s, process: {process} s");
    // What the host did itself is some requests and readings.
    assert!(process - apps <= 0.02 * process, "apps: {apps} s, process: {process} s");
}

#[test]
fn the_cpu_time_of_a_process_is_counted_with_its_children_and_after_its_end() {
    let mut bad = app("bad");
    bad.as_object_mut()
        .unwrap()
        .extend([("isolation".to_owned(), json!("process")), ("sandbox".to_owned(), Value::Null)]);
    let host = start(json!([bad]));
    all_at_once(
        host.address(),
        &["/apps/bad/burn/300", "/apps/bad/burn-on-thread/300", "/apps/bad/burn-in-child/300"],
    );
    let used = cpu_of_apps(&host, "bad");
    assert!(used >= 0.9 - 2.0 * tick(), "{used} s");
    host.get("/apps/bad/burn-on");
    wait_until("the thread burns", || cpu_of_apps(&host, "bad") >= used + 0.2);
    let name = |process: &u32| fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    let processes = host.app_processes();
    let process = processes.into_iter().find(|process| name(process).trim_end() == "atoll:bad").unwrap();
    let last = clock(process);
    // SAFETY: it is the host's child, which has not waited for it.
    assert_eq!(unsafe { libc::kill(process as libc::pid_t, libc::SIGKILL) }, 0);
    wait_until("the process is gone", || !fs::exists(format!("/proc/{process}")).unwrap());
    let counted = cpu_of_apps(&host, "bad");
    // With what its child had used.
    assert!(counted >= last + 0.3 - 4.0 * tick(), "{counted} s, and its clock was at {last} s");
    assert_eq!(host.get("/apps/bad/").status, 200, "the next process serves");
    assert!(cpu_of_apps(&host, "bad") > counted, "and is counted besides");
}

#[test]
fn each_library_has_its_totals_which_grow_on_over_reloads_and_restarts() {
    let host = Launch::serve(json!([{ "name": "a", "path": "liba.so" }]))
        .args(ADMIN)
        .write("liba.so", patched("metered", "one"))
        .start();
    host.get("/apps/a/burn-on-thread/300");
    let body = vec![7; 10_000];
    assert_eq!(host.post("/apps/a/echo", body.clone()).body, body);
    let first = cpu_of_apps(&host, "a");
    host.replace("liba.so", patched("metered", "two"));
    wait_until("the other library serves", || host.get("/apps/a/").text().ends_with("two"));
    wait_until("the first one is gone", || host.mapped().len() == 1);
    host.get("/apps/a/burn/200");
    assert!(cpu_of_apps(&host, "a") >= first + 0.2, "a generation that has ended counts on");
    let last = metric(&host, "atoll_app_requests_total", "a");
    let counted = wait_for_usage(&host, "a", "requests", last);
    assert_eq!(counted.len(), 2, "{counted:?}");
    let of = |amount: &str, least: f64| counted.values().filter(|amounts| amounts[amount] >= least).count();
    assert_eq!((of("cpu_seconds", 0.3), of("cpu_seconds", 0.2)), (1, 2), "{counted:?}");
    assert_eq!((of("received_bytes", 10_000.0), of("sent_bytes", 10_000.0)), (1, 1), "{counted:?}");
    assert_eq!((of("cold_starts", 1.0), of("uptime_seconds", 0.1)), (1, 2), "{counted:?}");
    assert_eq!(sum(&counted, "a", "requests"), last);
    // The hash is the one that is shown.
    let kept = ask(&host, "/api/v1/apps/a").json()["kept"].clone();
    let hashes: Vec<&str> = kept.as_array().unwrap().iter().map(|hash| hash.as_str().unwrap()).collect();
    assert!(counted.keys().any(|(_, library)| hashes.contains(&&**library)), "{counted:?}, {hashes:?}");

    // All of it is written when a host ends in order, and the next one counts on.
    host.get("/apps/a/");
    let ended = host.stop();
    let host = ended.serve_again().args(ADMIN).start();
    let again = usage(&host);
    assert_eq!(sum(&again, "a", "requests"), last + 1.0, "{again:?}");
    host.get("/apps/a/");
    let again = wait_for_usage(&host, "a", "requests", last + 2.0);
    assert_eq!(again.len(), 2, "{again:?}");
    assert!(sum(&again, "a", "cpu_seconds") >= sum(&counted, "a", "cpu_seconds"));
    assert_eq!(sum(&again, "a", "cold_starts"), 2.0);
}

#[test]
fn memory_is_counted_as_long_as_it_is_kept() {
    const KEPT: f64 = 100e6;
    let host = start(json!([app("a")]));
    host.get("/apps/a/keep/100000000");
    let read =
        || ["heap_byte", "uptime"].map(|what| metric(&host, &format!("atoll_app_{what}_seconds_total"), "a"));
    // The first readings are between the two beginnings, and the last ones between the two ends.
    let first = Instant::now();
    let [heap, uptime] = read();
    let begun = Instant::now();
    wait_until("some seconds pass", || begun.elapsed() >= Duration::from_secs(3));
    let least = begun.elapsed().as_secs_f64();
    let [heap, uptime] = [read()[0] - heap, read()[1] - uptime];
    let most = first.elapsed().as_secs_f64();
    assert!(uptime >= least && uptime <= most, "{uptime} s, not between {least} s and {most} s");
    // It keeps little else.
    assert!(heap >= KEPT * least && heap <= 1.2 * KEPT * most, "{heap} in {least} s to {most} s");
}

#[test]
fn messages_of_websockets_and_bodies_of_methods_are_counted() {
    let of = |name: &str| json!({ "name": name, "path": library(name) });
    let host = start(json!([of("streams"), of("axum-app"), of("rpc")]));
    let bytes = |app: &str| {
        ["received", "sent"].map(|way| metric(&host, &format!("atoll_app_{way}_bytes_total"), app))
    };
    for (name, app_frames) in [("streams", false), ("axum-app", true)] {
        let url = format!("ws://{}/apps/{name}/ws", host.address());
        let stream = TcpStream::connect(host.address()).unwrap();
        stream.set_read_timeout(Some(support::LIMIT)).unwrap();
        let (mut socket, _) = tungstenite::client::client(url, stream).unwrap();
        let text = "x".repeat(100);
        socket.send(Message::text(&*text)).unwrap();
        let answer = socket.read().unwrap().into_text().unwrap();
        assert!(answer.ends_with(&text), "{answer}");
        let [received, sent] = bytes(name);
        if app_frames {
            // The app writes and reads frames: what frames a message belongs to it.
            assert_eq!([received, sent], [100.0 + 6.0, answer.len() as f64 + 2.0], "{name}");
        } else {
            assert_eq!([received, sent], [100.0, answer.len() as f64], "{name}");
        }
    }
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"nothing"}"#;
    let reply = host.call(&Call::post("/rpc/rpc", call).header("content-type", "application/json"));
    assert_eq!(bytes("rpc"), [call.len(), reply.body.len()].map(|length| length as f64));
}

/// Requests one after the other, until the host is gone.
struct Load {
    ends: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start(address: SocketAddr) -> Self {
        let (ends, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let work = |path: &'static str| {
            let (ends, answered) = (ends.clone(), answered.clone());
            thread::spawn(move || {
                let Ok(mut connection) = Connection::open(address) else { return };
                while !ends.load(Ordering::Relaxed) && connection.call(&Call::get(path)).is_ok() {
                    answered.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(1));
                }
            })
        };
        let threads = ["/apps/a/", "/apps/a/burn/1", "/apps/a/burn-on-thread/1"].map(work).into();
        Self { ends, answered, threads }
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    fn stop(self) {
        self.ends.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// By its name it is the first to run: it waits for most of half a minute, while the other tests work.
#[test]
fn a_host_that_is_killed_loses_little_and_no_total_goes_down() {
    let mut host = start(json!([app("a")]));
    // The last one is killed when it has just begun.
    for seconds in [13, 12, 2] {
        let before = sum(&usage(&host), "a", "requests");
        let load = Load::start(host.address());
        let (begun, mut answered) = (Instant::now(), Vec::new());
        let mut reported = Totals::default();
        while begun.elapsed() < Duration::from_secs(seconds) {
            answered.push((Instant::now(), load.answered()));
            let now = usage(&host);
            assert_not_less(&now, &reported);
            reported = now;
            thread::sleep(Duration::from_millis(20));
        }
        host.signal(libc::SIGKILL);
        let killed = Instant::now();
        let ended = host.ended();
        load.stop();
        let long_ago = answered.iter().rev().find(|(at, _)| killed - *at >= MOST_LOST);
        let kept = before + long_ago.map_or(0, |(_, answered)| *answered) as f64;

        // What is left can be read without a host, and the next one counts on from it.
        let read = ended.again("usage").args(["--format", "json"]).run();
        assert_eq!(read.status.code(), Some(0), "{}", read.stderr);
        contains(&read.stderr, &["no host is running for apps.json: usage until "]);
        let left = totals(&serde_json::from_str(&read.stdout).unwrap());
        assert_not_less(&left, &reported);
        host = ended.serve_again().args(ADMIN).start();
        let again = usage(&host);
        assert_eq!(again, left);
        let requests = sum(&again, "a", "requests");
        assert!(requests >= kept, "{requests} requests, and {kept} were answered 10 s before");
    }
}

#[track_caller]
fn assert_not_less(now: &Totals, before: &Totals) {
    for (key, amounts) in before {
        for (name, before) in amounts {
            let now = now.get(key).map_or(0.0, |amounts| amounts[name]);
            assert!(now >= *before, "{name} of {key:?} went from {before} to {now}");
        }
    }
}

#[test]
fn the_command_prints_tables_lines_and_json() {
    let host = start(json!([app("a"), app("b")]));
    for path in ["/apps/a/", "/apps/a/", "/apps/b/"] {
        assert_eq!(host.get(path).status, 200);
    }
    wait_for_usage(&host, "a", "requests", 2.0);
    wait_for_usage(&host, "b", "requests", 1.0);
    let printed = |args: &[&str]| {
        let ended = command(&host, args);
        assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""), "{args:?}: {}", ended.stdout);
        ended.stdout
    };
    contains(
        &printed(&[]),
        &["APP  LIBRARY", "UPTIME", "CPU", "HEAP GiB·h", "COLD STARTS", "\na  ", "\nb  "],
    );
    let lines = printed(&["--format", "csv", "b"]);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("app,library,uptime_seconds,cpu_seconds,") && lines[1].starts_with("b,"));
    let report: Value = serde_json::from_str(&printed(&["--format", "json", "--since", "1h"])).unwrap();
    assert_eq!(sum(&totals(&report), "a", "requests"), 2.0);
    assert_eq!(report["since_ms"].as_u64().unwrap() % 3_600_000, 0);
    let of_long_ago = ["--since", "2020-01-01", "--until", "2020-01-02T12:00:00Z", "--format", "json"];
    let report: Value = serde_json::from_str(&printed(&of_long_ago)).unwrap();
    assert_eq!(
        (report["apps"].as_array().unwrap().len(), &report["until_ms"]),
        (0, &json!(1_577_966_400_000_u64))
    );

    let unknown = command(&host, &["nobody"]);
    assert_eq!(unknown.status.code(), Some(0));
    contains(&unknown.stderr, &["no usage of the app `nobody` was counted"]);
    for (args, code, words) in [
        (["--since", "yesterday"], 2, "expected a time such as 24h"),
        (["--until", "2020"], 2, "expected a time such as 24h"),
        (["--format", "xml"], 2, "possible values: table, json, csv"),
    ] {
        let refused = command(&host, &args);
        assert_eq!(refused.status.code(), Some(code), "{args:?}");
        contains(&refused.stderr, &[words]);
    }
    let turned = command(&host, &["--since", "2026-01-02", "--until", "2026-01-01"]);
    assert_eq!(turned.status.code(), Some(1));
    contains(&turned.stderr, &["--since 2026-01-02T00:00:00Z is after --until 2026-01-01T00:00:00Z"]);

    ask(&host, "/api/v1/usage?since_ms=2&until_ms=1").problem(400, "bad-request");
    ask(&host, "/api/v1/usage?since_ms=now").problem(400, "bad-request");
    ask(&host, "/api/v1/usage?app=nobody").problem(404, "unknown-app");
    let only = totals(&ask(&host, "/api/v1/usage?app=b").json());
    assert!(only.keys().all(|(app, _)| app == "b") && only.len() == 1, "{only:?}");
}

#[test]
fn counts_are_kept_where_the_host_is_asked_to_or_for_as_long_as_it_lives() {
    let launch = Launch::serve(json!([app("a")]));
    let state = launch.folder().join("kept");
    let host = launch.args(ADMIN).arg("--state-dir").arg(&state).start();
    host.get("/apps/a/");
    let ended = host.stop();
    assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
    let elsewhere = ended.again("usage").run();
    assert_eq!(elsewhere.status.code(), Some(3), "{}", elsewhere.stderr);
    contains(
        &elsewhere.stderr,
        &["no host has kept counts in ", "--state-dir", "no host is running for apps.json"],
    );
    let there = ended.again("usage").arg("--state-dir").arg(&state).args(["--format", "csv"]).run();
    assert_eq!(there.status.code(), Some(0), "{}", there.stderr);
    contains(&there.stdout, &["\na,"]);

    // The folder cannot be made: apps run, and are counted.
    let host = ended.serve_again().args(ADMIN).args(["--state-dir", "/proc/none"]).start();
    host.wait_for_log(&["WARN", "and not kept", "/proc/none", "--state-dir"]);
    assert_eq!(host.get("/apps/a/").status, 200);
    wait_for_usage(&host, "a", "requests", 1.0);
    let limits = ask(&host, "/api/v1/config").json()["limits"].clone();
    assert_eq!((&limits["usage_hours"], &limits["usage_write_interval_ms"]), (&json!(1488), &json!(5000)));
}

/// The status of so many requests to an app.
fn statuses(host: &Host, app: &str, count: usize) -> Vec<u16> {
    (0..count).map(|_| host.get(&format!("/apps/{app}/")).status).collect()
}

#[test]
fn apps_that_have_used_up_a_quota_get_fewer_requests() {
    let registry = |requests: u64| {
        json!({
            "apps": [app("acme-a"), app("acme-b"), app("slow"), app("warned"), app("free")],
            "quotas": [
                { "apps": ["acme-*"], "requests": requests, "cpu_seconds": 100_000 },
                { "apps": ["slow"], "requests": 2, "action": "throttle" },
                { "apps": ["warned", "nobody"], "period": "day", "requests": 1, "action": "warn" },
                { "apps": ["*"], "memory_gib_hours": 1_000_000 },
            ],
        })
    };
    let host = start(registry(5));
    assert_eq!(statuses(&host, "acme-a", 5), [200; 5]);
    for name in ["slow", "warned"] {
        assert_eq!(statuses(&host, name, 2), [200; 2], "{name}");
    }
    // It has had none itself: the apps share the quota.
    wait_until("acme-b is refused", || host.get("/apps/acme-b/").status == 429);
    let refused = host.get("/apps/acme-a/");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    let detail = refused.problem(429, "quota-used-up")["detail"].to_string();
    contains(&detail, &["`acme-a` has used up its quota of 5 requests in a month"]);
    let call = Call::post("/rpc/acme-a", r#"{"jsonrpc":"2.0","method":"x","id":1}"#);
    host.call(&call.header("content-type", "application/json")).problem(429, "quota-used-up");
    host.wait_for_log(&[
        "WARN",
        "quota of acme-*: ",
        " % is used of 5 requests in a month until ",
        "requests are refused",
    ]);

    let throttled = statuses(&host, "slow", 10);
    assert!(throttled.contains(&200) && throttled.contains(&429), "{throttled:?}");
    host.wait_for_log(&["WARN", "quota of slow: ", "1 requests per second are admitted"]);
    host.wait_for_log(&["WARN", "quota of warned, nobody: ", " % is used of 1 requests in a day until "]);
    assert_eq!(statuses(&host, "warned", 2), [200; 2]);
    assert_eq!(statuses(&host, "free", 2), [200; 2]);

    let quotas = ask(&host, "/api/v1/quotas").json();
    let levels: Vec<_> =
        quotas.as_array().unwrap().iter().map(|quota| quota["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["used-up", "used-up", "used-up", "free"]);
    let table = host.again("quotas").run();
    assert_eq!(table.status.code(), Some(0), "{}", table.stderr);
    contains(&table.stdout, &["acme-*", "month", " of 100000 s", " of 5 ", "used up"]);
    let text = ask(&host, "/metrics").text();
    let of_acme = r#"atoll_quota_used_ratio{apps="acme-*",limit="requests",period="month"} "#;
    let ratio = text.lines().find_map(|line| line.strip_prefix(of_acme)).unwrap().parse::<f64>().unwrap();
    assert!(ratio >= 1.0, "{ratio}");

    // What was used stays used.
    let host = host.stop().serve_again().args(ADMIN).start();
    wait_until("it is still used up", || host.get("/apps/acme-a/").status == 429);
    // Requests that are refused count as well.
    host.replace("apps.json", registry(1_000_000).to_string());
    wait_until("the quota is raised", || host.get("/apps/acme-a/").status == 200);
}
