//! Apps with shared libraries: a library is loaded once for all apps of the process, and outlives each of them.

mod installed;
mod support;

use std::fs;

use object::{Object, ObjectSymbol};
use serde_json::json;
use support::{Host, Launch, Load, library, patched, wait_until};

const FIXTURE: &str = "shared-libraries";

/// How often an app is reloaded.
const RELOADS: u32 = 50;

/// The apps `a` and `b`, which are the same but for their mark. `None`: what they are built with is not installed, and
/// the test is skipped.
fn launch() -> Option<Launch> {
    installed::all(["g++", "pkg-config"])?;
    installed::libraries(["libssl.so", "libsqlite3.so", "libpq.so"])?;
    let apps = json!({
        "defaults": { "stop_timeout_ms": 500, "start_timeout_ms": 30_000 },
        "apps": [{ "name": "a", "path": "liba.so" }, { "name": "b", "path": "libb.so" }]
    });
    Some(Launch::serve(apps).write("liba.so", patched(FIXTURE, "1")).write("libb.so", patched(FIXTURE, "b")))
}

/// Replaces the library of app `a`, and waits until the new one answers.
fn reload(host: &Host, fixture: &str, mark: u32) {
    host.replace("liba.so", patched(fixture, &mark.to_string()));
    wait_until("the new library answers", || host.get("/apps/a/").text() == mark.to_string());
}

/// Reloads app `a` again and again while both apps are asked for these paths. No request fails, each gets the same
/// answer each time, and nothing is left of the libraries that were replaced.
fn reloads_under_load(host: Host, fixture: &str, paths: &[&str]) {
    let paths: Vec<String> = ["a", "b"]
        .iter()
        .flat_map(|app| paths.iter().map(move |path| format!("/apps/{app}{path}")))
        .collect();
    let answers: Vec<String> = paths
        .iter()
        .map(|path| {
            let reply = host.get(path);
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
            reply.text()
        })
        .collect();
    let load = Load::start(host.address(), &paths.iter().map(String::as_str).collect::<Vec<_>>());
    for mark in 2..2 + RELOADS {
        let answered = load.answered();
        reload(&host, fixture, mark);
        // The new library has worked before it goes in its turn.
        wait_until("it is asked", || load.answered() > answered + 2 * paths.len());
    }
    for ((path, answer), replies) in paths.iter().zip(&answers).zip(load.stop()) {
        for reply in replies {
            assert_eq!((reply.status, &reply.text()), (200, answer), "{path}");
        }
    }
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
    wait_until("the libraries that were replaced are gone", || host.mapped().len() == 2);
    for (path, answer) in paths.iter().zip(&answers) {
        assert_eq!(&host.get(path).text(), answer, "{path}");
    }
}

#[test]
fn openssl() {
    let Some(launch) = launch() else { return };
    reloads_under_load(launch.start(), FIXTURE, &["/openssl/context", "/openssl/handshake"]);
}

#[test]
fn sqlite_and_libpq() {
    let Some(launch) = launch() else { return };
    reloads_under_load(launch.start(), FIXTURE, &["/sqlite", "/pq"]);
}

