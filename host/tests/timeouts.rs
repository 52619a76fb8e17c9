//! The limits of a server that have options, each with real sockets: it acts at its time, and not a second later.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod frames;
mod sockets;
mod support;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use frames::{HTTP2, http2_frame, http2_get};
use serde_json::{Value, json};
use sockets::has_connection;
use support::{Call, Connection, Host, LIMIT, Launch, contains, wait_for, wait_until};

const SECOND: Duration = Duration::from_secs(1);

fn start(arguments: &[&str]) -> Host {
    let apps = ["probe", "streams"].map(|name| json!({ "name": name, "path": support::library(name) }));
    Launch::serve(json!(apps)).arg("--h2c").args(arguments).start()
}

/// Runs several clients at once, each of which returns how long it took: none may be before `limit`, and the fastest may
/// be a second late at most. The others may have waited for a processor.
#[track_caller]
fn acts_at(limit: Duration, client: impl Fn() -> Duration + Sync) {
    let times: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(&client)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let fastest = *times.iter().min().unwrap();
    assert!(fastest >= limit && fastest <= limit + SECOND, "{times:?}, and the limit is {limit:?}");
}

fn stream(host: &Host) -> TcpStream {
    let stream = TcpStream::connect(host.address()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

#[test]
fn a_pool_of_connections_that_are_reused_after_five_seconds_loses_none() {
    let host = start(&["--trusted-proxy", "127.0.0.1"]);
    let call = Call::get("/apps/probe/get-only");
    let mut pool: Vec<_> = (0..200)
        .map(|number| {
            let mut connection = host.connect();
            assert_eq!(connection.call(&call).unwrap().status, 200);
            (connection, Instant::now() + Duration::from_millis(4900 + number))
        })
        .collect();
    for (connection, due) in &mut pool {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        assert_eq!(connection.call(&call).unwrap().text(), "got");
    }
}

#[test]
fn a_connection_without_a_request_is_closed_after_its_time() {
    let host = start(&["--keep-alive", "2s"]);
    assert_eq!(host.get("/apps/probe/get-only").status, 200);
    acts_at(2 * SECOND, || {
        let mut connection = host.connect();
        // The host's time begins a little later.
        let begun = Instant::now();
        assert_eq!(connection.call(&Call::get("/apps/probe/get-only")).unwrap().status, 200);
        assert!(connection.is_closed());
        begun.elapsed()
    });
    acts_at(2 * SECOND, || {
        let mut client = stream(&host);
        let begun = Instant::now();
        client.write_all(&[HTTP2, &http2_get("/healthz", 1)].concat()).unwrap();
        while !matches!(http2_frame(&mut client).unwrap(), (0, 1, _)) {}
        // GOAWAY, whether or not a ping comes before.
        while !matches!(http2_frame(&mut client).unwrap(), (7, ..)) {}
        begun.elapsed()
    });
}

#[test]
fn a_first_byte_that_does_not_come_is_waited_for_as_long_as_a_head() {
    let host = start(&["--header-timeout", "1s"]);
    acts_at(SECOND, || {
        let begun = Instant::now();
        let mut client = stream(&host);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"", "it would be taken for the answer to the next request");
        begun.elapsed()
    });
    acts_at(SECOND, || {
        let begun = Instant::now();
        let mut connection = host.connect();
        connection.write(b"GET / HTTP/1.1\r\n").unwrap();
        assert_eq!(connection.receive("GET").unwrap().status, 408);
        begun.elapsed()
    });
    // One that speaks HTTP/2, and then asks for nothing.
    acts_at(SECOND, || {
        let begun = Instant::now();
        let mut client = stream(&host);
        client.write_all(HTTP2).unwrap();
        while !matches!(http2_frame(&mut client).unwrap(), (7, ..)) {}
        begun.elapsed()
    });
}

#[test]
fn a_body_that_pauses_is_408() {
    let host = start(&["--body-timeout", "1s"]);
    assert_eq!(host.get("/apps/probe/get-only").status, 200);
    acts_at(SECOND, || {
        let mut connection = host.connect();
        let head = "POST /apps/probe/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n";
        let begun = Instant::now();
        connection.write(head.as_bytes()).unwrap();
        connection.receive("POST").unwrap().problem(408, "request-timeout");
        begun.elapsed()
    });
}

#[test]
fn a_client_that_reads_nothing_is_left() {
    let host = start(&["--write-timeout", "1s"]);
    let path = format!("/apps/probe/large?size=30000000&entered={}", host.path("entered"));
    // The app is there when the time begins.
    assert_eq!(host.get("/apps/probe/get-only").status, 200);
    let is_left_after = |client: &TcpStream| {
        // Its first bytes are there, and what has room in the sockets follows at once.
        client.peek(&mut [0]).unwrap();
        let begun = Instant::now();
        let address = client.local_addr().unwrap();
        wait_until("the host has closed it", || !has_connection(&host, address));
        begun.elapsed()
    };
    // The host's time begins a moment before that of the client, which has to see the first bytes.
    let limit = SECOND - SECOND / 10;
    acts_at(limit, || {
        let mut connection = host.connect();
        connection.send(&Call::get(&path)).unwrap();
        is_left_after(&connection.duplicate())
    });
    acts_at(limit, || {
        let mut client = stream(&host);
        // The window is closed, so that the answer has no room.
        let no_window = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
        client.write_all(&[HTTP2, &no_window, &http2_get(&path, 1)].concat()).unwrap();
        while !matches!(http2_frame(&mut client).unwrap(), (1, ..)) {}
        let begun = Instant::now();
        let address = client.local_addr().unwrap();
        wait_until("the host has closed it", || !has_connection(&host, address));
        begun.elapsed()
    });
}

#[test]
fn headers_past_the_limit_that_is_set_are_431() {
    let host = start(&["--max-header-bytes", "2KiB"]);
    let call = |size: usize| Call::get("/apps/probe/seen/x").header("x-large", "v".repeat(size));
    assert_eq!(host.call(&call(2000)).status, 200);
    let problem = host.call(&call(2040)).problem(431, "headers-too-large");
    contains(problem["detail"].as_str().unwrap(), &["the limits are 96 headers and 2048 bytes."]);
    let host = start(&["--max-header-bytes", "92KiB"]);
    assert_eq!(host.call(&call(90 * 1024)).status, 200);
    host.call(&call(93 * 1024)).problem(431, "headers-too-large");
}

#[test]
fn connections_past_the_limit_wait_until_one_ends() {
    let host = start(&["--max-connections", "2", "--trusted-proxy", "127.0.0.1"]);
    let call = Call::get("/healthz");
    let mut first: Vec<Connection> = (0..2).map(|_| host.connect()).collect();
    for connection in &mut first {
        assert_eq!(connection.call(&call).unwrap().status, 200);
    }
    let mut waiting = host.connect();
    waiting.set_patience(Duration::from_millis(300));
    let error = waiting.call(&call).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "nobody answers");
    first.pop();
    waiting.set_patience(LIMIT);
    assert_eq!(waiting.receive("GET").unwrap().status, 200);
}

