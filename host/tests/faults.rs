//! Apps whose faults end the host: the next start reports which app it was, and with which request.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use support::{Call, Ended, Host, Launch, contains, patched, wait_for, wait_until};

/// The app `bad` with these settings.
fn launch(settings: &Value) -> Launch {
    let mut bad = json!({ "name": "bad", "path": "libbad.so" });
    bad.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    Launch::serve(json!([bad])).write("libbad.so", patched("faults", "one"))
}

/// Sends a request that ends the host, and waits for its end.
#[track_caller]
fn end(host: Host, path: &str) -> Ended {
    let mut client = host.connect();
    client.send(&Call::get(path).header("x-request-id", "the-request")).unwrap();
    host.ended()
}

/// What the host that starts next reports: its log, and what its commands show.
struct Report {
    log: String,
    describe: String,
    ls: String,
    details: Value,
    status: Value,
    host: Host,
}

fn command(host: &Host, args: &[&str]) -> String {
    let (name, rest) = args.split_first().unwrap();
    let ended = Launch::command(name)
        .args(rest)
        .args(["--config", &host.path("apps.json")])
        .env("TMPDIR", host.folder().join("tmp"))
        .run();
    assert!(ended.status.success(), "{}", ended.stderr);
    ended.stdout
}

#[track_caller]
fn report(ended: &Ended) -> Report {
    let host = ended.serve_again().start();
    host.wait_for_log(&["ended the host's previous process"]);
    let json = |text: String| serde_json::from_str(&text).unwrap();
    Report {
        describe: command(&host, &["describe", "bad"]),
        ls: command(&host, &["ls"]),
        details: json(command(&host, &["describe", "bad", "--format", "json"])),
        status: json(command(&host, &["ls", "--format", "json"])),
        log: host.log(),
        host,
    }
}

#[test]
fn a_panic_before_a_fault_is_logged_with_its_backtrace() {
    let apps = json!([{ "name": "bad", "path": "libbad.so" }, { "name": "probe", "path": "libprobe.so" }]);
    let host = Launch::serve(apps).library("probe").write("libbad.so", patched("faults", "one")).start();
    host.get("/apps/probe/panic").problem(500, "app-panicked");
    let ended = end(host, "/apps/bad/now/null");
    assert_eq!(ended.status.signal(), Some(libc::SIGSEGV));
    contains(&ended.stderr, &["this handler panics", "probe::app::{{closure}}"]);
}

#[test]
fn the_next_start_names_the_app_and_the_request_for_each_kind_of_fault() {
    for (way, signal, name, cause, function) in [
        ("now/null", libc::SIGSEGV, "SIGSEGV", "null pointer dereference", "faults::ways::read_null"),
        ("later/wild", libc::SIGSEGV, "SIGSEGV", "invalid memory access", "faults::ways::write_anywhere"),
        ("now/call-null", libc::SIGSEGV, "SIGSEGV", "null pointer dereference", "faults::ways::call_null"),
        ("later/overflow", libc::SIGABRT, "SIGSEGV", "stack overflow", "faults::ways::deeper"),
        ("now/illegal", libc::SIGILL, "SIGILL", "illegal instruction", "faults::ways::illegal_instruction"),
        ("now/divide", libc::SIGFPE, "SIGFPE", "arithmetic trap", "faults::ways::divide_by_zero"),
        ("now/trap", libc::SIGTRAP, "SIGTRAP", "breakpoint", "faults::ways::breakpoint"),
        ("now/bus", libc::SIGBUS, "SIGBUS", "mapped file", "faults::ways::read_beyond_the_file"),
        ("later/free", libc::SIGABRT, "SIGABRT", "abort", "faults::ways::free_what_is_no_block"),
        ("now/raise", libc::SIGSYS, "SIGSYS", "raised", "faults::ways::raise_by_system_call"),
    ] {
        let ended = end(launch(&json!({})).start(), &format!("/apps/bad/{way}"));
        assert_eq!(ended.status.signal(), Some(signal), "{way}: {}", ended.status);
        let Report { log, describe, ls, details, status, host } = report(&ended);
        let request = format!("GET /apps/bad/{way}");
        for text in [&log, &describe] {
            contains(text, &["worker 0 of bad#1", name, cause, &request, "the-request", function]);
        }
        contains(&ls, &["bad#1", name, &request]);
        let fault = &details["faults"][0];
        assert_eq!(
            (&fault["app"], &fault["generation"], &fault["worker"]),
            (&json!("bad"), &json!(1), &json!(0))
        );
        assert_eq!((&fault["signal"], &fault["request"]["request"]), (&json!(name), &json!(request)));
        assert_eq!(fault["request"]["request_id"], "the-request");
        assert_eq!(fault["thread"], "bad#1.0");
        assert_eq!(&status["fault"], fault, "it is the one that ended the process before");
        assert_eq!(host.get("/apps/bad/").text(), "one", "the app runs again");
        assert!(host.stop().status.success());
    }
}

