//! Generations that cannot be unloaded: they stay in the host, and go when what holds them has ended.

mod misbehave;
mod support;

use std::time::Duration;

use misbehave::{block, mapped, others_are_fine, start, touch};
use serde_json::{Value, json};
use support::{Host, Launch, patched, versioned, wait_until};

/// What a command writes of this host.
fn admin(host: &Host, arguments: &[&str]) -> String {
    let config = host.folder().join("apps.json");
    let command =
        Launch::command(arguments[0]).args(&arguments[1..]).args(["--config".as_ref(), config.as_os_str()]);
    let ended = command.env("TMPDIR", host.folder().join("tmp")).run();
    ended.stdout + &ended.stderr
}

#[test]
fn a_handler_that_blocks_is_504_and_pins_its_library() {
    let host = start("", &json!({ "deadline_ms": 300, "drain_timeout_ms": 100, "stop_timeout_ms": 100 }));
    let mut blocked = host.connect();
    let file = block(&host, &mut blocked);
    blocked.receive("GET").unwrap().problem(504, "deadline-exceeded");
    host.get("/apps/bad/").problem(504, "deadline-exceeded");
    others_are_fine(&host);

    host.replace("libbad.so", versioned("next"));
    wait_until("the next version answers", || host.get("/apps/bad/").text() == "next");
    host.wait_for_log(&[
        "WARN",
        "bad#1 is pinned and stays in memory: worker 0 has not returned from the app's code",
    ]);
    assert_eq!(mapped(&host), 2);

    touch(&file);
    host.wait_for_log(&["bad#1 is no longer pinned and was unloaded"]);
    assert_eq!(host.get("/apps/bad/").text(), "next");
    assert_eq!(mapped(&host), 1);
    others_are_fine(&host);
}

#[test]
fn a_thread_of_the_apps_that_outlives_it_pins_it_by_name() {
    let host = start("", &json!({ "stop_timeout_ms": 200 }));
    let file = host.path("go");
    assert_eq!(host.post(&format!("/apps/bad/thread/lingering?file={file}"), "").status, 200);
    wait_until("the thread runs", || host.threads().contains(&"lingering".to_owned()));
    host.replace("libbad.so", versioned("next"));
    wait_until("the next version answers", || host.get("/apps/bad/").text() == "next");
    let line = host.wait_for_log(&["WARN", "bad#1 is pinned", "its threads are still running"]);
    assert!(line.contains("\"lingering\""), "{line}");
    assert_eq!(mapped(&host), 2);
    let described: Value =
        serde_json::from_str(&admin(&host, &["describe", "bad", "--format", "json"])).unwrap();
    let [pinned] = &**described["pinned"].as_array().unwrap() else { panic!("one is pinned: {described}") };
    assert_eq!((&pinned["app"], &pinned["generation"]), (&json!("bad"), &json!(1)));
    let reason = pinned["reason"].as_str().unwrap();
    assert!(reason.contains("\"lingering\""), "{reason}");
    let text = admin(&host, &["describe", "bad"]);
    assert!(text.contains(&format!("Pinned generations\n  #1: {reason}")), "{text}");

    // It ends in code that is still there.
    touch(&file);
    wait_until("the thread has ended", || !host.threads().contains(&"lingering".to_owned()));
    host.wait_for_log(&["bad#1 is no longer pinned and was unloaded"]);
    assert_eq!(mapped(&host), 1);
    assert_eq!(host.get("/apps/bad/").text(), "next");
    others_are_fine(&host);
}

#[test]
fn a_thread_without_a_name_is_not_called_like_the_worker_that_has_made_it() {
    let host = start("", &json!({ "stop_timeout_ms": 200 }));
    let file = host.path("go");
    assert_eq!(host.post(&format!("/apps/bad/unnamed-thread?file={file}"), "").status, 200);
    host.replace("libbad.so", versioned("next"));
    let line = host.wait_for_log(&["WARN", "bad#1 is pinned"]);
    assert!(line.contains("an unnamed thread (") && !line.contains("bad#1.0"), "{line}");
    touch(&file);
    wait_until("the library is unloaded", || mapped(&host) == 1);
}