#[test]
fn c_and_cpp_in_a_shared_library_and_in_a_static_one() {
    let Some(launch) = launch() else { return };
    let of = |kind: &str| {
        ["work", "close", "pthread-exit", "at-exit", "fork"].map(|what| format!("/native/{kind}/{what}"))
    };
    let paths = [of("shared"), of("static")].concat();
    reloads_under_load(launch.start(), FIXTURE, &paths.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn jemalloc_preloaded() {
    let Some(launch) = launch() else { return };
    let Some([jemalloc]) = installed::libraries(["libjemalloc.so.2"]) else { return };
    let host = launch.env("LD_PRELOAD", jemalloc).start();
    let paths = ["/canonicalize", "/openssl/handshake", "/sqlite", "/native/shared/work"];
    reloads_under_load(host, FIXTURE, &paths);
}

#[test]
fn nobody_else_finds_the_hooks_of_an_app() {
    for name in ["hello", "misbehave"] {
        let bytes = fs::read(library(name)).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let mut exported: Vec<_> = file
            .dynamic_symbols()
            .filter(|symbol| symbol.is_definition())
            .map(|s| s.name().unwrap())
            .collect();
        exported.sort_unstable();
        assert_eq!(exported, ["ATOLL_APP", "ATOLL_STAMP"], "{name}");
    }
}

#[test]
fn a_thread_of_a_shared_library_is_the_app_s_that_made_it() {
    let Some(launch) = launch() else { return };
    let host = launch.start();
    // First in the other app, so that this one does not load the shared library.
    assert_eq!(host.get("/apps/b/native/shared/work").text(), host.get("/apps/a/native/shared/work").text());
    let file = host.path("end");
    host.get(&format!("/apps/a/native/shared/detach?file={file}"));
    reload(&host, FIXTURE, 2);
    let pinned = host.wait_for_log(&["a#1 is pinned"]);
    assert!(pinned.contains("its threads are still running"), "{pinned}");

    // The other app has nothing to do with it, nor has the next generation.
    host.replace("libb.so", patched(FIXTURE, "c"));
    wait_until("the new library answers", || host.get("/apps/b/").text() == "c");
    reload(&host, FIXTURE, 3);
    wait_until("both are gone", || host.mapped().len() == 3);
    assert_eq!(host.log_lines(&["is pinned"]).len(), 1);
    fs::write(file, "").unwrap();
    assert_eq!(host.get("/apps/a/native/shared/work").status, 200);
}

/// What ends a process is called in a shared library, by `a`.
fn ends(what: &str, function: &str) {
    let Some(launch) = launch() else { return };
    let host = launch.start();
    for app in ["b", "a"] {
        assert_eq!(host.get(&format!("/apps/{app}/native/shared/work")).status, 200);
    }
    host.get(&format!("/apps/a/native/shared/{what}")).problem(502, "bad-gateway");
    host.wait_for_log(&["a#1: ", &format!("{function} was called")]);
    wait_until("it is started again", || host.get("/apps/a/").text() == "1");
    assert_eq!(host.get("/apps/b/native/shared/work").status, 200);
    assert_eq!(host.log_lines(&["b#1", "was called"]), [""; 0]);
}

#[test]
fn abort_in_a_shared_library_ends_the_generation_that_calls_it() {
    ends("abort", "abort");
}

#[test]
fn an_exception_of_cpp_that_nobody_catches_ends_the_generation() {
    ends("terminate", "abort");
}

#[test]
fn exit_in_a_shared_library_ends_the_generation_that_calls_it() {
    ends("exit", "exit");
}

#[test]
fn a_thread_that_nobody_knows_pins_what_was_loaded_before_it() {
    let Some(launch) = launch() else { return };
    let host = launch.start();
    // For timers that call a function, the C library makes a thread of its own, which stays.
    assert_eq!(host.get("/apps/a/native/static/timer").text(), "0");
    reload(&host, FIXTURE, 2);
    let pinned = host.wait_for_log(&["a#1 is pinned"]);
    assert!(pinned.contains("were not created with pthread_create"), "{pinned}");
    // What was loaded later is not in that thread's way, and takes its own timer along.
    assert_eq!(host.get("/apps/a/native/static/timer").text(), "0");
    reload(&host, FIXTURE, 3);
    wait_until("the second one is gone", || host.mapped().len() == 2);
    assert_eq!(host.log_lines(&["is pinned"]).len(), 1);
    assert_eq!(host.get("/apps/a/native/static/work").status, 200);
}

#[test]
fn jemalloc_as_an_app_s_own_allocator() {
    const FIXTURE: &str = "jemalloc-app";
    let Some(_) = installed::all(["make"]) else { return };
    let apps = json!([{ "name": "a", "path": "liba.so" }, { "name": "b", "path": "libb.so" }]);
    let launch = Launch::serve(apps).write("liba.so", patched(FIXTURE, "1"));
    reloads_under_load(launch.write("libb.so", patched(FIXTURE, "b")).start(), FIXTURE, &["/work"]);
}