#[test]
fn an_overflow_shows_its_recursion_once() {
    let ended = end(launch(&json!({})).start(), "/apps/bad/now/overflow");
    contains(&ended.stderr, &["has overflowed its stack"]);
    let log = report(&ended).log;
    contains(&log, &["more calls of itself"]);
    assert_eq!(log.matches("faults::ways::deeper").count(), 1, "{log}");
    let (before, _) = log.split_once(" more calls of itself").unwrap();
    let calls: usize = before.rsplit('(').next().unwrap().parse().unwrap();
    assert!((100..128).contains(&calls), "a record has at most 128 frames, found {calls} calls");
}

#[test]
fn threads_of_the_app_are_named_with_the_requests_that_it_had() {
    for (way, signal, cause) in [
        ("null", libc::SIGSEGV, "null pointer dereference"),
        ("overflow", libc::SIGSEGV, "stack overflow"),
        ("free", libc::SIGABRT, "abort"),
    ] {
        let host = launch(&json!({ "workers": 2 })).start();
        let (mut waiting, entered) = (host.connect(), host.path("entered"));
        waiting.send(&Call::get(&format!("/apps/bad/wait?entered={entered}"))).unwrap();
        wait_until("a request is in flight", || std::fs::exists(&entered).unwrap());
        let ended = end(host, &format!("/apps/bad/thread/{way}"));
        assert_eq!(ended.status.signal(), Some(signal), "{way}: {}", ended.status);
        let Report { log, details, .. } = report(&ended);
        contains(&log, &["the thread \"the-culprit\" of bad#1", cause, "GET /apps/bad/wait", "the-request"]);
        let fault = &details["faults"][0];
        assert_eq!((&fault["worker"], &fault["request"]), (&Value::Null, &Value::Null));
        let mut requests: Vec<_> = fault["candidates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["request"].as_str().unwrap())
            .collect();
        requests.sort_unstable();
        assert_eq!(requests, [&format!("GET /apps/bad/thread/{way}"), "GET /apps/bad/wait"]);
    }
}

#[test]
fn an_axum_app_is_named_with_its_request() {
    for (how, cause) in [("fault", "null pointer dereference"), ("overflow", "stack overflow")] {
        let host = Launch::serve(json!([{ "name": "bad", "path": "libbad.so", "deadline_ms": 60_000 }]))
            .write("libbad.so", patched("process", "1"))
            .start();
        let mut client = host.connect();
        client.send(&Call::post(&format!("/apps/bad/end/{how}/worker"), "")).unwrap();
        let ended = host.ended();
        let request = format!("POST /apps/bad/end/{how}/worker");
        contains(&report(&ended).log, &["worker 0 of bad#1", cause, &request, "process::ending::"]);
    }
}

#[test]
fn among_many_requests_the_one_that_ran_is_named() {
    let host = launch(&json!({ "workers": 4 })).start();
    let (mut waiting, entered) = (host.connect(), host.path("entered"));
    waiting.send(&Call::get(&format!("/apps/bad/wait?entered={entered}"))).unwrap();
    wait_until("a request is in flight", || std::fs::exists(&entered).unwrap());
    let (address, over) = (host.address(), AtomicBool::new(false));
    let ended = std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let Ok(mut connection) = support::Connection::open(address) else { return };
                while !over.load(Ordering::SeqCst) {
                    // The host ends under it.
                    let _ = connection.call(&Call::get("/apps/bad/busy"));
                }
            });
        }
        wait_until("there is a load", || {
            let status: Value = serde_json::from_str(&command(&host, &["ls", "--format", "json"])).unwrap();
            status["apps"][0]["serving"]["calls"].as_u64().unwrap() > 200
        });
        // Several at once: one of them is recorded, whole.
        let mut clients: Vec<_> = (0..8).map(|_| host.connect()).collect();
        for client in &mut clients {
            let _ = client.send(&Call::get("/apps/bad/later/null").header("x-request-id", "the-request"));
        }
        let ended = host.ended();
        over.store(true, Ordering::SeqCst);
        ended
    });
    assert_eq!(ended.status.signal(), Some(libc::SIGSEGV));
    let Report { details, log, .. } = report(&ended);
    let fault = &details["faults"][0];
    assert_eq!(fault["request"]["request"], "GET /apps/bad/later/null", "{fault}");
    assert_eq!(fault["request"]["request_id"], "the-request");
    assert!(fault["worker"].as_u64().unwrap() < 4);
    contains(&log, &["faults::ways::read_null"]);
}

