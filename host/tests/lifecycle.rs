//! Apps that hold what only one can have, and what an app does after its answers and at its end.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};
use support::{Call, Ended, Host, IN_PROCESSES, Launch, Load, fixture_program, patched, wait_until};

const LIBRARY: &str = "app/liblifecycle.so";

/// An `apps.json` with the app `app` in a folder of this name.
fn registry(settings: &Value, env: &Value) -> Value {
    let mut app = json!({ "name": "app", "path": LIBRARY, "env": env });
    app.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    json!([app])
}

fn start(settings: Value, env: Value) -> Host {
    let launch = Launch::serve(registry(&settings, &env));
    fs::create_dir_all(launch.folder().join("app")).unwrap();
    launch.write(LIBRARY, patched("lifecycle", "1")).start()
}

/// A port that is free.
fn store_port() -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    json!({ "STORE_PORT": listener.local_addr().unwrap().port().to_string() })
}

/// `atoll` for this host.
fn atoll(host: &Host, args: &[&str]) -> Ended {
    let (command, args) = args.split_first().unwrap();
    Launch::command(command)
        .args(args)
        .args(["--config", &host.path("apps.json")])
        .env("TMPDIR", host.folder().join("tmp"))
        .run()
}

fn notes(host: &Host) -> String {
    fs::read_to_string(host.folder().join("app/notes")).unwrap_or_default()
}

fn count(host: &Host) -> u64 {
    let reply = host.post("/apps/app/count", "");
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.text().parse().unwrap()
}

#[test]
fn what_only_one_can_have_needs_another_setting_and_the_error_names_it() {
    let host = start(json!({}), store_port());
    assert_eq!(count(&host), 1);
    host.replace(LIBRARY, patched("lifecycle", "2"));
    host.wait_for_log(&[
        "ERROR",
        "generation 2 failed to start",
        "lock",
        r#"set "reload": "stop-first""#,
        "1 keeps",
    ]);
    assert_eq!(count(&host), 2);
}

