//! Apps that misbehave: what they do stays with them.

mod misbehave;
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use misbehave::{apps, block, launch, mapped, others_are_fine, start, start_app, touch};
use serde_json::{Value, json};
use support::{Call, Host, Launch, Load, patched, versioned, wait_for, wait_until};

fn launch_with(settings: &Value, bad: Vec<u8>) -> Launch {
    Launch::serve(apps(settings)).write("libbad.so", bad).write("libgood.so", versioned("good"))
}

#[track_caller]
fn wait_for_failed(host: &Host) {
    wait_until("the app is failed", || host.get("/readyz").text() == "bad: failed\n");
}

#[test]
fn a_panic_in_the_drop_of_a_handlers_future() {
    let host = start("", &json!({ "deadline_ms": 2000 }));
    start_app(&host);
    host.get("/apps/bad/drop-panics").problem(500, "app-panicked");
    host.get("/apps/bad/drop-panics-when-cancelled").problem(504, "deadline-exceeded");
    wait_until("both panics are reported", || {
        host.log_lines(&["panicked at", "this drop panics"]).len() == 2
    });
    assert_eq!(host.get("/apps/bad/").text(), "fine");
    assert_eq!(host.log_lines(&["bad#2"]), [""; 0], "it is the same worker");
    others_are_fine(&host);
}

#[test]
fn a_request_whose_client_has_its_answer_is_not_carried_out() {
    let host = start("", &json!({ "deadline_ms": 1000 }));
    let mut blocked = host.connect();
    let file = block(&host, &mut blocked);
    let notes = host.path("notes");
    let note = |text: &str| Call::post(&format!("/apps/bad/note?file={notes}"), text);
    std::thread::scope(|scope| {
        for n in 0..5 {
            let (host, call) = (&host, note(&format!("dead {n}")));
            scope.spawn(move || host.call(&call).problem(504, "deadline-exceeded"));
        }
    });
    blocked.receive("GET").unwrap().problem(504, "deadline-exceeded");
    touch(&file);
    wait_until("the worker is free again", || {
        // What comes after them in the same inbox.
        host.call(&note("alive")).status == 200
    });
    let notes = std::fs::read_to_string(&notes).unwrap();
    assert!(!notes.contains("dead"), "{notes}");
}

#[test]
fn the_time_in_the_queue_is_taken_off_the_deadline() {
    let host = start("", &json!({ "deadline_ms": 60_000 }));
    let mut blocked = host.connect();
    let file = block(&host, &mut blocked);
    let mut waiting = host.connect();
    waiting.send(&Call::get("/apps/bad/left")).unwrap();
    let sent = std::time::Instant::now();
    let waited = std::time::Duration::from_millis(500);
    wait_until("it has waited for a while", || sent.elapsed() > waited + waited);
    touch(&file);
    let left = waiting.receive("GET").unwrap().json().as_u64().unwrap();
    assert!(left < 59_500, "{left}");
}

#[test]
fn what_a_worker_leaves_when_it_ends_is_for_the_others() {
    let host = start("by-hand", &json!({ "workers": 2 }));
    assert_eq!(host.get("/apps/bad/").text(), "by hand");
    let file = host.path("return");
    let mut ending = host.connect();
    ending.send(&Call::get(&format!("/apps/bad/return-when?{file}"))).unwrap();
    wait_until("the worker is blocked", || std::fs::exists(format!("{file}.entered")).unwrap());
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let ask = || {
            assert_eq!(host.get("/apps/bad/").text(), "by hand");
            answered.fetch_add(1, Ordering::SeqCst);
        };
        let others: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        // The other half is in the inbox of the worker that will end.
        wait_until("the other worker has answered its half", || answered.load(Ordering::SeqCst) == 4);
        touch(&file);
        others.into_iter().for_each(|other| other.join().unwrap());
    });
    ending.receive("GET").unwrap().problem(502, "bad-gateway");
    others_are_fine(&host);
}