#[test]
fn a_fault_at_the_start_names_the_app() {
    let host = launch(&json!({ "config": { "at_start": "null" } })).start();
    let ended = end(host, "/apps/bad/");
    let Report { log, details, host, .. } = report(&ended);
    contains(&log, &["worker 0 of bad#1", "null pointer dereference", "faults::ways::read_null"]);
    assert_eq!(
        (&details["faults"][0]["request"], &details["faults"][0]["candidates"]),
        (&Value::Null, &json!([]))
    );
    drop(host);
}

#[test]
fn an_app_that_is_to_be_disabled_stays_so_until_it_is_enabled() {
    let ended = end(launch(&json!({ "on_fault": "disable", "preload": true })).start(), "/apps/bad/now/null");
    let Report { host, details, .. } = report(&ended);
    assert_eq!(details["phase"], "disabled");
    host.wait_for_log(&["bad: disabled (on_fault = disable)", "GET /apps/bad/now/null", "atoll enable bad"]);
    let problem = host.get("/apps/bad/");
    contains(&problem.text(), &["is disabled because it ended the host with a fault"]);
    problem.problem(503, "unavailable");
    let refused = Launch::command("start")
        .args(["bad", "--config", &host.path("apps.json")])
        .env("TMPDIR", host.folder().join("tmp"))
        .run();
    contains(&refused.stderr, &["SIGSEGV", "atoll enable"]);

    // Another start, after no fault, remembers.
    let ended = host.stop();
    let host = ended.serve_again().start();
    host.get("/apps/bad/").problem(503, "unavailable");
    assert!(!host.log().contains("ended the host's previous process"), "it is reported once");
    command(&host, &["enable", "bad"]);
    assert_eq!(host.get("/apps/bad/").status, 200);
    let ended = host.stop();
    let host = ended.serve_again().start();
    assert_eq!(host.get("/apps/bad/").status, 200, "it was enabled");
}

#[test]
fn another_library_or_another_setting_enables_the_app() {
    let disable = json!({ "on_fault": "disable" });
    let fault = || end(launch(&disable).start(), "/apps/bad/now/null");
    let is_served = |host: &Host| host.get("/apps/bad/").status == 200;

    let host = report(&fault()).host;
    host.get("/apps/bad/").problem(503, "unavailable");
    host.replace("libbad.so", patched("faults", "two"));
    wait_until("the new library serves", || is_served(&host));

    // While no host runs.
    let ended = fault();
    std::fs::write(ended.folder().join("libbad.so"), patched("faults", "two")).unwrap();
    assert!(is_served(&report(&ended).host));

    let host = report(&fault()).host;
    host.get("/apps/bad/").problem(503, "unavailable");
    host.replace("apps.json", json!([{ "name": "bad", "path": "libbad.so" }]).to_string());
    wait_until("the app may restart", || is_served(&host));
}

#[test]
fn an_app_that_ended_the_host_comes_back_in_a_separate_process() {
    let ended = end(launch(&json!({})).start(), "/apps/bad/now/null");
    let host = report(&ended).host;
    host.wait_for_log(&["bad: runs in a separate process (on_fault = process)", "atoll enable bad"]);
    let process = |host: &Host| {
        let details = command(host, &["describe", "bad", "--format", "json"]);
        let details: Value = serde_json::from_str(&details).unwrap();
        details["serving"]["process"]["id"].as_u64()
    };
    assert_eq!(host.get("/apps/bad/").status, 200);
    assert!(process(&host).is_some());
    host.get("/apps/bad/now/null").problem(502, "bad-gateway");
    host.wait_for_log(&["worker 0 of bad#1 ended its process"]);

    // Also after the next start, until the library is another one.
    let host = host.stop().serve_again().start();
    wait_until("it serves", || host.get("/apps/bad/").status == 200);
    assert!(process(&host).is_some());
    host.replace("libbad.so", patched("faults", "two"));
    wait_until("the new library serves", || host.get("/apps/bad/").text() == "two");
    assert_eq!(process(&host), None);
    assert!(host.stop().status.success());
}

fn fault_files(files: Vec<PathBuf>) -> Vec<PathBuf> {
    let is_one = |file: &PathBuf| file.to_string_lossy().contains("/faults-");
    files.into_iter().filter(is_one).collect()
}

