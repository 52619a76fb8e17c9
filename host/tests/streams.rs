//! Bodies that come and go piece by piece, in an `Application` and in an axum app.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Call, Connection, Host, Launch, library, wait_until};

/// The apps that have the same routes.
const APPS: [&str; 2] = ["streams", "axum-app"];

fn both(settings: Value) -> Host {
    let apps: Vec<Value> = APPS.iter().map(|name| json!({ "name": name, "path": library(name) })).collect();
    Host::start(json!({ "defaults": settings, "apps": apps }), &[])
}

fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

/// Sends the head of a chunked POST, and nothing of its body.
fn begin(host: &Host, path: &str) -> Connection {
    let mut connection = host.connect();
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    connection.write(head.as_bytes()).unwrap();
    connection
}

fn write_chunk(connection: &mut Connection, chunk: &[u8]) {
    connection.write(format!("{:x}\r\n", chunk.len()).as_bytes()).unwrap();
    connection.write(chunk).unwrap();
    connection.write(b"\r\n").unwrap();
}

#[test]
fn an_upload_of_any_size_is_counted() {
    let host = both(json!({}));
    for app in APPS {
        for size in [0, 1, 70_000, 5 << 20] {
            let body = bytes(size);
            let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
            for chunk in [None, Some(10_000)] {
                let mut call = Call::post(&format!("/apps/{app}/count"), body.clone());
                call = chunk.map_or(call.clone(), |chunk| call.chunked(chunk));
                let reply = host.call(&call);
                assert_eq!((reply.status, reply.text()), (200, format!("{size} {sum}")), "{app} {chunk:?}");
            }
        }
    }
}

#[test]
fn an_echo_answers_before_the_request_has_ended() {
    let host = both(json!({}));
    for app in APPS {
        let mut connection = begin(&host, &format!("/apps/{app}/echo"));
        assert_eq!(connection.head().unwrap().status, 200, "{app}");
        for text in ["one", "two", "three"] {
            write_chunk(&mut connection, text.as_bytes());
            assert_eq!(connection.chunk().unwrap().as_deref(), Some(text.as_bytes()), "{app}");
        }
        connection.write(b"0\r\n\r\n").unwrap();
        assert_eq!(connection.chunk().unwrap(), None, "{app}");
    }
}

#[test]
fn pieces_that_are_there_together_come_in_order_and_as_few() {
    const LINES: usize = 10_000;
    let expected: String = (0..LINES).map(|n| format!("line {n}\n")).collect();
    let host = both(json!({}));
    for app in APPS {
        let mut connection = host.connect();
        connection.send(&Call::get(&format!("/apps/{app}/lines/{LINES}"))).unwrap();
        assert_eq!(connection.head().unwrap().status, 200);
        let (mut text, mut pieces) = (Vec::new(), 0);
        while let Some(piece) = connection.chunk().unwrap() {
            text.extend(piece);
            pieces += 1;
        }
        assert!(text == expected.as_bytes(), "{app}: another text of {} bytes came", text.len());
        assert!(pieces < LINES / 2, "{app}: {LINES} lines came in {pieces} pieces");
    }
}

#[test]
fn an_echo_is_what_was_sent() {
    let host = both(json!({}));
    for app in APPS {
        for size in [1, 5000, 60_000, 3 << 20] {
            for chunk in [None, Some(100), Some(5000)] {
                let call = Call::post(&format!("/apps/{app}/echo"), bytes(size));
                let reply = host.call(&chunk.map_or(call.clone(), |chunk| call.chunked(chunk)));
                assert!(reply.body == bytes(size), "{app} {size} {chunk:?}: {} bytes", reply.body.len());
            }
        }
    }
}

