//! Apps that use what belongs to a process as if they were one: they end it, fork it, and handle its signals.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::os::unix::process::ExitStatusExt;
use std::time::Instant;

use serde_json::{Value, json};
use support::{Call, Host, LIMIT, Launch, library, patched, wait_until};

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
    launch(
        &json!({ "deadline_ms": 120_000, "stop_timeout_ms": 2000, "max_restarts": 100, "max_pinned": 100 }),
    )
    .start()
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
    wait_until("a request is in flight", || ask(host, "p", "waiting") == "1");
    culprit.send(&Call::post(&format!("/apps/p/end/{how}/{thread}"), "")).unwrap();
    let begun = Instant::now();
    culprit.receive("POST").unwrap().problem(502, "bad-gateway");
    other.receive("GET").unwrap().problem(502, "bad-gateway");
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    wait_until("the app answers again", || host.get("/apps/p/").text() == "1");
    assert_eq!(host.get("/apps/p/lock").text(), "free");
    let how = if how == "assert" { "abort" } else { how };
    let pinned =
        format!("p#{generation} is pinned and stays in memory: {how} was called on its thread {named}");
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
        ("_exit", "own", "\"the-culprit\""),
        ("execvp", "own", "\"the-culprit\""),
        ("daemon", "own", "\"the-culprit\""),
        ("assert", "own", "\"the-culprit\""),
    ];
    for (index, (how, thread, named)) in kinds.into_iter().enumerate() {
        ends(&host, index + 1, how, thread, named);
    }
    host.wait_for_log(&["the assertion `1 == 2` does not hold"]);
    assert!(host.stop().status.success());
}

