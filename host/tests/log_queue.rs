//! A log that nobody reads: requests are answered all the same.

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::json;
use support::{Call, Launch, atoll, library};

/// What the host holds back, in bytes.
const LIMIT: usize = 1024 * 1024;

/// What a pipe holds beside that, and a line.
const PIPE: usize = 128 * 1024;

#[test]
fn what_standard_error_does_not_take_is_counted() {
    let apps = json!([{ "name": "probe", "path": library("probe") }]);
    let launch = Launch::program("sh").args(["-c", "exec \"$0\" \"$@\" 2>pipe"]).arg(atoll());
    let launch = launch.args(["serve", "--listen", "127.0.0.1:0", "--access-log"]);
    let launch = launch.write("apps.json", apps.to_string());
    let pipe = launch.folder().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Neither end is opened without the other.
    let (send, opened) = channel();
    std::thread::spawn(move || send.send(File::open(pipe).unwrap()));
    let host = launch.start();
    let pipe = opened.recv().unwrap();

    let mut connection = host.connect();
    connection.set_patience(Duration::from_secs(5));
    let text = "x".repeat(4000);
    const REQUESTS: usize = 500;
    for number in 0..REQUESTS {
        let reply = connection.call(&Call::get(&format!("/apps/probe/get-only?{number}-{text}"))).unwrap();
        assert_eq!(reply.text(), "got");
    }

    let mut lines = BufReader::new(pipe).lines().map(Result::unwrap);
    let (mut bytes, mut requests) = (0, 0);
    let left_out: usize = loop {
        let line = lines.next().unwrap();
        if let Some((_, rest)) = line.split_once("] ")
            && let Some((count, _)) = rest.split_once(" lines were left out of the log")
        {
            break count.parse().unwrap();
        }
        bytes += line.len() + 1;
        if line.contains(" access] ") {
            assert!(line.contains(&format!("?{requests}-")), "in order: {line}");
            requests += 1;
        }
    };
    assert_eq!(requests + left_out, REQUESTS);
    assert!((LIMIT - PIPE..LIMIT + PIPE).contains(&bytes), "{bytes}");

    // From then on nothing is missing.
    assert_eq!(connection.call(&Call::get("/apps/probe/get-only?again")).unwrap().text(), "got");
    assert!(lines.next().unwrap().contains("/apps/probe/get-only?again"));
}