#[test]
fn a_panic_about_what_only_one_can_have_names_the_setting() {
    let host = start(json!({}), json!({ "ENDS_BY": "folder" }));
    assert_eq!(host.get("/apps/app/mark").text(), "1");
    host.replace(LIBRARY, patched("lifecycle", "2"));
    host.wait_for_log(&["ERROR", "the folder is new", "AlreadyExists", r#"set "reload": "stop-first""#]);
    assert_eq!(host.get("/apps/app/mark").text(), "1");
}

#[test]
fn a_port_that_the_generation_before_has_is_a_warning_that_names_the_setting() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let host = start(json!({}), json!({ "ENDS_BY": "port", "SECOND_PORT": port }));
    assert_eq!(host.get("/apps/app/mark").text(), "1");
    host.replace(LIBRARY, patched("lifecycle", "2"));
    host.wait_for_log(&["WARN", &format!("TCP port {port} is in use"), r#""reload": "stop-first""#]);
    assert_eq!(host.log_lines(&["is in use"]).len(), 1);
}

#[test]
fn an_app_that_stops_first_is_reloaded_with_no_request_lost() {
    let host = start(json!({ "reload": "stop-first" }), store_port());
    assert_eq!(count(&host), 1);
    let calls = (0..4).map(|_| Call::post("/apps/app/count", "")).collect();
    let load = Load::of(host.address(), calls);
    for version in 2..12 {
        let before = load.answered();
        host.replace(LIBRARY, patched("lifecycle", &version.to_string()));
        host.wait_for_log(&[&format!("app#{version} is serving")]);
        wait_until("there is load", || load.answered() > before + 20);
    }
    let mut counts: Vec<u64> = Vec::new();
    for replies in load.stop() {
        for reply in replies {
            assert_eq!(reply.status, 200, "{}", reply.text());
            counts.push(reply.text().parse().unwrap());
        }
    }
    counts.sort_unstable();
    assert!(counts.iter().copied().eq(2..=counts.len() as u64 + 1), "each request was counted once");
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
}

#[test]
fn the_previous_library_starts_again_with_its_own_environment() {
    let (settings, env) = (json!({ "reload": "stop-first" }), store_port());
    let host = start(settings.clone(), env);
    assert_eq!(count(&host), 1);
    // The library is the same: with this environment it cannot start.
    let wrong = json!({ "STORE_PORT": "no port" });
    host.replace("apps.json", registry(&settings, &wrong).to_string());
    host.wait_for_log(&["ERROR", "failed to start", "invalid digit", "generation 2 has the previous"]);
    assert_eq!(count(&host), 2);
    // It is the environment that is wrong, not what serves: the next start has the new one.
    let reloaded = atoll(&host, &["reload", "app"]);
    assert!(reloaded.stderr.contains("invalid digit"), "{}", reloaded.stderr);
    assert_eq!(count(&host), 3);
    host.replace("apps.json", registry(&settings, &store_port()).to_string());
    host.wait_for_log(&["app#4 is serving"]);
    assert_eq!(count(&host), 4);
}

#[test]
fn the_previous_library_starts_again_where_the_new_one_fails() {
    let host = start(json!({ "reload": "stop-first" }), store_port());
    assert_eq!(count(&host), 1);
    let load = Load::of(host.address(), vec![Call::post("/apps/app/count", "")]);
    host.replace(LIBRARY, patched("lifecycle", "broken"));
    host.wait_for_log(&[
        "ERROR",
        "the new library failed to start",
        "it is broken",
        "generation 2 has the previous",
    ]);
    wait_until("it serves again", || load.answered() > 50);
    for reply in load.stop().concat() {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(host.get("/apps/app/mark").text(), "1");
    let before = count(&host);
    // One who asks for it learns why not.
    let reloaded = atoll(&host, &["reload", "app"]);
    assert_ne!(reloaded.status.code(), Some(0));
    assert!(reloaded.stderr.contains("it is broken"), "{}", reloaded.stderr);
    assert_eq!(count(&host), before + 1);

    host.replace(LIBRARY, patched("lifecycle", "fixed"));
    wait_until("the fixed one serves", || host.get("/apps/app/mark").text() == "fixed");
    assert_eq!(count(&host), before + 2);
}

#[test]
fn an_app_is_notified_of_its_end_by_the_signal_that_it_handles() {
    let host = start(json!({}), json!({ "ENDS_BY": "task" }));
    assert_eq!(host.get("/apps/app/mark").text(), "1");
    host.replace(LIBRARY, patched("lifecycle", "2"));
    wait_until("the old one ends", || notes(&host) == "the signal has come\nthe task has ended\n");
    host.wait_for_log(&["app#2 is serving"]);
    // At the end of the host as well.
    assert_eq!(host.get("/apps/app/mark").text(), "2");
    let ended = host.stop();
    assert_eq!(ended.status.code(), Some(0));
    let notes = fs::read_to_string(ended.folder().join("app/notes")).unwrap();
    assert_eq!(notes, "the signal has come\nthe task has ended\n".repeat(2));
}

#[test]
fn an_app_may_exit_when_it_is_stopped() {
    let host = start(json!({}), json!({ "ENDS_BY": "exit" }));
    for version in 2..5 {
        assert_eq!(host.get("/apps/app/mark").status, 200);
        host.replace(LIBRARY, patched("lifecycle", &version.to_string()));
        host.wait_for_log(&[&format!("app#{version} is serving")]);
        wait_until("the old one ends", || notes(&host).lines().count() == version - 1);
    }
    assert!(notes(&host).lines().all(|line| line == "it exits"));
    wait_until("the old ones are gone", || host.staged().len() == 1);
    assert_eq!(host.log_lines(&["ERROR"]), [""; 0]);
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
}

#[test]
fn tasks_that_are_dropped_are_counted_in_the_log() {
    let host = start(json!({}), json!({ "ENDS_BY": "nothing" }));
    assert_eq!(host.get("/apps/app/mark").text(), "1");
    host.replace(LIBRARY, patched("lifecycle", "2"));
    host.wait_for_log(&["INFO", "dropping 2 unfinished tasks"]);
}

#[test]
fn work_after_the_answer_is_waited_for() {
    let host = start(json!({ "idle_timeout_ms": 50 }), json!({}));
    let answer = host.post("/apps/app/later", "4000");
    assert_eq!((answer.status, answer.text().as_str()), (200, "it works"));
    assert_eq!(notes(&host), "");
    // Neither an app without requests nor a replaced one is stopped meanwhile.
    wait_until("it has ended", || notes(&host) == "the work has ended\n");
    wait_until("it is idle then", || is_cold(&host));

    let host = start(json!({}), json!({}));
    host.post("/apps/app/later", "4000");
    host.replace(LIBRARY, patched("lifecycle", "2"));
    host.wait_for_log(&["app#2 is serving"]);
    assert_eq!(notes(&host), "");
    wait_until("it has ended", || notes(&host) == "the work has ended\n");

    let host = start(json!({ "drain_timeout_ms": 100, "stop_timeout_ms": 100 }), json!({}));
    host.post("/apps/app/later", "60000");
    host.replace(LIBRARY, patched("lifecycle", "2"));
    host.wait_for_log(&["WARN", "work of `wait_until` has not ended after drain_timeout_ms = 100"]);
    wait_until("it is dropped", || host.staged().len() == 1);
    assert_eq!(notes(&host), "");
}

fn is_cold(host: &Host) -> bool {
    let listed = atoll(host, &["ls", "--format", "json"]);
    let apps: Value = serde_json::from_str(&listed.stdout).unwrap();
    apps.to_string().contains("\"cold\"")
}

#[test]
fn a_runtime_with_more_threads_lets_handlers_block() {
    let host = start(json!({ "runtime": "multi-thread" }), json!({}));
    let answer = host.get("/apps/app/block");
    assert_eq!(answer.text(), "it has waited on app#1 tokio");
    let load = Load::start(host.address(), &["/apps/app/block"; 4]);
    host.replace(LIBRARY, patched("lifecycle", "2"));
    host.wait_for_log(&["app#2 is serving"]);
    wait_until("there is load", || load.answered() > 50);
    for reply in load.stop().concat() {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    wait_until("the old one is gone", || host.staged().len() == 1);

    let host = start(json!({}), json!({}));
    let answer = host.get("/apps/app/block");
    assert_eq!(answer.status, 500);
    host.wait_for_log(&["can call blocking only when running on the multi-threaded runtime"]);
}

/// As many threads as the program starts that never end: of rayon, of the standard library, and of tokio.
#[test]
fn threads_that_never_end_are_ended_with_the_app() {
    let host = start(json!({ "stop_timeout_ms": 100 }), json!({ "ENDS_BY": "threads" }));
    for version in 2..12 {
        assert_eq!(host.get("/apps/app/mark").status, 200);
        host.replace(LIBRARY, patched("lifecycle", &version.to_string()));
        host.wait_for_log(&[&format!("app#{version} is serving")]);
    }
    wait_until("the old ones are gone", || host.staged().len() == 1);
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
    if !IN_PROCESSES {
        assert_eq!(host.log_lines(&["INFO", "waiting threads: "]).len(), 10);
    }
    assert_eq!(host.get("/apps/app/mark").text(), "11");
    assert_eq!(host.stop().status.code(), Some(0));
}

#[test]
fn a_program_that_the_app_is_a_part_of_has_the_variables_of_its_process() {
    let ended = Launch::program(fixture_program("lifecycle")).env("GIVEN", "1").run();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, "GIVEN=1\nlisted: OWN=1\nchild:  1");
}
