//! What an app ends with `abort` or `exit` is its own thread, not the host.

mod support;

use serde_json::json;
use support::{Host, Launch};

fn start() -> Host {
    let apps = json!({
        "defaults": { "stop_timeout_ms": 100 },
        "apps": [{ "name": "misbehave", "path": "libmisbehave.so" }, { "name": "hello", "path": "libhello.so" }]
    });
    Launch::serve(apps).library("misbehave").library("hello").start()
}

/// Asks for what aborts: the request gets 502, the app is there again at once, and what aborted stays pinned.
fn aborts(path: &str, function: &str) {
    let host = start();
    assert_eq!(host.get("/apps/misbehave/").text(), "fine");
    host.get(path).problem(502, "bad-gateway");
    assert_eq!(host.get("/apps/misbehave/").text(), "fine");
    assert_eq!(host.get("/apps/hello/greet/tobe").json(), json!({ "name": "tobe" }));
    host.wait_for_log(&["misbehave#1", &format!("{function} was called")]);
    host.wait_for_log(&["misbehave#1 is pinned"]);
    assert!(host.stop().status.success());
}

#[test]
fn a_call_of_abort() {
    aborts("/apps/misbehave/abort", "abort");
}

#[test]
fn a_call_of_exit() {
    aborts("/apps/misbehave/exit", "exit");
}

#[test]
fn a_panic_in_a_drop_while_another_panic_unwinds() {
    aborts("/apps/misbehave/panic-while-unwinding", "abort");
}

#[test]
fn a_panic_in_the_message_of_a_panic() {
    aborts("/apps/misbehave/panic-in-message", "abort");
}