#[test]
fn a_large_echo_needs_little_memory() {
    let host = both(json!({}));
    for app in APPS {
        let path = format!("/apps/{app}/echo");
        assert_eq!(host.call(&Call::post(&path, "warm")).text(), "warm");
        let before = host.resident_kib();
        let mut connection = begin(&host, &path);
        assert_eq!(connection.head().unwrap().status, 200);
        let stream = connection.into_stream();
        let mut writer = stream.try_clone().unwrap();
        let sender = std::thread::spawn(move || {
            use std::io::Write;
            let chunk = bytes(1 << 20);
            for _ in 0..200 {
                writer.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).unwrap();
                writer.write_all(&chunk).unwrap();
                writer.write_all(b"\r\n").unwrap();
            }
            writer.write_all(b"0\r\n\r\n").unwrap();
        });
        // The frames of the chunks are a few bytes of each.
        let (mut received, mut piece, mut peak) = (0, vec![0; 1 << 16], 0);
        let mut stream = stream;
        while received < 200 << 20 {
            received += stream.read(&mut piece).unwrap();
            if received % (1 << 22) < (1 << 16) {
                peak = peak.max(host.resident_kib());
            }
        }
        sender.join().unwrap();
        assert!(peak < before + 12_000, "{app}: {before} KiB grew to {peak} KiB over 200 MiB");
    }
}

#[test]
fn a_client_that_does_not_read_holds_the_app_up() {
    let host = both(json!({}));
    for app in APPS {
        assert_eq!(host.get(&format!("/apps/{app}/zeros/1")).body.len(), 1 << 20);
        let before = host.resident_kib();
        let mut slow = host.connect();
        slow.send(&Call::get(&format!("/apps/{app}/zeros/500"))).unwrap();
        assert_eq!(slow.head().unwrap().status, 200);
        // Others are served meanwhile, and what the slow one has not taken is not made.
        for _ in 0..50 {
            assert_eq!(host.get(&format!("/apps/{app}/zeros/1")).body.len(), 1 << 20);
        }
        let after = host.resident_kib();
        assert!(after < before + 20_000, "{app}: {before} KiB grew to {after} KiB");
        // It gets all when it reads on.
        let mut size = 0;
        while let Some(chunk) = slow.chunk().unwrap() {
            size += chunk.len();
        }
        assert_eq!(size, 500 << 20);
    }
}

#[test]
fn a_body_that_breaks_is_not_complete() {
    let host = both(json!({}));
    for path in ["/apps/streams/breaks", "/apps/axum-app/breaks", "/apps/streams/panics"] {
        let mut connection = host.connect();
        connection.send(&Call::get(path)).unwrap();
        assert_eq!(connection.head().unwrap().status, 200);
        assert_eq!(connection.chunk().unwrap().as_deref(), Some(&b"begun"[..]), "{path}");
        assert!(connection.chunk().is_err(), "{path}");
        assert!(connection.is_closed(), "{path}");
    }
    assert_eq!(host.get("/apps/streams/zeros/0").status, 200);
    host.wait_for_log(&["a stream panics"]);
    host.wait_for_log(&["the source is gone"]);
}

#[test]
fn a_head_of_a_stream_ends_it() {
    let host = both(json!({}));
    for path in ["/apps/streams/events", "/apps/axum-app/ticks"] {
        let reply = host.call(&Call::new("HEAD", path));
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{path}");
        assert_eq!(reply.header("content-type").as_deref(), Some("text/event-stream"), "{path}");
    }
    wait_until("the handler is dropped", || host.get("/apps/streams/open").text() == "0");
}

#[test]
fn a_client_that_leaves_ends_the_handler() {
    let host = both(json!({}));
    for (app, path) in [("streams", "events"), ("axum-app", "ticks")] {
        let mut connection = host.connect();
        connection.send(&Call::get(&format!("/apps/{app}/{path}"))).unwrap();
        assert_eq!(connection.head().unwrap().header("content-type").unwrap(), "text/event-stream");
        drop(connection);
        let begun = Instant::now();
        wait_until("the handler is dropped", || host.get(&format!("/apps/{app}/dropped")).text() == "1");
        assert!(begun.elapsed() < Duration::from_secs(10), "{app}");
    }
    let mut connection = host.connect();
    connection.send(&Call::get("/apps/axum-app/sleep/60000")).unwrap();
    wait_until("the handler runs", || host.get("/apps/axum-app/begun").text() == "2");
    drop(connection);
    wait_until("the sleeping handler is dropped", || host.get("/apps/axum-app/dropped").text() == "2");
}

#[test]
fn an_upload_that_is_cut_off_is_an_error_in_the_app() {
    let host = both(json!({}));
    for app in APPS {
        let mut connection = begin(&host, &format!("/apps/{app}/echo"));
        assert_eq!(connection.head().unwrap().status, 200);
        write_chunk(&mut connection, b"begun");
        assert_eq!(connection.chunk().unwrap().as_deref(), Some(&b"begun"[..]));
        drop(connection);
        assert_eq!(host.get(&format!("/apps/{app}/zeros/0")).status, 200);
    }
}