#[test]
fn as_many_threads_serve_as_are_asked_for() {
    let threads = |host: &Host| {
        let tasks = fs::read_dir(format!("/proc/{}/task", host.pid())).unwrap();
        // One may have ended meanwhile.
        let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|name| name.starts_with("actix-")).count()
    };
    let hosts = ["1", "4"].map(|number| start(&["--http-threads", number]));
    // A thread has the name of the one that starts it at first.
    wait_until("three more threads serve", || threads(&hosts[1]) == threads(&hosts[0]) + 3);
    let refused = Launch::serve(json!([])).args(["--http-threads", "0"]).run();
    assert!(refused.stderr.contains("--http-threads must be from 1 to 1024, not 0"), "{}", refused.stderr);
}

#[test]
fn a_silent_http2_client_is_asked_whether_it_is_still_there() {
    let host = start(&["--keep-alive", "1s"]);
    let open = || {
        let mut client = stream(&host);
        client.write_all(&[HTTP2, &http2_get("/apps/probe/wait/x", 1)].concat()).unwrap();
        client
    };
    // Acknowledgements have a flag.
    let ping = |client: &mut TcpStream| {
        wait_for("a ping", || match http2_frame(client) {
            Ok((6, 0, data)) => Some(Some(data)),
            Ok(_) => None,
            Err(_) => Some(None),
        })
    };
    let (mut gone, mut there) = (open(), open());
    assert!(ping(&mut gone).is_some());
    let begun = Instant::now();
    let dead = thread::spawn(move || {
        while ping(&mut gone).is_some() {}
        begun.elapsed()
    });
    while begun.elapsed() < 23 * SECOND {
        let data = ping(&mut there).expect("the connection is open");
        there.write_all(&[&[0, 0, 8, 6, 1, 0, 0, 0, 0][..], &data].concat()).unwrap();
    }
    let time = dead.join().unwrap();
    assert!(time >= 19 * SECOND && time <= 22 * SECOND, "{time:?}");
}

#[test]
fn the_limits_in_force_are_shown() {
    let host = start(&["--keep-alive", "620s", "--max-header-bytes", "8KiB"]);
    let show = |file: &str, folder: &std::path::Path| -> (Value, String) {
        let run = |format: &str| {
            let command = Launch::command("config").args(["show", "--format", format, "--config", file]);
            let ended = command.env("TMPDIR", folder).run();
            assert!(ended.status.success(), "{}", ended.stderr);
            ended.stdout
        };
        (serde_json::from_str(&run("json")).unwrap(), run("table"))
    };
    let file = host.path("apps.json");
    let (running, text) = show(&file, &host.folder().join("tmp"));
    assert_eq!(running["limits"]["keep_alive_ms"], 620_000);
    assert_eq!(running["limits"]["max_header_bytes"], 8192);
    assert_eq!(running["limits"]["header_timeout_ms"], 30_000);
    contains(&text, &["limits of the running host", "keep_alive_ms"]);
    let other = tempfile::tempdir().unwrap();
    let (none, text) = show(&file, other.path());
    assert_eq!(none["limits"]["keep_alive_ms"], 75_000);
    contains(&text, &["limits of a host without options"]);
}

#[test]
fn a_limit_that_is_none_is_an_error() {
    for (argument, words) in [
        ("--keep-alive=75", ["expected a time with a unit", "75s"]),
        ("--header-timeout=0s", ["--header-timeout must be from 1s to 1h", "not 0s"]),
        ("--max-header-bytes=1MiB", ["--max-header-bytes must be from 1024 to 94208", "not 1048576"]),
    ] {
        let ended = Launch::serve("[]").arg(argument).run();
        assert!(!ended.status.success());
        contains(&ended.stderr, &words);
    }
}
