//! File descriptors that an app leaves open: its own are closed with its library, and no others.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::fs;

use serde_json::json;
use support::{Call, Host, Launch, patched, wait_until};

fn open_files(host: &Host) -> usize {
    fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().count()
}

fn is_open(host: &Host, number: u64) -> bool {
    fs::symlink_metadata(format!("/proc/{}/fd/{number}", host.pid())).is_ok()
}

/// Replaces the library of app `v` by one with this mark, and waits until the one before is gone.
fn reload(host: &Host, fixture: &str, path: &str, mark: u64) {
    host.replace("libv.so", patched(fixture, &mark.to_string()));
    wait_until("the new library answers", || host.get(path).text().contains(&mark.to_string()));
    wait_until("the old library is unmapped", || host.mapped().len() == 1);
}

/// Reloads an app again and again, while a connection stays open.
fn reloads(fixture: &str, path: &str) {
    let host = Launch::serve(json!([{ "name": "v", "path": "libv.so" }]))
        .write("libv.so", patched(fixture, "100"))
        .start();
    let mut connection = host.connect();
    let mut ask = || connection.call(&Call::get(path)).unwrap().text();
    assert!(ask().contains("100"));
    reload(&host, fixture, path, 101);
    let before = open_files(&host);
    for mark in 102..112 {
        reload(&host, fixture, path, mark);
        assert!(ask().contains(&mark.to_string()), "the host's own connections stay open");
    }
    wait_until("no more file descriptors are open than before", || open_files(&host) <= before);
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
}

#[test]
fn of_every_kind_none_is_left() {
    reloads("descriptors", "/apps/v/");
}

#[test]
fn what_tokio_keeps_in_statics_is_not_left() {
    reloads("tokio-axum", "/apps/v/greet/x");
}

#[test]
fn the_eventfd_of_a_port_that_a_static_holds_is_not_left() {
    reloads("process", "/apps/v/keep-host");
}

/// The apps `one` and `other`, both of the fixture.
fn two() -> Host {
    Launch::serve(json!([{ "name": "one", "path": "libone.so" }, { "name": "other", "path": "libother.so" }]))
        .env("RUST_LOG", "debug")
        .write("libone.so", patched("descriptors", "1"))
        .write("libother.so", patched("descriptors", "1"))
        .start()
}

#[track_caller]
fn unload_first(host: &Host, app: &str) {
    host.replace(&format!("lib{app}.so"), patched("descriptors", "2"));
    host.wait_for_log(&[&format!("{app}#1 unloaded")]);
}

#[test]
fn what_others_have_under_a_number_of_its_stays_open() {
    let host = two();
    let held = host.get("/apps/one/held").json();
    let held: Vec<u64> = held.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect();
    assert!(held.len() > 16 && held.iter().all(|&number| is_open(&host, number)), "{held:?}");

    // The host's code is not seen either when it opens a file.
    for (number, how) in [(600, "open"), (601, "open-unseen")] {
        assert_eq!(host.post(&format!("/apps/one/close-unseen/{number}"), "").text(), "closed");
        assert!(!is_open(&host, number));
        assert_eq!(host.post(&format!("/apps/other/{how}/{number}"), "").text(), "open");
    }
    unload_first(&host, "one");
    host.wait_for_log(&["one#1", &format!("left {} file descriptors open", held.len())]);
    assert!(is_open(&host, 600) && is_open(&host, 601));
    unload_first(&host, "other");
    assert!(!is_open(&host, 600), "it was the other app's");
    assert!(is_open(&host, 601), "nobody knows whose it is");
}

#[test]
fn a_child_process_has_its_own() {
    let host = two();
    for _ in 0..3 {
        assert_eq!(host.post("/apps/one/run", "").text(), "from a child\n");
    }
    let held = host.get("/apps/one/held").json().as_array().unwrap().len();
    unload_first(&host, "one");
    host.wait_for_log(&["one#1", &format!("left {held} file descriptors open")]);
}

#[test]
fn a_pinned_library_keeps_them() {
    let host = Launch::serve(
        json!([{ "name": "v", "path": "libv.so", "stop_timeout_ms": 50, "drain_timeout_ms": 50 }]),
    )
    .write("libv.so", patched("descriptors", "1"))
    .start();
    let held = host.get("/apps/v/held").json();
    let file = host.path("end");
    assert_eq!(host.post(&format!("/apps/v/thread?file={file}"), "").text(), "started");
    host.replace("libv.so", patched("descriptors", "2"));
    host.wait_for_log(&["v#1 is pinned"]);
    for number in held.as_array().unwrap() {
        assert!(is_open(&host, number.as_u64().unwrap()), "{number}");
    }
    fs::write(file, "").unwrap();
}