#[test]
fn a_start_that_fails() {
    for (mark, config, text) in [
        ("", json!({ "at_start": "fail" }), "this start fails"),
        ("", json!({ "at_start": "panic" }), "this start panics"),
        ("app-panics", Value::Null, "this app function panics"),
    ] {
        let host = start(mark, &json!({ "config": config, "max_restarts": 2 }));
        let reply = host.get("/apps/bad/");
        let problem = reply.problem(503, "unavailable");
        assert!(!problem.to_string().contains(text), "{problem}");
        let seconds: u64 = reply.header("retry-after").expect("a time to wait").parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        host.wait_for_log(&["ERROR", "bad", "failed to start", "worker 0 failed to start: ", text]);
        others_are_fine(&host);

        wait_for_failed(&host);
        let tries = || host.log_lines(&["failed to start"]).len();
        wait_until("one try and two more are in the log", || tries() >= 3);
        let reply = host.get("/apps/bad/");
        reply.problem(503, "unavailable");
        assert!(reply.header("retry-after").is_some());
        wait_until("nothing of the tries is left", || mapped(&host) == 0);
        assert_eq!(tries(), 3, "{text}");

        host.replace("libbad.so", versioned("mended"));
        if config != Value::Null {
            // What the library does not read changes nothing.
            host.replace("apps.json", apps(&json!({})).to_string());
        }
        wait_until("the mended app answers", || host.get("/apps/bad/").text() == "mended");
    }
}

#[test]
fn a_next_generation_that_does_not_start_leaves_the_old_one() {
    let host = launch_with(&json!({}), versioned("first")).start();
    assert_eq!(host.get("/apps/bad/").text(), "first");
    let load = Load::start(host.address(), &["/apps/bad/"; 2]);
    // It panics before it is ready.
    host.replace("libbad.so", patched("misbehave", "app-panics"));
    host.wait_for_log(&["ERROR", "bad: generation 2 failed to start", "this app function panics"]);
    host.wait_for_log(&["(code -32001); generation 1 keeps serving"]);
    // It fails as it starts.
    let failing = apps(&json!({ "config": { "at_start": "fail" } }));
    host.replace("libbad.so", patched("misbehave", ""));
    wait_until("the next one serves", || host.get("/apps/bad/").text() == "fine");
    host.replace("apps.json", failing.to_string());
    host.wait_for_log(&["ERROR", "failed to start", "this start fails", "; generation 3 keeps serving"]);
    wait_until("nothing of the tries is left", || mapped(&host) == 1);
    host.replace("libbad.so", versioned("next"));
    wait_until("the next version answers", || host.get("/apps/bad/").text() == "next");
    for replies in load.stop() {
        let texts = replies.iter().map(|reply| (reply.status, reply.text()));
        let fine = texts.skip_while(|reply| *reply == (200, "first".to_owned()));
        let mut next = fine.skip_while(|reply| *reply == (200, "fine".to_owned()));
        assert!(next.all(|reply| reply == (200, "next".to_owned())));
    }
}

#[test]
fn a_next_generation_that_ends_at_once_is_no_end_of_the_app() {
    let host = launch_with(&json!({}), versioned("first")).start();
    assert_eq!(host.get("/apps/bad/").text(), "first");
    for mark in ["returns", "panics"] {
        host.replace("libbad.so", patched("misbehave", mark));
        // Whether it has served for a moment or not at all depends on which of two threads was faster.
        host.wait_for_log(&[
            "ERROR",
            "bad",
            if mark == "returns" { "returned from main" } else { "panicked in main" },
        ]);
        host.replace("libbad.so", versioned("next"));
        wait_until("the next version answers", || host.get("/apps/bad/").text() == "next");
        others_are_fine(&host);
    }
    wait_until("one library is left", || mapped(&host) == 1);
}

#[test]
fn a_start_that_hangs() {
    let limits = json!({ "start_timeout_ms": 300, "stop_timeout_ms": 100, "max_restarts": 0 });
    let launch = launch("", &limits);
    let file = launch.folder().join("go");
    let mut settings = limits.clone();
    settings["config"] = json!({ "start_until": file });
    let host = launch.write("apps.json", apps(&settings).to_string()).start();
    let reply = host.get("/apps/bad/");
    reply.problem(503, "unavailable");
    assert!(reply.header("retry-after").is_some());
    host.wait_for_log(&["ERROR", "bad", "it was not ready within start_timeout_ms = 300"]);
    // A library stays; a process does not.
    let what = if support::IN_PROCESSES { "bad#1: killing its process" } else { "bad#1 is pinned" };
    host.wait_for_log(&["WARN", what, "worker 0 has not returned from the app's code"]);
    wait_for_failed(&host);
    others_are_fine(&host);

    // The thread comes back into a library that is still there.
    touch(&host.path("go"));
    wait_until("the library is unloaded", || mapped(&host) == 0);
    host.replace("apps.json", apps(&json!({})).to_string());
    wait_until("the app answers", || host.get("/apps/bad/").text() == "fine");
    assert_eq!(mapped(&host), 1);
}