#[test]
fn a_fault_that_no_handler_mends_ends_the_host_and_does_not_hang_it() {
    for (how, thread, handled, status) in [
        ("fault", "worker", false, libc::SIGSEGV),
        ("fault", "own", false, libc::SIGSEGV),
        // An app has handled it, and no longer does.
        ("fault", "worker", true, libc::SIGSEGV),
        ("overflow", "worker", false, libc::SIGABRT),
    ] {
        let host = start();
        if handled {
            handle(&host, "p", "sigaction", libc::SIGSEGV);
            handle(&host, "p", "default", libc::SIGSEGV);
        }
        // Without its client the request may be cancelled before.
        let mut client = host.connect();
        client.send(&Call::post(&format!("/apps/p/end/{how}/{thread}"), "")).unwrap();
        let ended = host.ended();
        assert_eq!(ended.status.signal(), Some(status), "{how} {thread}: {}", ended.status);
        assert_eq!(ended.stderr.contains("has overflowed its stack"), how == "overflow");
    }
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

/// Sends a signal to the host, which is not to end by it.
fn send(host: &Host, signal: i32) {
    // SAFETY: the host has not been waited for, so that its number is still its own.
    assert_eq!(unsafe { libc::kill(host.pid() as i32, signal) }, 0);
}

#[track_caller]
fn handle(host: &Host, app: &str, how: &str, signal: i32) -> String {
    let reply = host.post(&format!("/apps/{app}/handle/{how}/{signal}"), "");
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.text()
}

/// What a route of an app answers with.
fn ask(host: &Host, app: &str, route: &str) -> String {
    host.get(&format!("/apps/{app}/{route}")).text()
}

#[track_caller]
fn wait_for_calls(host: &Host, app: &str, calls: usize) {
    wait_until("the handler is called", || ask(host, app, "calls") == calls.to_string());
}

/// The ways in which programs handle a signal.
const WAYS: [&str; 6] = ["tokio", "signal-hook", "signal", "sigaction", "once", "ctrlc"];

#[test]
fn no_app_keeps_the_host_from_ending() {
    for (how, signal) in
        WAYS.into_iter().chain(["ignore", "default"]).zip([libc::SIGINT, libc::SIGTERM].into_iter().cycle())
    {
        let mut host = start();
        // As a terminal and a service manager end it, both are taken.
        let also = if signal == libc::SIGINT { libc::SIGTERM } else { libc::SIGINT };
        if how != "ctrlc" {
            handle(&host, "p", how, also);
        }
        handle(&host, "p", how, signal);
        host.signal(signal);
        let ended = host.ended();
        assert!(ended.status.success(), "{how} {signal}: {}", ended.status);
    }
}

#[test]
fn a_hangup_reaches_the_host_and_every_app() {
    for how in WAYS.into_iter().filter(|&how| how != "ctrlc") {
        let host = Launch::serve(json!([
            { "name": "a", "path": "liba.so" }, { "name": "b", "path": "libb.so" }, { "name": "c", "path": "libc.so" },
        ]))
        .write("liba.so", patched("process", "1"))
        .write("libb.so", patched("process", "2"))
        .write("libc.so", patched("process", "3"))
        .start();
        for app in ["a", "b"] {
            // What another app or the host has set is not to be seen.
            let before = handle(&host, app, how, libc::SIGHUP);
            assert!(["0", "set"].contains(&&*before), "{before}");
        }
        handle(&host, "c", "ignore", libc::SIGHUP);
        send(&host, libc::SIGHUP);
        for app in ["a", "b"] {
            wait_for_calls(&host, app, 1);
        }
        assert_eq!(ask(&host, "c", "calls"), "0");
        host.wait_for_log(&["SIGHUP: rereading apps.json"]);
        assert!(host.stop().status.success());
    }
}

#[test]
fn a_handler_runs_on_a_thread_of_its_app_with_what_the_signal_brought() {
    let host = start();
    assert_eq!(handle(&host, "p", "sigaction", libc::SIGUSR1), "0");
    send(&host, libc::SIGUSR1);
    wait_for_calls(&host, "p", 1);
    let thread = ask(&host, "p", "thread");
    let name = std::fs::read_to_string(format!("/proc/{}/task/{thread}/comm", host.pid())).unwrap();
    assert_eq!(name, "p#1 signals\n");
    assert_eq!(ask(&host, "p", "sender"), std::process::id().to_string());

    assert_ne!(handle(&host, "p", "once", libc::SIGUSR1), "0");
    send(&host, libc::SIGUSR1);
    wait_for_calls(&host, "p", 2);
    assert_eq!(handle(&host, "p", "ignore", libc::SIGUSR1), "0", "it is the default again");
    assert_eq!(handle(&host, "p", "default", libc::SIGUSR1), "1");
    send(&host, libc::SIGUSR1);
    assert_eq!(ask(&host, "p", "calls"), "2");

    handle(&host, "p", "sigaction", libc::SIGUSR2);
    let interrupted = host.post(&format!("/apps/p/interrupt/{}", libc::SIGUSR2), "").text();
    assert_eq!(interrupted, "(-1, true)");
    others_are_fine(&host);
}

/// Takes the app's library out of the process.
fn unload(host: &Host, how: &str) {
    match how {
        "reload" => {
            host.replace("libp.so", patched("process", "2"));
            wait_until("the new library answers", || ask(host, "p", "") == "2");
            wait_until("the old one is gone", || mapped(host) == 1);
        }
        _ => wait_until("the library is gone", || mapped(host) == 0),
    }
}

fn mapped(host: &Host) -> usize {
    let is_p = |path: &&std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("p-"))
    };
    host.mapped().iter().filter(is_p).count()
}

#[test]
fn no_handler_of_a_library_that_is_gone_is_called() {
    for (how, unloading) in [
        ("tokio", "idle"),
        ("tokio", "reload"),
        ("signal-hook", "idle"),
        ("signal-hook", "reload"),
        ("signal", "reload"),
    ] {
        let idle = if unloading == "idle" { json!({ "idle_timeout_ms": 300 }) } else { json!({}) };
        let host = launch(&idle).start();
        let signals =
            [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGCHLD, libc::SIGALRM];
        for signal in signals {
            handle(&host, "p", how, signal);
        }
        unload(&host, unloading);
        assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
        // The last one is that of a constructor.
        for signal in [libc::SIGHUP, libc::SIGUSR1, libc::SIGCHLD, libc::SIGALRM, libc::SIGURG] {
            send(&host, signal);
        }
        others_are_fine(&host);
        wait_until("the app answers", || host.get("/apps/p/").status == 200);
        assert_eq!(ask(&host, "p", "calls"), "0");
        if unloading == "reload" {
            wait_until("the new one's is called", || ask(&host, "p", "constructed") == "1");
        }
        assert!(host.stop().status.success(), "{how} {unloading}");
    }
}

