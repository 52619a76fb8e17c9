//! Apps that use what belongs to a process as if they were one: they end it, and fork it.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::time::Instant;

use serde_json::{Value, json};
use support::{Call, Host, LIMIT, Launch, patched, wait_until};

/// The app `p`, and the app `hello` beside it.
fn launch(settings: &Value) -> Launch {
    let mut app = json!({ "name": "p", "path": "libp.so" });
    app.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    Launch::serve(json!([app, { "name": "hello", "path": "libhello.so" }]))
        .write("libp.so", patched("process", "1"))
        .library("hello")
}

fn start() -> Host {
    // Nothing is to end by a deadline.
    launch(&json!({ "deadline_ms": 120_000, "stop_timeout_ms": 2000, "max_restarts": 100 })).start()
}

#[track_caller]
fn others_are_fine(host: &Host) {
    assert_eq!(host.get("/apps/hello/greet/tobe").json(), json!({ "name": "tobe" }));
}

/// Has the app call this function on a thread of this kind: all that it has in flight fails, it is there again, and what
/// called stays pinned.
fn ends(host: &Host, generation: usize, how: &str, thread: &str, named: &str) {
    wait_until("the app answers", || host.get("/apps/p/").text() == "1");
    let (mut other, mut culprit) = (host.connect(), host.connect());
    other.send(&Call::get("/apps/p/never")).unwrap();
    culprit.send(&Call::post(&format!("/apps/p/end/{how}/{thread}"), "")).unwrap();
    let begun = Instant::now();
    culprit.receive("POST").unwrap().problem(502, "bad-gateway");
    other.receive("GET").unwrap().problem(502, "bad-gateway");
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    wait_until("the app answers again", || host.get("/apps/p/").text() == "1");
    assert_eq!(host.get("/apps/p/lock").text(), "free");
    let pinned =
        format!("p#{generation} is pinned, its memory stays: {how} was called on its thread {named}");
    host.wait_for_log(&[&pinned]);
    others_are_fine(host);
}

#[test]
fn what_ends_a_process_ends_the_generation_on_whatever_thread() {
    let host = start();
    let kinds = [
        ("abort", "own", "\"the-culprit\""),
        ("exit", "own", "\"the-culprit\""),
        ("abort", "blocking", "\"p#3 blocking\""),
        ("exit", "rayon", ""),
        ("abort", "runtime", "\"tokio-rt-worker\""),
        ("exit", "worker", "\"p#6.0\""),
    ];
    for (index, (how, thread, named)) in kinds.into_iter().enumerate() {
        ends(&host, index + 1, how, thread, named);
    }
    assert!(host.stop().status.success());
}

#[test]
fn a_forked_child_ends_as_a_process_does() {
    let host = start();
    for (how, expected) in [
        ("exit", "code 7"),
        ("abort", "signal 6"),
        ("panic", "code 101"),
        ("thread", "code 7"),
        ("return", "code 70"),
    ] {
        for _ in 0..3 {
            assert_eq!(host.get(&format!("/apps/p/fork/{how}")).text(), expected, "{how}");
        }
    }
    host.wait_for_log(&["a forked child panicked at", "this child panics"]);
    assert_eq!(host.get("/apps/p/").text(), "1");
    others_are_fine(&host);
    assert_eq!(host.log_lines(&["p#2"]), [""; 0], "it is the same generation");
    assert!(host.stop().status.success());
}

#[test]
fn a_forked_child_waits_for_no_lock_of_the_host() {
    let host = start();
    assert_eq!(host.get("/apps/p/fork-under-load/log").text(), "code 7");
    assert_eq!(host.get("/apps/p/fork-under-load/exit").text(), "code 7");
}

#[test]
fn what_runs_before_exec_may_fail_in_any_way() {
    let host = start();
    for (how, expected) in [
        ("panic", "signal 6"),
        ("abort", "signal 6"),
        ("exit", "code 7"),
        ("error", "error Invalid argument (os error 22)"),
        ("fine", "code 0"),
    ] {
        assert_eq!(host.get(&format!("/apps/p/spawn/{how}")).text(), expected, "{how}");
    }
    others_are_fine(&host);
}
