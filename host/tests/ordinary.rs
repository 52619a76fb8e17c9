//! Ordinary programs as apps: what a process has, an app has.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::{Call, Host, Launch, patched, wait_until};

/// The apps `one` and `two` with these loggers, each in a folder of its name, and a variable that only the host has.
fn start(loggers: [&str; 2], settings: &Value) -> Host {
    let launch = Launch::serve(json!([])).env("SECRET_OF_THE_HOST", "x");
    let apps = ["one", "two"].map(|name| json!({ "name": name, "path": format!("{name}/libordinary.so") }));
    let registry = json!({ "defaults": settings, "apps": apps });
    let mut launch = launch.write("apps.json", registry.to_string());
    for (name, logger) in ["one", "two"].into_iter().zip(loggers) {
        fs::create_dir_all(launch.folder().join(name)).unwrap();
        launch = launch.write(&format!("{name}/libordinary.so"), patched("ordinary", logger));
        launch = launch.write(&format!("{name}/file"), format!("the file of {name}"));
    }
    launch.start()
}

fn post(host: &Host, path: &str, body: &str) -> String {
    let reply = host.call(&Call::post(path, body));
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.text()
}

#[test]
fn each_app_has_its_working_directory() {
    let host = start(["-", "-"], &json!({ "workers": 2 }));
    let here = host.folder().canonicalize().unwrap();
    let folder = |app: &str| host.get(&format!("/apps/{app}/folder")).text();
    assert_eq!(
        [folder("one"), folder("two")],
        ["one", "two"].map(|name| here.join(name).display().to_string())
    );
    assert_eq!(host.get("/apps/one/read/file").text(), "the file of one");
    assert_eq!(host.get("/apps/two/read/file").text(), "the file of two");

    // All workers of an app share it, and nobody else.
    let of_host = || fs::read_link(format!("/proc/{}/cwd", host.pid())).unwrap();
    let before = of_host();
    post(&host, "/apps/one/folder?to=..", "");
    for _ in 0..4 {
        assert_eq!(folder("one"), here.display().to_string());
    }
    assert_eq!(folder("two"), here.join("two").display().to_string());
    assert_eq!(of_host(), before);
    assert!(host.get("/apps/one/child/HOME").text().ends_with(&format!(" {}", here.display())));
    // As with a process, the next one has what it was started with.
    host.replace("one/libordinary.so", patched("ordinary", "+"));
    wait_until("it is replaced", || folder("one") == here.join("one").display().to_string());
}

#[test]
fn a_working_directory_can_be_set() {
    let host = start(["-", "-"], &json!({ "dir": "two" }));
    assert_eq!(host.get("/apps/one/read/file").text(), "the file of two");
    let host = start(["-", "-"], &json!({ "dir": "/nowhere" }));
    assert_eq!(host.get("/apps/one/folder").status, 200);
    host.wait_for_log(&["WARN", "cannot change to the working directory /nowhere: "]);
}

#[test]
fn each_app_has_its_environment() {
    let settings = json!({ "env": { "GREETING": "hello" }, "inherit": ["PATH", "RUST_BACK*"] });
    let host = start(["-", "-"], &settings);
    assert_eq!(host.get("/apps/one/arguments").text(), "", "those of the process are the host's");
    let names = host.get("/apps/one/variables").text();
    let names: Vec<&str> = names.split(' ').collect();
    assert!(names.contains(&"GREETING") && names.contains(&"PATH"), "{names:?}");
    let is_expected = |name: &&str| ["GREETING", "PATH"].contains(name) || name.starts_with("RUST_BACK");
    assert!(names.iter().all(is_expected), "{names:?}");

    let get = |app: &str, name: &str| {
        let reply = host.get(&format!("/apps/{app}/variables/{name}"));
        (reply.status == 200).then(|| reply.text())
    };
    assert_eq!(get("one", "SECRET_OF_THE_HOST"), None);
    post(&host, "/apps/one/variables/GREETING", "hi");
    post(&host, "/apps/one/variables/NEW", "=1=");
    assert_eq!(
        [get("one", "GREETING"), get("one", "NEW")],
        ["hi", "=1="].map(|value| Some(value.to_owned()))
    );
    assert_eq!([get("two", "GREETING"), get("two", "NEW")], [Some("hello".to_owned()), None]);
    assert!(host.get("/apps/one/child/NEW").text().starts_with("=1= "));
    assert!(host.get("/apps/two/child/NEW").text().starts_with(' '));
    host.call(&Call::new("DELETE", "/apps/one/variables/NEW"));
    assert_eq!(get("one", "NEW"), None);
    assert!(host.get("/apps/one/child/NEW").text().starts_with(' '));
}

