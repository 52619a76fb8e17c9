//! Requests that are too large, too slow or not HTTP, byte for byte over a socket.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::{Call, Connection, Host, Launch, Reply};

fn start() -> Host {
    start_with(&[])
}

fn start_with(arguments: &[&str]) -> Host {
    let launch = Launch::serve(json!([{ "name": "probe", "path": "libprobe.so" }])).library("probe");
    launch.args(arguments).start()
}

fn send(host: &Host, bytes: &[u8]) -> (Connection, Reply) {
    let mut connection = host.connect();
    connection.write(bytes).unwrap();
    let reply = connection.receive("GET").unwrap_or_else(|error| panic!("{error}: {}", shown(bytes)));
    (connection, reply)
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().chars().take(200).collect()
}

/// An answer of this status without a body, after which the host reads nothing more.
#[track_caller]
fn refused(host: &Host, status: u16, bytes: &[u8]) {
    let (mut connection, reply) = send(host, bytes);
    assert_eq!((reply.status, reply.body.len()), (status, 0), "{}", shown(bytes));
    assert!(connection.is_closed(), "{}", shown(bytes));
}

#[test]
fn a_target_past_the_limit_is_414() {
    let host = start();
    let target = |length: usize| {
        let begin = "/apps/probe/seen/x?";
        format!("{begin}{}", "q".repeat(length - begin.len()))
    };
    assert_eq!(host.get(&target(32 * 1024)).status, 200);
    let mut connection = host.connect();
    for length in [32 * 1024 + 1, 60 * 1024] {
        let problem = connection.call(&Call::get(&target(length))).unwrap().problem(414, "url-too-long");
        let detail = format!("The path and query have {length} bytes; the limit is 32768.");
        assert_eq!(problem["detail"], detail);
    }
    // All of it is a well-formed request, so the connection goes on.
    assert_eq!(connection.call(&Call::get("/apps/probe/get-only")).unwrap().status, 200);
    // Past what the library can hold.
    refused(&host, 400, format!("GET {} HTTP/1.1\r\nhost: x\r\n\r\n", target(66_000)).as_bytes());
    refused(&host, 431, format!("GET {}", target(140_000)).as_bytes());
}

#[test]
fn headers_past_the_limit_are_431() {
    let host = start();
    let many = |count: usize| {
        // `Host` is one of them.
        (1..count)
            .fold(Call::get("/apps/probe/seen/x"), |call, number| call.header(&format!("x-{number}"), "1"))
    };
    let large = |size: usize| {
        let first = Call::get("/apps/probe/seen/x").header("x-1", "v".repeat(size / 2));
        first.header("x-2", "v".repeat(size / 2 - "x-1x-2hostlocalhost".len()))
    };
    let mut connection = host.connect();
    for call in [many(96), large(64 * 1024)] {
        assert_eq!(connection.call(&call).unwrap().status, 200);
    }
    for call in [large(64 * 1024 + 2), large(100_000)] {
        let problem = connection.call(&call).unwrap().problem(431, "headers-too-large");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("The request has 3 headers with "), "{detail}");
        assert!(detail.ends_with(" bytes; the limits are 96 headers and 65536 bytes."), "{detail}");
    }
    // Past what the library can hold.
    assert_eq!(host.call(&many(97)).status, 431);
    assert_eq!(host.call(&large(140_000)).status, 431);
}

#[test]
fn a_head_that_does_not_come_is_408() {
    let host = start_with(&["--header-timeout", "3s"]);
    let mut connection = host.connect();
    let begun = Instant::now();
    connection.write(b"GET /apps/probe/get-only HTTP/1.1\r\nhost: x\r\nx-slow").unwrap();
    assert_eq!(connection.receive("GET").unwrap().status, 408);
    assert!(connection.is_closed());
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());

    // One byte now and then does not help.
    let mut connection = host.connect();
    connection.set_patience(Duration::from_millis(300));
    connection.write(b"GET /apps/probe/get-only HTTP/1.1\r\nhost: x\r\nx-slow: ").unwrap();
    let reply = support::wait_for("the host gives up", || {
        connection.write(b"x").unwrap();
        connection.receive("GET").ok()
    });
    assert_eq!(reply.status, 408);
}