#[test]
fn a_host_without_a_fault_leaves_and_reports_nothing() {
    let host = launch(&json!({})).start();
    assert_eq!(host.get("/apps/bad/").status, 200);
    assert_eq!(fault_files(host.temporary_files()).len(), 1, "the record is open");
    let ended = host.stop();
    assert_eq!(fault_files(ended.temporary_files()), Vec::<PathBuf>::new());

    // Neither does one that someone else ends.
    for signal in [libc::SIGKILL, libc::SIGILL, libc::SIGABRT] {
        let mut host = ended.serve_again().start();
        assert_eq!(host.get("/apps/bad/").status, 200);
        host.signal(signal);
        assert_eq!(host.ended().status.signal(), Some(signal));
    }
    let host = ended.serve_again().start();
    assert!(!host.log().contains("previous process"), "{}", host.log());
    assert!(host.stop().status.success());
}

#[test]
fn without_the_library_there_are_offsets() {
    let ended = end(launch(&json!({})).start(), "/apps/bad/now/null");
    let files = ended.temporary_files();
    for file in files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "so")) {
        std::fs::remove_file(file).unwrap();
    }
    let log = report(&ended).log;
    contains(&log, &["GET /apps/bad/now/null", "bad-1.so+0x"]);
    assert!(!log.contains("read_null"), "{log}");
}

#[test]
fn another_host_of_the_user_leaves_the_record_alone() {
    let ended = end(launch(&json!({})).start(), "/apps/bad/now/null");
    let other = ended.folder().join("other.json");
    std::fs::write(&other, "[]").unwrap();
    let host = ended.serve_again().arg("--config").arg(&other).start();
    wait_for("the other host has cleaned up", || {
        ended.temporary_files().iter().all(|file| !file.ends_with("bad-1.so")).then_some(())
    });
    assert_eq!(host.get("/healthz").status, 200);
    assert!(!host.log().contains("previous process"));
    let status = host.stop().status;
    assert!(status.success(), "{status}");
    contains(&report(&ended).log, &["worker 0 of bad#1", "faults::ways::read_null"]);
}

#[test]
fn a_fault_while_the_library_is_opened_names_the_app() {
    let host = Launch::serve(json!([{ "name": "bad", "path": "libbad.so", "preflight": false }]))
        .write("libbad.so", patched("faults", "at-open"))
        .start();
    let ended = end(host, "/apps/bad/");
    assert_eq!(ended.status.signal(), Some(libc::SIGSEGV));
    contains(&report(&ended).log, &["of bad#1", "null pointer dereference", "faults::ways::read_null"]);
}

#[test]
fn a_fault_that_the_app_handles_is_none() {
    let host = launch(&json!({})).start();
    assert_eq!(host.get("/apps/bad/own-handler").text(), "survived");
    let ended = host.stop();
    assert!(ended.status.success());
    assert_eq!(fault_files(ended.temporary_files()), Vec::<PathBuf>::new());
}

#[test]
fn many_requests_are_listed_up_to_the_limit() {
    let host = launch(&json!({})).start();
    let (entered, mut waiting) = (host.path("entered"), Vec::new());
    for _ in 0..100 {
        let mut client = host.connect();
        client.send(&Call::get(&format!("/apps/bad/wait?entered={entered}"))).unwrap();
        waiting.push(client);
    }
    wait_until("all are in flight", || {
        let status: Value = serde_json::from_str(&command(&host, &["ls", "--format", "json"])).unwrap();
        let serving = &status["apps"][0]["serving"];
        serving["in_flight"] == 100 && serving["waiting"] == 0
    });
    let ended = end(host, "/apps/bad/thread/null");
    let limits = ended.again("config").args(["show", "--format", "json"]).run().stdout;
    let limits: Value = serde_json::from_str(&limits).unwrap();
    assert_eq!(
        (&limits["limits"]["fault_requests"], &limits["limits"]["kept_host_faults"]),
        (&json!(64), &json!(16))
    );
    let details = report(&ended).details;
    assert_eq!(details["faults"][0]["candidates"].as_array().unwrap().len(), 64);
}

#[test]
fn stacks_are_as_large_as_the_setting_says() {
    let sizes =
        |host: &Host| -> [usize; 2] { serde_json::from_value(host.get("/apps/bad/stack").json()).unwrap() };
    let host = launch(&json!({})).start();
    for size in sizes(&host) {
        assert!((8 << 20..9 << 20).contains(&size), "{size}");
    }
    assert_eq!(host.get("/apps/bad/deep/1500").text(), "1500");
    drop(host);
    let host = launch(&json!({ "stack_size": "32MiB" })).start();
    for size in sizes(&host) {
        assert!((32 << 20..33 << 20).contains(&size), "{size}");
    }
    assert_eq!(host.get("/apps/bad/deep/6000").text(), "6000");
}
