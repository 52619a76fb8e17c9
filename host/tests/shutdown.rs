//! The end of a host behind a load balancer: it is not ready first, and loses no request.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod frames;
mod support;

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use frames::{HTTP2, http2_frame, http2_get};
use serde_json::json;
use support::{Call, Connection, Host, LIMIT, Launch, wait_for, wait_until};
use tokio_tungstenite::tungstenite;

const SECOND: Duration = Duration::from_secs(1);

fn launch(arguments: &[&str]) -> Launch {
    let apps = ["probe", "streams"].map(|name| json!({ "name": name, "path": support::library(name) }));
    Launch::serve(json!(apps)).args(["--h2c", "--trusted-proxy", "127.0.0.1"]).args(arguments)
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<support::Reply> {
    Connection::open(address)?.call(&Call::get(path))
}

/// Runs a client that waits for the end of its connection, and returns how long that takes.
fn ends(begun: Instant, wait: impl FnOnce() + Send + 'static) -> JoinHandle<Duration> {
    thread::spawn(move || {
        wait();
        begun.elapsed()
    })
}

#[test]
fn a_host_that_is_about_to_end_is_not_ready_and_serves() {
    let mut host = launch(&["--shutdown-delay", "3s"]).start();
    let address = host.address();
    assert_eq!(host.get("/readyz").text(), "ready\n");
    let mut kept = host.connect();
    assert_eq!(kept.call(&Call::get("/apps/probe/get-only")).unwrap().header("connection"), None);
    let begun = Instant::now();
    host.signal(libc::SIGTERM);
    let not_ready = wait_for("the host is not ready", || {
        let ready = get(address, "/readyz").unwrap();
        (ready.status == 503).then_some(ready)
    });
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    assert_eq!(not_ready.text(), "shutting down\n");
    assert_eq!(get(address, "/readyz/probe").unwrap().status, 503);
    assert_eq!(get(address, "/healthz").unwrap().status, 200, "the process is alive");
    // Connections that are there, and new ones, are served and end with their answer.
    let mut served = 0;
    assert_eq!(
        kept.call(&Call::get("/apps/probe/get-only")).unwrap().header("connection").as_deref(),
        Some("close")
    );
    assert!(kept.is_closed());
    while begun.elapsed() < 2 * SECOND {
        let reply = get(address, "/apps/probe/get-only").unwrap();
        assert_eq!((reply.text(), reply.header("connection").as_deref()), ("got".to_owned(), Some("close")));
        served += 1;
    }
    assert!(served > 10, "{served}");
    wait_until("no connection is taken", || {
        TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
    let time = begun.elapsed();
    assert!(time >= 3 * SECOND && time < 5 * SECOND, "{time:?}");
    assert_eq!(host.ended().status.code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_delay() {
    let mut host = launch(&["--shutdown-delay", "1h"]).start();
    let begun = Instant::now();
    host.signal(libc::SIGTERM);
    host.wait_for_log(&["SIGTERM: not ready"]);
    assert_eq!(host.get("/healthz").status, 200);
    host.signal(libc::SIGINT);
    host.wait_for_log(&["SIGINT: shutting down now"]);
    let ended = host.ended();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(begun.elapsed() < LIMIT);
}

/// That ends are in the second half of the delay, and not all at once.
#[track_caller]
fn are_spread(what: &str, delay: Duration, ends: Vec<JoinHandle<Duration>>) {
    let mut times: Vec<_> = ends.into_iter().map(|end| end.join().unwrap()).collect();
    times.sort();
    let (first, last) = (times[0], times[times.len() - 1]);
    // A little less, as the signal has taken a moment.
    assert!(first >= delay / 2 - SECOND / 10, "{what}: {times:?}");
    assert!(last <= delay + SECOND, "{what}: {times:?}");
    assert!(last - first > delay / 4, "{what}: {times:?}");
}

#[test]
fn idle_connections_and_websockets_end_one_after_the_other() {
    const EACH: usize = 16;
    let delay = 4 * SECOND;
    let mut host = launch(&["--shutdown-delay", "4s"]).start();
    let address = host.address();
    let idle: Vec<_> = (0..EACH)
        .map(|_| {
            let mut idle = host.connect();
            assert_eq!(idle.call(&Call::get("/apps/probe/get-only")).unwrap().status, 200);
            idle
        })
        .collect();
    let http2: Vec<_> = (0..EACH)
        .map(|_| {
            let mut client = TcpStream::connect(address).unwrap();
            client.set_read_timeout(Some(LIMIT)).unwrap();
            client.write_all(&[HTTP2, &http2_get("/healthz", 1)].concat()).unwrap();
            while !matches!(http2_frame(&mut client).unwrap(), (0, 1, _)) {}
            client
        })
        .collect();
    let websockets: Vec<_> = (0..EACH)
        .map(|_| {
            let stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            tungstenite::client::client(format!("ws://{address}/apps/streams/ws"), stream).unwrap().0
        })
        .collect();
    let events: Vec<_> = (0..EACH)
        .map(|_| {
            let mut events = host.connect();
            events.send(&Call::get("/apps/streams/events")).unwrap();
            assert_eq!(events.head().unwrap().status, 200);
            events
        })
        .collect();
    let begun = Instant::now();
    host.signal(libc::SIGTERM);
    let idle = idle.into_iter().map(|mut idle| ends(begun, move || assert!(idle.is_closed())));
    let http2 = http2.into_iter().map(|mut client| {
        // GOAWAY.
        ends(begun, move || while !matches!(http2_frame(&mut client).unwrap(), (7, ..)) {})
    });
    let websockets =
        websockets.into_iter().map(|mut socket| ends(begun, move || while socket.read().is_ok() {}));
    let events = events
        .into_iter()
        .map(|mut events| ends(begun, move || while events.chunk().is_ok_and(|chunk| chunk.is_some()) {}));
    let all: [(&str, Vec<_>); 4] = [
        ("idle", idle.collect()),
        ("HTTP/2", http2.collect()),
        ("WebSockets", websockets.collect()),
        ("events", events.collect()),
    ];
    for (what, ends) in all {
        are_spread(what, delay, ends);
    }
    assert_eq!(host.ended().status.code(), Some(0));
}

#[test]
fn http2_connections_that_are_used_are_told_to_go_away_and_finish() {
    let mut host = launch(&["--shutdown-delay", "10s"]).start();
    let address = host.address();
    let open = || {
        let client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(LIMIT)).unwrap();
        client
    };
    let mut used = open();
    used.write_all(&[HTTP2, &http2_get("/healthz", 1)].concat()).unwrap();
    while !matches!(http2_frame(&mut used).unwrap(), (0, 1, _)) {}
    let begun = Instant::now();
    host.signal(libc::SIGTERM);
    host.wait_for_log(&["SIGTERM: not ready"]);
    let mut new = open();
    new.write_all(HTTP2).unwrap();
    for (client, stream) in [(&mut used, 3), (&mut new, 1)] {
        client.write_all(&http2_get("/apps/probe/get-only", stream)).unwrap();
        // Its answer, then GOAWAY.
        while !matches!(http2_frame(client).unwrap(), (0, 0 | 1, data) if data == b"got") {}
        while !matches!(http2_frame(client).unwrap(), (7, ..)) {}
        assert!(begun.elapsed() < 4 * SECOND, "{:?}: long before the second half", begun.elapsed());
    }
    host.signal(libc::SIGTERM);
    assert_eq!(host.ended().status.code(), Some(0));
}

#[test]
fn no_request_is_lost_while_clients_leave() {
    let mut host = launch(&["--shutdown-delay", "3s"]).start();
    let address = host.address();
    // Each keeps its connection, opens another when it is closed, and leaves when the host is not ready.
    let clients: Vec<_> = (0..8)
        .map(|_| {
            thread::spawn(move || {
                let (mut answered, mut connection) = (0, None::<Connection>);
                while get(address, "/readyz").unwrap().status == 200 || answered == 0 {
                    for _ in 0..10 {
                        let open = connection.take().unwrap_or_else(|| Connection::open(address).unwrap());
                        let open = connection.insert(open);
                        let reply = open.call(&Call::get("/apps/probe/get-only")).unwrap();
                        assert_eq!(reply.text(), "got");
                        answered += 1;
                        if reply.header("connection").as_deref() == Some("close") {
                            connection = None;
                        }
                    }
                }
                answered
            })
        })
        .collect();
    thread::sleep(SECOND / 2);
    host.signal(libc::SIGTERM);
    for client in clients {
        assert!(client.join().unwrap() > 0);
    }
    assert_eq!(host.ended().status.code(), Some(0));
}

#[test]
fn an_app_is_ready_by_itself() {
    let apps = json!([
        { "name": "cold", "path": support::library("probe") },
        { "name": "none", "path": "libnone.so", "preload": true },
    ]);
    let host: Host = Launch::serve(apps).start();
    wait_until("one app has failed", || host.get("/readyz").text() == "none: failed\n");
    let reply = host.get("/readyz/none");
    assert_eq!((reply.status, reply.text()), (503, "none: failed\n".to_owned()));
    let reply = host.get("/readyz/cold");
    assert_eq!((reply.status, reply.text()), (200, "ready\n".to_owned()));
    assert_eq!(host.call(&Call::new("HEAD", "/readyz/cold")).status, 200);
    host.get("/readyz/other").problem(404, "unknown-app");
    host.get("/readyz/cold/more").problem(404, "not-found");
    host.post("/readyz/cold", "").problem(405, "method-not-allowed");
    let disable = Launch::command("disable").args(["cold", "--config", &host.path("apps.json")]);
    assert!(disable.env("TMPDIR", host.folder().join("tmp")).run().status.success());
    assert_eq!(host.get("/readyz/cold").text(), "cold: disabled\n");
    assert_eq!(host.get("/readyz").text(), "none: failed\n", "a disabled app does not matter to the host");
}