#[test]
fn a_body_that_is_held_in_memory_has_a_limit_and_a_stream_has_none() {
    let host = both(json!({ "body_limit": 1000 }));
    for chunk in [None, Some(300)] {
        let post = |path: &str, size: usize| {
            let call = Call::post(path, bytes(size));
            host.call(&chunk.map_or(call.clone(), |chunk| call.chunked(chunk)))
        };
        assert_eq!(post("/apps/streams/whole", 1000).text(), "1000");
        let problem = post("/apps/streams/whole", 1001).problem(413, "body-too-large");
        assert!(problem["detail"].as_str().unwrap().contains("body_limit = 1000"), "{problem}");
        assert_eq!(post("/apps/streams/whole", 1 << 20).status, 413);
        for app in APPS {
            let reply = post(&format!("/apps/{app}/count"), 100_000);
            assert!(reply.text().starts_with("100000 "), "{app}: {}", reply.text());
        }
    }
}

#[test]
fn a_client_that_stops_sending_is_told() {
    let host = both(json!({ "deadline_ms": 200 }));
    for path in ["/apps/streams/whole", "/apps/axum-app/count"] {
        let mut connection = begin(&host, path);
        write_chunk(&mut connection, b"begun");
        connection.receive("POST").unwrap().problem(408, "request-timeout");
        // One that goes on is waited for, longer than the deadline in all.
        let mut connection = begin(&host, path);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(500) {
            write_chunk(&mut connection, b"more");
            std::thread::sleep(Duration::from_millis(20));
        }
        connection.write(b"0\r\n\r\n").unwrap();
        assert_eq!(connection.receive("POST").unwrap().status, 200, "{path}");
    }
}

#[test]
fn open_streams_end_when_their_app_is_replaced() {
    let launch = Launch::serve(json!({
        "defaults": { "drain_timeout_ms": 200 },
        "apps": APPS.map(|name| json!({ "name": name, "path": format!("lib{name}.so") })),
    }));
    let host = launch.library("streams").library("axum-app").start();
    for (app, events) in [("streams", "events"), ("axum-app", "ticks")] {
        let mut open = host.connect();
        open.send(&Call::get(&format!("/apps/{app}/{events}"))).unwrap();
        assert_eq!(open.head().unwrap().status, 200);
        let mut download = host.connect();
        download.send(&Call::get(&format!("/apps/{app}/zeros/500"))).unwrap();
        assert_eq!(download.head().unwrap().status, 200);

        // A byte more is another library that does the same.
        let mut other = std::fs::read(library(app)).unwrap();
        other.push(0);
        host.replace(&format!("lib{app}.so"), other);
        host.wait_for_log(&[&format!("{app}#2 is serving")]);
        if app == "streams" {
            assert_eq!(host.call(&Call::post("/apps/streams/tell", "to nobody")).text(), "0");
        }
        // Events end as if they were complete, and their client connects again; a file must not look complete.
        while open.chunk().unwrap().is_some() {}
        let mut size = 0;
        let cut = loop {
            match download.chunk() {
                Ok(Some(chunk)) => size += chunk.len(),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert!(cut && size < 500 << 20, "{app}: {size} bytes");
        wait_until("the first generation is gone", || {
            let mapped = host.mapped();
            mapped.iter().filter(|path| path.to_string_lossy().contains(app)).count() == 1
        });
    }
}

#[test]
fn events_reach_every_client() {
    support::allow_many_files();
    let host = both(json!({}));
    let mut clients: Vec<_> = (0..200)
        .map(|_| {
            let mut connection = host.connect();
            connection.send(&Call::get("/apps/streams/events")).unwrap();
            assert_eq!(connection.head().unwrap().status, 200);
            connection
        })
        .collect();
    for round in 0..5 {
        let told = host.call(&Call::post("/apps/streams/tell", format!("round {round}")));
        assert_eq!(told.text(), "200");
        let expected = format!("event: told\nretry: 10\ndata: round {round}\n\n");
        for client in &mut clients {
            assert_eq!(client.chunk().unwrap().unwrap(), expected.as_bytes());
        }
    }
    drop(clients);
    wait_until("all have ended", || host.get("/apps/streams/open").text() == "0");
}
