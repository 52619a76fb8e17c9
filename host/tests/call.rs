//! `atoll call`: one request, without a server.

mod support;

use std::path::PathBuf;

use serde_json::{Value, json};
use support::{Ended, Launch, atoll, library};

/// The staged copies that are left; only the lock of the folder that hosts share stays.
fn staged_copies(ended: &Ended) -> Vec<PathBuf> {
    let mut files = ended.temporary_files();
    files.retain(|file| !file.ends_with(".lock"));
    files
}

/// `atoll call probe` with these arguments.
fn call(arguments: &[&str]) -> Ended {
    launch(arguments).run()
}

fn launch(arguments: &[&str]) -> Launch {
    let apps = json!([{ "name": "probe", "path": library("probe") }, { "name": "none", "path": "none.so" }]);
    Launch::command("call").args(arguments).write("apps.json", apps.to_string())
}

#[test]
fn the_body_is_printed() {
    let ended = call(&["probe", "/get-only"]);
    assert_eq!((ended.status.code(), ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), "got", ""));
    assert_eq!(staged_copies(&ended), Vec::<PathBuf>::new());
}

#[test]
fn a_request_is_what_a_server_would_send() {
    let ended = call(&["probe", "seen/a%20b?q=1", "-X", "PUT", "-H", "X-A: b", "-d", "[1]"]);
    let seen: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(seen["method"], "PUT");
    assert_eq!(seen["path"], "/seen/a%20b");
    assert_eq!(seen["query"], "q=1");
    assert_eq!(seen["prefix"], "/apps/probe");
    let headers = json!([
        ["host", "localhost"],
        ["accept", "*/*"],
        ["content-type", "application/json"],
        ["content-length", "3"],
        ["x-a", "b"]
    ]);
    assert_eq!(seen["headers"], headers);
}

#[test]
fn status_and_headers_are_printed_when_asked_for() {
    let ended = call(&["probe", "/echo", "-i", "-d", "hello"]);
    let (head, body) = ended.stdout.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("HTTP/1.1 200 OK"));
    assert!(lines.any(|line| line == "x-method: POST"), "{head}");
    assert_eq!(body, "hello");
}

#[test]
fn data_may_be_a_file() {
    let ended = launch(&["probe", "/echo", "-d", "@body"]).write("body", "a\nb").run();
    assert_eq!(ended.stdout, "a\nb");
    let ended = call(&["probe", "/echo", "-d", "@nothing"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("cannot read the body from nothing"), "{}", ended.stderr);
}

#[test]
fn failures_are_an_exit_code_and_a_reason() {
    let refused = call(&["probe", "/error/404"]);
    assert_eq!((refused.status.code(), refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("404 Not Found"), "{}", refused.stderr);
    assert!(refused.stderr.contains("the error's message"), "{}", refused.stderr);

    let panicked = call(&["probe", "/panic"]);
    assert_eq!(panicked.status.code(), Some(1));
    assert!(panicked.stderr.contains("500 Internal Server Error"), "{}", panicked.stderr);
    assert!(panicked.stderr.contains("panicked: this handler panics"), "{}", panicked.stderr);

    let missing = call(&["none"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(missing.stderr.contains("503 Service Unavailable"), "{}", missing.stderr);
    assert!(missing.stderr.contains("no library at"), "{}", missing.stderr);

    let unknown = call(&["prbe"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        unknown.stderr.contains("apps.json: unknown app `prbe`: did you mean `probe`?"),
        "{}",
        unknown.stderr
    );

    let teapot = call(&["probe", "/answer", "-H", r#"x-answer: {"status": 418, "body": "short and stout"}"#]);
    assert_eq!((teapot.status.code(), teapot.stdout.as_str()), (Some(1), "short and stout"));
    assert_eq!(teapot.stderr, "atoll: the app answered 418 I'm a teapot");

    let no_header = call(&["probe", "/", "-H", "none"]);
    assert_eq!(no_header.status.code(), Some(2));
    assert!(
        no_header.stderr.contains("expected NAME:VALUE, as in `accept: text/html`"),
        "{}",
        no_header.stderr
    );
    // A folder cannot be read, whoever tries it.
    let unread = Launch::program("sh").args(["-c", "exec \"$0\" call probe / -d - < ."]).arg(atoll());
    let apps = json!([{ "name": "probe", "path": library("probe") }]);
    let unread = unread.write("apps.json", apps.to_string()).run();
    assert_eq!(unread.status.code(), Some(1));
    assert!(
        unread.stderr.starts_with("atoll: cannot read standard input: Is a directory"),
        "{}",
        unread.stderr
    );
}

#[test]
fn the_apps_that_it_calls_are_started_as_well() {
    let apps = json!([
        { "name": "a", "path": library("rpc") },
        { "name": "b", "path": library("rpc"), "preload": true },
        { "name": "none", "path": "none.so", "preload": true },
    ]);
    let run = |path| Launch::command("call").args(["a", path]).write("apps.json", apps.to_string()).run();
    let ended = run("/call/b/get_data");
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), (r#"["hello",5]"#, ""));
    assert_eq!(staged_copies(&ended), Vec::<PathBuf>::new());
    let ended = run("/call/none/get_data");
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("The app `none` failed to start"), "{}", ended.stderr);
}