#[test]
fn a_library_that_is_gone_gets_no_signal_for_the_process() {
    let host = launch(&json!({ "stop_timeout_ms": 100 })).start();
    // Its thread waits for ever.
    handle(&host, "p", "ctrlc", libc::SIGINT);
    host.replace("libp.so", patched("process", "2"));
    host.wait_for_log(&["p#1: ended 1 waiting thread: \"ctrl-c\""]);
    send(&host, libc::SIGHUP);
    host.wait_for_log(&["SIGHUP: rereading apps.json"]);
    others_are_fine(&host);
    assert!(host.stop().status.success());
}

#[test]
fn children_end_when_the_library_that_started_them_is_gone() {
    let host = start();
    let mut leaving = host.connect();
    leaving.send(&Call::get("/apps/p/leave/0.5")).unwrap();
    wait_for_calls(&host, "p", 1);
    drop(leaving);
    unload(&host, "reload");
    for _ in 0..5 {
        assert_eq!(ask(&host, "p", "run"), "exit status: 0");
    }
    others_are_fine(&host);
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
    assert!(host.stop().status.success());
}

#[test]
fn a_signal_that_an_app_sends_itself_stays_with_it() {
    let host = start();
    let post = |route: &str| host.post(&format!("/apps/p/send/{route}"), "");
    let mut generation = 1;
    for how in ["raise", "kill", "pthread_kill"] {
        // Without a handler: what does nothing to an app, and what ends it.
        for nothing in [libc::SIGCHLD, libc::SIGTSTP, libc::SIGWINCH] {
            assert_eq!(post(&format!("{how}/{nothing}")).text(), "0");
        }
        for (signal, name) in
            [(libc::SIGTERM, "SIGTERM"), (libc::SIGUSR1, "SIGUSR1"), (libc::SIGKILL, "SIGKILL")]
        {
            wait_until("the app answers", || ask(&host, "p", "") == "1");
            post(&format!("{how}/{signal}")).problem(502, "bad-gateway");
            host.wait_for_log(&[
                &format!("p#{generation} is pinned"),
                &format!("{how} of {name} was called"),
            ]);
            generation += 1;
        }
        wait_until("the app answers", || ask(&host, "p", "") == "1");
        let calls: usize = ask(&host, "p", "calls").parse().unwrap();
        handle(&host, "p", "signal", libc::SIGTERM);
        assert_eq!(post(&format!("{how}/{}", libc::SIGTERM)).text(), "0");
        assert_eq!(ask(&host, "p", "calls"), (calls + 1).to_string());
        handle(&host, "p", "default", libc::SIGTERM);
    }
    others_are_fine(&host);
    assert!(host.stop().status.success());
}

#[test]
fn a_handler_that_ends_its_program_ends_the_generation() {
    let host = start();
    for (generation, (how, call)) in
        [("exiting", "exit"), ("passing-on", "raise of SIGUSR1")].into_iter().enumerate()
    {
        wait_until("the app answers", || ask(&host, "p", "") == "1");
        handle(&host, "p", how, libc::SIGUSR1);
        send(&host, libc::SIGUSR1);
        let pinned = format!("p#{} is pinned", generation + 1);
        host.wait_for_log(&[&pinned, &format!("{call} was called on its thread")]);
        wait_until("the app answers", || ask(&host, "p", "") == "1");
    }
    others_are_fine(&host);
    assert!(host.stop().status.success());
}