#[test]
fn a_main_that_ends_at_once_is_restarted_ever_later_and_then_no_more() {
    for (mark, text) in [("returns", "returned from main unexpectedly"), ("panics", "panicked in main")] {
        let host = start(mark, &json!({ "max_restarts": 3 }));
        let reply = host.get("/apps/bad/");
        assert!([502, 503].contains(&reply.status), "{}", reply.text());
        wait_for_failed(&host);
        // One may end before the host knows that it is ready; it then has not served.
        let ends = || host.log_lines(&["ERROR", "atoll_host::app::supervisor", text]).len();
        wait_until("one end and three more are in the log", || ends() >= 4);
        let reply = host.get("/apps/bad/");
        reply.problem(503, "unavailable");
        assert!(reply.header("retry-after").is_some_and(|seconds| seconds != "0"));
        wait_until("nothing of it is left", || mapped(&host) == 0);
        assert_eq!(ends(), 4, "it is not started any more");
        others_are_fine(&host);

        host.replace("libbad.so", versioned("mended"));
        wait_until("the mended app answers", || host.get("/apps/bad/").text() == "mended");
    }
}

#[test]
fn a_main_that_ends_with_requests_in_flight() {
    let host = start("by-hand", &json!({}));
    for (path, text, generation) in [("/return", "returned from main", 1), ("/panic", "panicked in main", 2)]
    {
        assert_eq!(host.get("/apps/bad/").text(), "by hand");
        let (mut waits, entered) = (host.connect(), host.path(&format!("entered{generation}")));
        waits.send(&Call::get(&format!("/apps/bad/never?{entered}"))).unwrap();
        wait_until("the worker has it", || std::fs::exists(&entered).unwrap());
        for reply in [host.get(&format!("/apps/bad{path}")), waits.receive("GET").unwrap()] {
            let problem = reply.problem(502, "bad-gateway");
            assert!(problem["detail"].as_str().unwrap().contains("may have taken effect"), "{problem}");
        }
        host.wait_for_log(&["ERROR", &format!("bad#{generation}"), text]);
        wait_until("the next generation answers", || host.get("/apps/bad/").status == 200);
        host.wait_for_log(&[&format!("bad#{} is serving", generation + 1)]);
    }
    others_are_fine(&host);
}

#[test]
fn an_answer_that_is_none() {
    let host = start("by-hand", &json!({}));
    let problem = host.get("/apps/bad/not-a-response").problem(502, "bad-gateway");
    assert_eq!(problem["detail"], "The app `bad` did not return a valid HTTP response; see its log.");
    assert_eq!(host.get("/apps/bad/unasked").text(), "answered one that nobody asked");
    host.wait_for_log(&["WARN", "bad: the app responded to the unknown request"]);
    host.get("/apps/bad/body-first").problem(502, "bad-gateway");
    host.wait_for_log(&["ERROR", "bad#1: request ", "the app sent a body before its response head"]);
    assert_eq!(host.get("/apps/bad/numberless").text(), "answered nobody");
    host.wait_for_log(&["WARN", "bad: the app sent a response without an id"]);
    assert_eq!(host.get("/apps/bad/unknown").text(), "asked for what there is not");
    host.wait_for_log(&["WARN", "bad: the app sent the unknown message make.coffee"]);
    assert_eq!(host.get("/apps/bad/").text(), "by hand");
}

#[test]
fn an_answer_that_http_has_no_form_for() {
    let host = start("by-hand", &json!({}));
    for (path, what) in [
        ("status", "the status 42; expected 200 to 599"),
        ("header-name", "invalid header name \"no name\""),
        ("header-value", "invalid value of the header `x-lines`"),
    ] {
        let problem = host.get(&format!("/apps/bad/{path}")).problem(502, "bad-gateway");
        assert_eq!(problem["detail"], format!("Invalid response from the app: {what}."));
    }
    assert_eq!(host.get("/apps/bad/").text(), "by hand");
}

#[test]
fn a_request_that_is_never_answered_is_cut_off() {
    let host = start("by-hand", &json!({ "drain_timeout_ms": 100 }));
    assert_eq!(host.get("/apps/bad/").text(), "by hand");
    let mut waits = host.connect();
    waits.send(&Call::get("/apps/bad/never")).unwrap();
    // The worker takes them in turn.
    assert_eq!(host.get("/apps/bad/").text(), "by hand");
    host.replace("libbad.so", versioned("next"));
    host.wait_for_log(&["WARN", "bad#1: cancelled 1 unfinished request after drain_timeout_ms = 100"]);
    waits.receive("GET").unwrap().problem(502, "bad-gateway");
    wait_until("the next version answers", || host.get("/apps/bad/").text() == "next");
}