#[test]
fn what_an_app_prints_is_in_the_log() {
    let host = start(["-", "-"], &json!({}));
    assert_eq!(post(&host, "/apps/one/print", "one line\n\u{1b}[31mred\u{1b}[0m and "), "false");
    host.wait_for_log(&["INFO", "stdout", "one", "it starts"]);
    host.wait_for_log(&["INFO", "stdout", "one line"]);
    host.wait_for_log(&["INFO", "stderr", "one line"]);
    for thread in 0..4 {
        host.wait_for_log(&["stdout", &format!("thread {thread}")]);
    }
    // A line is a record when it is complete.
    assert_eq!(host.log_lines(&["stderr", "red"]), [""; 0]);
    post(&host, "/apps/one/print", "green ERROR\n");
    host.wait_for_log(&["ERROR", "stderr", "red and green ERROR"]);
}

#[test]
fn what_an_app_prints_last_is_in_the_log() {
    let host = start(["-", "-"], &json!({}));
    post(&host, "/apps/one/print", "no end of line");
    host.replace("one/libordinary.so", patched("ordinary", "+"));
    host.wait_for_log(&["INFO", "stderr", "no end of line"]);
}

#[test]
fn a_logger_may_be_set_when_a_thread_runs_that_never_ends() {
    let settings = json!({ "stop_timeout_ms": 100, "env": { "RUST_LOG": "info" } });
    let host = start(["thread-first", "-"], &settings);
    assert_eq!(host.get("/apps/one/read/file").text(), "the file of one");
    host.wait_for_log(&["INFO", "app=one", "it has a logger: "]);
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
}

#[test]
fn more_workers_share_one_router() {
    let host = start(["tracing", "env_logger"], &json!({ "workers": 3, "env": { "RUST_LOG": "info" } }));
    for app in ["one", "two"] {
        for _ in 0..6 {
            assert_eq!(host.get(&format!("/apps/{app}/read/file")).text(), format!("the file of {app}"));
        }
        // It is called once.
        let (name, line) = (format!("app={app}"), ["INFO", "it has a logger"]);
        host.wait_for_log(&[line[0], line[1], &name]);
        assert_eq!(host.log_lines(&[line[0], line[1], &name]).len(), 1, "{}", host.log());
    }
    assert_eq!(host.log_lines(&["ERROR"]), [""; 0]);
}

#[test]
fn an_app_may_set_its_logger() {
    for loggers in [["env_logger", "tracing"], ["env_logger-try", "-"]] {
        let host = start(loggers, &json!({ "env": { "RUST_LOG": "info" } }));
        for app in ["one", "two"] {
            post(&host, &format!("/apps/{app}/events"), "");
            host.wait_for_log(&["WARN", app, "a record of log"]);
            host.wait_for_log(&["INFO", app, "it has a logger: "]);
        }
        if loggers[1] == "tracing" {
            host.wait_for_log(&["ERROR", "ordinary", "an event of tracing", "number=7"]);
            assert_eq!(host.log_lines(&["stdout", "an event of tracing"]), [""; 0]);
        }
        assert_eq!(host.log_lines(&["nobody wants this"]), [""; 0]);
        assert_eq!(host.log_lines(&["panicked"]), [""; 0]);
        // It is known now, and nothing is started twice.
        let other = if loggers[0] == "env_logger" { "env_logger-try" } else { "env_logger" };
        host.replace("one/libordinary.so", patched("ordinary", other));
        host.wait_for_log(&["one#2 is serving"]);
        post(&host, "/apps/one/events", "");
        assert_eq!(host.log_lines(&["failed to start"]), [""; 0]);
        assert!(host.stop().status.success());
    }
}

#[test]
fn a_hook_for_panics_is_called_after_the_report() {
    let host = start(["hook", "-"], &json!({}));
    host.get("/apps/one/panic").problem(500, "app-panicked");
    host.wait_for_log(&["ERROR", "one", "panicked at", "this handler panics"]);
    host.wait_for_log(&["stderr", "the hook of the app: "]);
}

#[test]
fn redirects_and_cookies_stay_under_the_prefix_of_the_app() {
    let launch = Launch::serve(json!([])).library("ordinary");
    let app = |name: &str| json!({ "name": name, "path": "libordinary.so" });
    let mut routed = app("routed");
    routed["route"] = json!({ "host": "routed.example" });
    let mut as_it_is = app("as-it-is");
    as_it_is["rewrite"] = json!(false);
    let host = launch.write("apps.json", json!([app("plain"), routed, as_it_is]).to_string()).start();
    let header = |target: &str, header: &str| {
        let reply = host.get(target);
        reply.header(header).unwrap_or_else(|| panic!("{target}: {} {}", reply.status, reply.text()))
    };
    assert_eq!(header("/apps/plain/moved", "location"), "/apps/plain/folder");
    assert_eq!(header("/apps/plain/log-in", "set-cookie"), "id=1; Path=/apps/plain; HttpOnly");
    assert_eq!(header("http://routed.example/moved", "location"), "/folder");
    assert_eq!(header("http://routed.example/log-in", "set-cookie"), "id=1; Path=/; HttpOnly");
    assert_eq!(header("/apps/as-it-is/moved", "location"), "/folder");
}