#[test]
fn a_body_slower_than_the_minimum_rate_is_408() {
    /// Longer than a client may be behind.
    const SECONDS: usize = 12;
    let host = start_with(&["--body-timeout", "8s"]);
    let address = host.address();
    let upload = move |each_second: usize| {
        let mut connection = Connection::open(address).unwrap();
        connection.set_patience(Duration::from_secs(1));
        let size = SECONDS * each_second;
        let head = format!("POST /apps/probe/echo HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n");
        connection.write(head.as_bytes()).unwrap();
        let begun = Instant::now();
        for _ in 0..SECONDS {
            connection.write(&vec![b'x'; each_second]).unwrap();
            // This waits for a second.
            if let Ok(reply) = connection.receive("POST") {
                return (reply, begun.elapsed());
            }
        }
        connection.set_patience(support::LIMIT);
        (connection.receive("POST").unwrap(), begun.elapsed())
    };
    let enough = std::thread::spawn(move || upload(600));
    let (reply, time) = upload(20);
    let problem = reply.problem(408, "request-timeout");
    let detail =
        "The request's body for the app `probe` is 8 seconds behind 500 bytes per second, the minimum rate.";
    assert_eq!(problem["detail"], detail);
    assert!(time > Duration::from_secs(7), "{time:?}");
    let (reply, time) = enough.join().unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, SECONDS * 600));
    assert!(time > Duration::from_secs(10), "{time:?}");
}

#[test]
fn what_is_not_http_is_refused() {
    let host = start();
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nx-a : 1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\n x-folded: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nx-a: 1\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\n: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nx-a: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nx-a: a\rb\r\n\r\n",
        "GET / HTTP/3.0\r\nhost: x\r\n\r\n",
        "GET / HTTP/1.1 x\r\nhost: x\r\n\r\n",
        "GET  / HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /\x07 HTTP/1.1\r\nhost: x\r\n\r\n",
        "G\"T / HTTP/1.1\r\nhost: x\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        refused(&host, 400, head.as_bytes());
    }
    assert_eq!(host.log_lines(&["ERROR"]), [""; 0], "no client fills the log");
}

#[test]
fn a_request_with_two_lengths_is_refused() {
    let host = start();
    let smuggled = "GET /apps/probe/get-only HTTP/1.1\r\nhost: x\r\n\r\n";
    for lengths in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "content-length: 4\r\ncontent-length: 4",
        "content-length: 4\r\ncontent-length: 5",
        "content-length: 4, 4",
        "content-length: +4",
        "content-length: -4",
        "content-length: 0x4",
        "content-length: 4 4",
        "content-length: ",
        "content-length: 99999999999999999999",
        "content-length : 4",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: identity",
        "transfer-encoding:\x0bchunked",
        "transfer-encoding : chunked",
    ] {
        let request =
            format!("POST /apps/probe/echo HTTP/1.1\r\nhost: x\r\n{lengths}\r\n\r\n0\r\n\r\n{smuggled}");
        refused(&host, 400, request.as_bytes());
    }
    refused(
        &host,
        400,
        format!("POST /apps/probe/echo HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}")
            .as_bytes(),
    );
}

#[test]
fn a_chunk_that_is_none_is_refused() {
    let host = start();
    let smuggled = "GET /apps/probe/get-only HTTP/1.1\r\nhost: x\r\n\r\n";
    for body in [
        "x\r\n\r\n",
        "-1\r\nx\r\n0\r\n\r\n",
        "0x1\r\nx\r\n0\r\n\r\n",
        "+1\r\nx\r\n0\r\n\r\n",
        "11111111111111111\r\nx\r\n0\r\n\r\n",
        "1\r\nxx\r\n0\r\n\r\n",
        "1\rx\r\n0\r\n\r\n",
        "1;a\nb\r\nx\r\n0\r\n\r\n",
        "\r\nx\r\n0\r\n\r\n",
        "1\nx\r\n0\r\n\r\n",
    ] {
        let request = format!(
            "POST /apps/probe/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{body}{smuggled}"
        );
        let (mut connection, reply) = send(&host, request.as_bytes());
        assert_eq!(reply.status, 400, "{}", body.escape_debug());
        // There may be a second 400, and nothing else.
        while let Ok(reply) = connection.receive("GET") {
            assert_eq!(reply.status, 400, "{}", body.escape_debug());
        }
    }
    assert_eq!(host.get("/apps/probe/get-only").status, 200);
}