#[test]
fn a_blocked_handler_does_not_keep_the_host_from_ending() {
    let mut host = start("", &json!({ "deadline_ms": 300, "drain_timeout_ms": 100, "stop_timeout_ms": 100 }));
    let mut blocked = host.connect();
    block(&host, &mut blocked);
    host.signal(libc::SIGTERM);
    blocked.receive("GET").unwrap().problem(504, "deadline-exceeded");
    let ended = host.ended();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn more_generations_that_drain_than_there_may_be() {
    let host = start("0", &json!({ "drain_timeout_ms": 4000, "max_draining": 2 }));
    let begin = |number: u64| {
        let file = host.path(&format!("go{number}"));
        let mut connection = host.connect();
        let entered = host.path(&format!("entered{number}"));
        connection.send(&Call::get(&format!("/apps/bad/wait?file={file}&entered={entered}"))).unwrap();
        wait_until("it is in the handler", || std::fs::exists(&entered).unwrap());
        (connection, file)
    };
    let mut held = Vec::new();
    for number in 1..=3 {
        start_app(&host);
        host.wait_for_log(&[&format!("bad#{number} is serving")]);
        held.push(begin(number));
        host.replace("libbad.so", patched("misbehave", &number.to_string()));
    }
    // Two drain, and the third goes on until one of them has ended.
    host.wait_for_log(&[
        "WARN",
        "bad: the next generation starts when one of the 2 that are draining has ended (max_draining = 2)",
    ]);
    assert_eq!(host.get("/apps/bad/").text(), "fine");
    assert_eq!((mapped(&host), host.log_lines(&["bad#4 is serving"]).len()), (3, 0));
    let (mut first, file) = held.remove(0);
    touch(&file);
    assert_eq!(first.receive("GET").unwrap().text(), "waited");
    host.wait_for_log(&["bad#4 is serving"]);
    assert!(mapped(&host) <= 4, "two drain, one more, and what serves");
    // No request is lost: the others are answered as well, by the generations that they were sent to.
    for (mut connection, file) in held {
        touch(&file);
        assert_eq!(connection.receive("GET").unwrap().text(), "waited");
    }
    wait_until("all others are gone", || mapped(&host) == 1);
}

#[test]
fn a_thread_of_the_apps_that_ends_in_time_is_waited_for() {
    let host = launch("", &json!({})).env("RUST_LOG", "debug").start();
    let file = host.path("go");
    assert_eq!(host.post(&format!("/apps/bad/thread/brief?file={file}"), "").status, 200);
    wait_until("the thread runs", || host.threads().contains(&"brief".to_owned()));
    host.replace("libbad.so", versioned("next"));
    wait_until("the next version answers", || host.get("/apps/bad/").text() == "next");
    host.wait_for_log(&["bad#1 stopped"]);
    assert_eq!(mapped(&host), 2, "its thread still runs");
    touch(&file);
    host.wait_for_log(&["bad#1 unloaded"]);
    wait_until("the library is gone", || mapped(&host) == 1);
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
    others_are_fine(&host);
}

#[test]
fn an_app_is_removed_under_load() {
    let host = start("", &json!({}));
    assert_eq!(host.get("/apps/bad/").text(), "fine");
    let load = Load::start(host.address(), &["/apps/bad/", "/apps/bad/", "/apps/bad/", "/apps/good/"]);
    wait_until("the load has begun", || load.answered() > 50);
    host.replace("apps.json", json!([{ "name": "good", "path": "libgood.so" }]).to_string());
    wait_until("the app is gone", || host.get("/apps/bad/").status == 404);
    let then = load.answered();
    wait_until("the load goes on", || load.answered() > then + 50);
    wait_until("its library is gone", || mapped(&host) == 0);
    let mut replies = load.stop();
    let good = replies.pop().unwrap();
    assert!(good.iter().all(|reply| (reply.status, reply.text()) == (200, "good".to_owned())));
    for replies in replies {
        let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
        let served = statuses.iter().take_while(|&&status| status == 200).count();
        // A request that came while it was taken down may be told so.
        let refused = statuses[served..].iter().take_while(|&&status| status == 503).count();
        assert!(served > 0 && refused <= 1, "{served} {refused}");
        assert!(statuses[served + refused..].iter().all(|&status| status == 404), "{statuses:?}");
    }
    assert_eq!(host.log_lines(&["ERROR"]), [""; 0]);
}

#[test]
fn an_idle_app_is_unloaded_and_started_by_the_next_call() {
    let host = start("", &json!({ "idle_timeout_ms": 200 }));
    for generation in 1..=3 {
        assert_eq!(host.get("/apps/bad/").text(), "fine");
        host.wait_for_log(&[&format!("bad#{generation} is serving")]);
        wait_until("the library is unloaded", || mapped(&host) == 0);
    }
    assert_eq!(host.log_lines(&["bad#4"]), [""; 0], "nothing starts it but a call");
    others_are_fine(&host);
}

#[test]
fn an_app_with_a_request_in_flight_is_not_idle() {
    let host = start("", &json!({ "idle_timeout_ms": 100, "drain_timeout_ms": 0 }));
    let mut blocked = host.connect();
    let file = block(&host, &mut blocked);
    // The other app shows that time goes by: it is unloaded many times over in this time.
    let begun = std::time::Instant::now();
    wait_for("several idle timeouts", || (begun.elapsed().as_millis() > 500).then_some(()));
    assert_eq!(mapped(&host), 1);
    touch(&file);
    assert_eq!(blocked.receive("GET").unwrap().text(), "no longer blocked");
    wait_until("the library is unloaded", || mapped(&host) == 0);
    assert_eq!(host.get("/apps/bad/").text(), "fine");
}

/// The lines of the log with these words, once there has been none for a while.
fn settled_lines(host: &Host, words: &[&str]) -> Vec<String> {
    let mut before = (Instant::now(), 0);
    wait_for("the log has no more such lines", || {
        let lines = host.log_lines(words);
        if lines.len() > before.1 {
            before = (Instant::now(), lines.len());
        }
        (before.0.elapsed() > Duration::from_secs(3)).then_some(lines)
    })
}

/// How many things the lines of an app's warnings stand for.
fn counted(lines: &[String]) -> u64 {
    let more = |line: &String| {
        let words: Vec<_> = line.split([' ', '(']).collect();
        let counts = words.windows(2).filter(|pair| pair[1] == "more");
        counts.filter_map(|pair| pair[0].parse::<u64>().ok()).next()
    };
    lines.iter().map(|line| more(line).unwrap_or(1)).sum()
}

#[test]
fn what_an_app_does_again_and_again_is_a_line_a_second_with_a_count() {
    let host = start("by-hand", &json!({}));
    let begun = Instant::now();
    assert_eq!(host.get("/apps/bad/unasked?100000").text(), "answered one that nobody asked");
    let lines = settled_lines(&host, &["WARN", "bad: "]);
    assert!(lines.len() as u64 <= 2 + begun.elapsed().as_secs(), "{lines:?}");
    assert_eq!(counted(&lines), 100_000, "{lines:?}");
    others_are_fine(&host);
}

#[test]
fn log_records_beyond_the_limits_are_left_out_and_long_ones_are_cut() {
    let host = start("", &json!({ "log_rate": 10, "log_record_limit": 2000 }));
    assert_eq!(host.post("/apps/bad/log?records=5000&bytes=1", "").text(), "logged");
    let left_out = counted(&settled_lines(&host, &["bad: ", "log"]));
    let written = host.log_lines(&["app=bad"]).len() as u64;
    assert_eq!(written + left_out, 5000);
    // One window has ten, and a slow machine needs more than one.
    assert!((10..2500).contains(&written), "{written}");

    for (bytes, is_cut) in [(2000, false), (2001, true), (1_000_000, true)] {
        let is_it = |line: &String| {
            let cut = line.contains(&format!("… ({} bytes more)", bytes - 2000));
            line.matches('x').count() == 2000 && cut == is_cut && (is_cut || !line.contains("bytes more"))
        };
        wait_until("the record is taken", || {
            assert_eq!(host.post(&format!("/apps/bad/log?records=1&bytes={bytes}"), "").text(), "logged");
            host.log_lines(&["app=bad"]).iter().any(is_it)
        });
    }
    others_are_fine(&host);
}

#[test]
fn a_head_or_a_message_beyond_its_limit_is_no_answer() {
    let host = start("by-hand", &json!({ "head_limit": 5000, "message_limit": 20_000 }));
    assert_eq!(host.get("/apps/bad/head?5000").status, 200);
    host.get("/apps/bad/head?5001").problem(502, "bad-gateway");
    host.wait_for_log(&["ERROR", "bad#1", "5001 bytes, more than head_limit = 5000"]);
    // It is no response, but read.
    host.get("/apps/bad/message?20000").problem(502, "bad-gateway");
    host.get("/apps/bad/message?20001").problem(500, "app-error");
    host.wait_for_log(&["WARN", "bad: ", "20001 bytes, more than message_limit = 20000"]);
    assert_eq!(host.get("/apps/bad/").text(), "by hand");
    others_are_fine(&host);
}

#[test]
fn a_stream_without_credit_is_cut() {
    let host = start("by-hand", &json!({}));
    let mut connection = host.connect();
    // What has credit before anything is read: 256 KiB, of which each piece takes 64 bytes more than it has.
    let before = host.resident_kib();
    connection.send(&Call::get("/apps/bad/without-credit?100000")).unwrap();
    assert!(connection.receive("GET").is_err(), "the body is not complete");
    host.wait_for_log(&["WARN", "bad: ", "more of a stream than its credit allows"]);
    wait_until("the worker goes on", || host.get("/apps/bad/").text() == "by hand");
    let more = host.resident_kib().saturating_sub(before);
    assert!(more < 50 * 1024, "{more} KiB of 100 MiB that were sent");
    others_are_fine(&host);
}

#[test]
fn calls_beyond_the_limit_fail_and_an_app_that_reads_no_answers_loses_its_port() {
    let host = start("by-hand", &json!({ "max_calls": 100 }));
    for _ in 0..3 {
        assert_eq!(host.get("/apps/bad/calls?100").text(), "called");
    }
    assert_eq!(host.log_lines(&["max_calls"]), [""; 0]);
    let file = host.path("read");
    let mut connection = host.connect();
    connection.send(&Call::get(&format!("/apps/bad/calls?101&{file}"))).unwrap();
    host.wait_for_log(&["WARN", "bad: ", "unread responses (max_calls = 100)"]);
    touch(&file);
    assert_eq!(connection.receive("GET").unwrap().text(), "called");
    assert_eq!(host.get("/apps/bad/").text(), "by hand");

    host.get("/apps/bad/calls-unread?20000").problem(502, "bad-gateway");
    host.wait_for_log(&[
        "ERROR",
        "bad: closing the port of a worker that makes calls without reading the responses",
    ]);
    wait_until("the app is started again", || host.get("/apps/bad/").text() == "by hand");
    others_are_fine(&host);
}

#[test]
fn a_request_that_panics_fills_neither_the_log_nor_the_workers_time() {
    let app = json!({ "name": "probe", "path": "libprobe.so" });
    let host = Launch::serve(json!([app])).library("probe").args(["--admin", "127.0.0.1:0"]).start();
    let mut connection = host.connect();
    // The first one reads the library's names.
    connection.call(&Call::get("/apps/probe/panic")).unwrap().problem(500, "app-panicked");
    let begun = std::time::Instant::now();
    for _ in 0..2_000 {
        connection.call(&Call::get("/apps/probe/panic")).unwrap().problem(500, "app-panicked");
    }
    let took = begun.elapsed();
    let written = host.log_lines(&["panicked at", "this handler panics"]).len();
    let failed = host.log_lines(&["a handler panicked"]).len();
    let most = 10 * (took.as_secs() as usize + 3);
    assert!(
        (1..=most).contains(&written) && (1..=most).contains(&failed),
        "{written} and {failed} in {took:?}"
    );
    host.wait_for_log(&["probe::app"]);
    let metrics =
        support::Connection::open(host.admin()).unwrap().call(&Call::get("/metrics")).unwrap().text();
    assert!(metrics.contains("atoll_app_panics_total{app=\"probe\"} 2001"), "{metrics}");
    wait_until("the next one says how many were left out", || {
        connection.call(&Call::get("/apps/probe/panic")).unwrap();
        !host.log_lines(&["earlier panics counted but not logged"]).is_empty()
    });

    // What was read of the library does not outlive it.
    let mut other = std::fs::read(support::library("probe")).unwrap();
    other.push(0);
    host.replace("libprobe.so", other);
    host.wait_for_log(&["probe#2 is serving"]);
    wait_until("the first library is unmapped", || host.mapped().len() == 1);
    host.get("/apps/probe/panic").problem(500, "app-panicked");
    let is_shown = || host.log_lines(&["probe::app"]).len() > 1;
    wait_until("the names of the second one are read", is_shown);
}