#[test]
fn more_pinned_generations_than_there_may_be() {
    let host = start("0", &json!({ "stop_timeout_ms": 50, "max_pinned": 1 }));
    let pin = |number: u64| {
        let file = host.path(&format!("go{number}"));
        assert_eq!(host.post(&format!("/apps/bad/thread/lingering?file={file}"), "").status, 200);
        file
    };
    let first = pin(1);
    host.replace("libbad.so", patched("misbehave", "1"));
    host.wait_for_log(&["bad#1 is pinned"]);
    wait_until("the next one serves", || !host.log_lines(&["bad#2 is serving"]).is_empty());
    let second = pin(2);
    host.replace("libbad.so", patched("misbehave", "2"));
    host.wait_for_log(&["bad#2 is pinned"]);
    wait_until("with as many as there may be", || !host.log_lines(&["bad#3 is serving"]).is_empty());

    // One more than there may be: what serves goes on, and takes no successor.
    host.replace("libbad.so", versioned("next"));
    host.wait_for_log(&[
        "ERROR",
        "bad",
        "no new generation is started because 2 are pinned (max_pinned = 1)",
    ]);
    assert_eq!(host.get("/apps/bad/").text(), "fine");
    let status = admin(&host, &["describe", "bad"]);
    assert!(status.contains("no new generation is started because 2 are pinned"), "{status}");
    let reload = admin(&host, &["reload", "bad"]);
    assert!(reload.contains("(max_pinned = 1)"), "{reload}");

    // Nor does one that has crashed.
    host.get("/apps/bad/exit").problem(502, "bad-gateway");
    wait_until("it is blocked", || host.get("/readyz").text() == "bad: blocked\n");
    let reply = host.get("/apps/bad/");
    let problem = reply.problem(503, "unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("could not be unloaded"), "{problem}");
    assert!(reply.header("retry-after").is_some());
    others_are_fine(&host);

    // When two of the three could be unloaded, it goes on.
    touch(&first);
    touch(&second);
    wait_until("the next version answers", || host.get("/apps/bad/").text() == "next");
    host.wait_for_log(&["bad#4 is serving"]);
    assert_eq!(host.log_lines(&["bad#4 is serving"]).len(), 1, "nothing was started in vain");
}

#[test]
fn what_a_generation_had_open_is_closed_when_it_has_aborted() {
    let host = start("0", &json!({ "stop_timeout_ms": 200 }));
    let lock = format!("/apps/bad/lock?file={}", host.path("locked"));
    let take = || host.post(&lock, "").text();
    assert_eq!((take(), take()), ("locked".to_owned(), "another has it".to_owned()));
    host.get("/apps/bad/abort").problem(502, "bad-gateway");
    host.wait_for_log(&["bad#1 is pinned", "abort was called"]);
    host.wait_for_log(&["bad#1", "2 file descriptors of it are closed"]);
    wait_until("the lock is free", || take() == "locked");
    // Not while a thread of it may use them.
    let file = host.path("go");
    assert_eq!(host.post(&format!("/apps/bad/thread/busy?file={file}"), "").status, 200);
    host.get("/apps/bad/abort").problem(502, "bad-gateway");
    host.wait_for_log(&["bad#2 is pinned"]);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(take(), "another has it");
    touch(&file);
    wait_until("the lock is free", || take() == "locked");
    others_are_fine(&host);
}

#[test]
fn an_app_that_chooses_by_itself_is_moved_to_a_process() {
    let host = start("0", &json!({ "stop_timeout_ms": 50, "isolation": "auto" }));
    let pin = |name: &str| {
        let file = host.path(name);
        assert_eq!(host.post(&format!("/apps/bad/thread/lingering?file={file}"), "").status, 200);
        file
    };
    let file = pin("first");
    // A preflight has a process, too, for as long as it takes.
    let no_process = || wait_until("there is no app process", || host.app_processes().is_empty());
    no_process();
    host.replace("libbad.so", patched("misbehave", "1"));
    host.wait_for_log(&["bad#1 is pinned"]);
    host.wait_for_log(&["bad: its next generation runs in a separate process (isolation = auto)"]);
    // Another library is on threads again.
    host.wait_for_log(&["bad#2 is serving"]);
    no_process();
    host.replace("libbad.so", patched("misbehave", "0"));
    host.wait_for_log(&["bad#3 is serving"]);
    assert!(!host.app_processes().is_empty(), "the first library is in a process");
    touch(&file);
    wait_until("the pinned one is gone", || mapped(&host) == 1);
    others_are_fine(&host);
}

#[test]
fn an_app_that_chooses_by_itself_is_moved_to_a_process_when_it_hangs() {
    let settings = json!({
        "isolation": "auto", "stop_timeout_ms": 50, "drain_timeout_ms": 50, "hang_timeout_ms": 300,
    });
    let host = start("0", &settings);
    let mut taken = host.connect();
    let file = block(&host, &mut taken);
    wait_until("there is no app process", || host.app_processes().is_empty());
    assert_eq!(host.get("/apps/bad/").text(), "fine", "the next generation has it");
    assert!(!host.app_processes().is_empty(), "it is in a process");
    taken.receive("GET").unwrap().problem(502, "bad-gateway");
    let what = "worker 0 took no message for hang_timeout_ms = 300, in GET /apps/bad/block";
    host.wait_for_log(&["bad#1", what, "it is moved to a process"]);
    host.wait_for_log(&["bad#1 is pinned"]);
    touch(&file);
    host.wait_for_log(&["bad#1 is no longer pinned and was unloaded"]);
    others_are_fine(&host);
}