#[test]
fn a_child_begins_with_the_defaults() {
    let host = start();
    let handles_pipe = |text: &str| {
        let (_, mask) = text.split_once("SigIgn:\t")?;
        let mask = u64::from_str_radix(mask.get(..16)?, 16).ok()?;
        Some(mask & 1 << (libc::SIGPIPE - 1) == 0)
    };
    let text = ask(&host, "p", "system");
    assert_eq!(handles_pipe(&text), Some(true), "{text}");
    assert_eq!(ask(&host, "p", "fork/default-pipe"), "code 0");
    wait_until("the child has printed it", || handles_pipe(&host.stdout()) == Some(true));
    for signal in [libc::SIGTERM, libc::SIGHUP] {
        handle(&host, "p", "signal", signal);
        handle(&host, "p", "default", signal);
    }
    assert_eq!(ask(&host, "p", "fork/raise"), "signal 15");
}

#[test]
fn what_a_shared_library_asks_for_is_for_the_app_that_called_it() {
    let host = start();
    let library = library("shared").display().to_string();
    let call = |route: &str| host.post(&format!("/apps/p/shared/{route}"), library.as_str());
    let calls = || call("shared_calls/0").text();
    call(&format!("shared_handle/{}", libc::SIGUSR1));
    send(&host, libc::SIGUSR1);
    wait_until("its handler is called", || calls() == "1");
    unload(&host, "reload");
    send(&host, libc::SIGUSR1);
    // The library stays, and handles nothing for the next generation, which has not asked for it.
    handle(&host, "p", "sigaction", libc::SIGUSR1);
    send(&host, libc::SIGUSR1);
    wait_for_calls(&host, "p", 1);
    assert_eq!(calls(), "1");

    for (how, function) in ["exit", "abort", "_exit", "abort, by", "raise of SIGTERM"].into_iter().enumerate()
    {
        wait_until("the app answers", || ask(&host, "p", "") == "2");
        call(&format!("shared_end/{how}")).problem(502, "bad-gateway");
        host.wait_for_log(&[&format!("p#{} is pinned", how + 2), &format!("{function} ")]);
    }
    others_are_fine(&host);
    assert!(host.stop().status.success());
}

/// The library `process` with another version of abi_stable in its header: it is refused once it is open.
fn refused() -> Vec<u8> {
    const MAGIC: &[u8] = b"abi stable library for Rust";
    /// Where the version follows the magic bytes.
    const VERSION: usize = 32;
    let mut bytes = patched("process", "2");
    let headers: Vec<_> = (0..bytes.len() - VERSION).filter(|&at| bytes[at..].starts_with(MAGIC)).collect();
    assert!(!headers.is_empty(), "the library has a header");
    for header in headers {
        bytes[header + VERSION] = 0xee;
    }
    bytes
}

#[test]
fn a_library_that_is_refused_leaves_no_handler_of_its_constructor() {
    // A preflight would refuse it in another process.
    let host = launch(&json!({ "preflight": false, "deadline_ms": 120_000 })).start();
    wait_until("the app answers", || host.get("/apps/p/").text() == "1");
    host.replace("libp.so", refused());
    host.wait_for_log(&[
        "generation 2 failed to start",
        "interface does not match",
        "built with abi_stable 238.11",
    ]);
    send(&host, libc::SIGURG);
    others_are_fine(&host);
    wait_until("the handler of the one that serves is called", || ask(&host, "p", "constructed") == "1");
    assert_eq!(host.log_lines(&["stays in memory"]), [""; 0]);
    assert!(host.stop().status.success());
}

#[test]
fn a_library_that_is_refused_stays_if_a_thread_runs_its_code() {
    let launch = launch(&json!({ "preflight": false })).env("ATOLL_TEST_THREAD_OF_CONSTRUCTOR", "yes");
    let host = launch.write("libp.so", refused()).start();
    host.get("/apps/p/").problem(503, "unavailable");
    host.wait_for_log(&["p#1 is refused, but its library stays in memory", "threads"]);
    // Its thread is back in its code many times until then.
    for _ in 0..50 {
        others_are_fine(&host);
    }
    assert!(host.stop().status.success());
}
