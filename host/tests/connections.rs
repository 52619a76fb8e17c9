//! What one client can do to the host, and to the answers that it gets, by the way it uses its connections.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod sockets;
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Method, Request};
use serde_json::json;
use sockets::has_connection;
use support::{Call, Connection, Host, LIMIT, Launch, wait_until};

fn launch() -> Launch {
    let apps =
        ["probe", "streams", "axum-app"].map(|name| json!({ "name": name, "path": support::library(name) }));
    Launch::serve(json!({ "apps": apps }))
}

fn start() -> Host {
    launch().start()
}

/// With HTTP/2 as well.
fn start_http2() -> Host {
    launch().arg("--h2c").start()
}

/// Sends bytes as they are, on a connection of its own.
fn open(host: &Host, bytes: impl AsRef<[u8]>) -> Connection {
    let mut connection = host.connect();
    connection.write(bytes.as_ref()).unwrap();
    connection
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A request for a path that is complete with its head.
fn headers_frame(stream: u32, path: &str) -> Vec<u8> {
    // GET, http, and `:path` and `:authority` as they are.
    let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
    block.extend(path.as_bytes());
    block.extend([0x01, 1, b'a']);
    frame(1, 5, stream, &block)
}

/// The next frame: its type, flags, stream and payload.
fn read_frame(stream: &mut TcpStream) -> std::io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload)?;
    Ok((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}

/// Begins HTTP/2 by hand, as a client that takes no byte of an answer's body.
fn stalled_http2(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(4, 0, 0, &[0, 4, 0, 0, 0, 0])).unwrap();
    stream
}

/// Runs a client of HTTP/2, with a limit on how long it may wait.
fn run(client: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(2 * LIMIT, client).await.expect("the host answers") };
    runtime.block_on(tokio::task::LocalSet::new().run_until(limited));
}

async fn http2(host: &Host) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(host.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::task::spawn_local(connection);
    client
}

fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://localhost{path}"))
}

/// The largest answer that this takes while the host is under attack: 100 ms, on a machine that does other things as well.
#[track_caller]
fn answers_others(host: &Host) {
    let fastest = (0..10)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(host.get("/apps/probe/get-only").status, 200);
            begun.elapsed()
        })
        .min()
        .unwrap();
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
}

#[test]
fn one_http2_connection_makes_the_host_hold_little() {
    const STREAMS: u32 = 10_000;
    let host = start_http2();
    let entered = host.path("entered");
    let path = format!("/apps/probe/large?size=262144&entered={entered}");
    assert_eq!(host.get(&path).body.len(), 262_144);
    let before = host.resident_kib();
    let mut flood = stalled_http2(host.address());
    let mut reader = flood.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        for stream in 0..STREAMS {
            // The host may have had enough.
            if flood.write_all(&headers_frame(2 * stream + 1, &path)).is_err() {
                return;
            }
        }
    });
    let (mut limit, mut refused, mut answered) = (None, 0, 0);
    while answered < 100 || refused == 0 {
        // One that goes on with what is refused is closed.
        let Ok(frame) = read_frame(&mut reader) else { break };
        match frame {
            (4, 0, _, settings) => {
                limit = settings.chunks(6).find(|one| one[..2] == [0, 3]).map(<[u8]>::to_vec);
            }
            (3, _, _, reason) => {
                assert_eq!(reason, [0, 0, 0, 7], "REFUSED_STREAM");
                refused += 1;
            }
            (1, ..) => answered += 1,
            _ => {}
        }
    }
    answers_others(&host);
    writer.join().unwrap();
    assert_eq!(limit.as_deref(), Some(&[0, 3, 0, 0, 0, 100][..]), "SETTINGS_MAX_CONCURRENT_STREAMS");
    let grown = host.resident_kib() - before;
    assert!(grown < 80_000, "{grown} KiB");
    drop(reader);
    assert_eq!(host.get("/apps/probe/get-only").status, 200);
}

#[test]
fn an_http2_connection_that_holds_much_waits_with_its_next_requests() {
    let host = start_http2();
    let entered = host.path("entered");
    // More than 4 MiB.
    let path = format!("/apps/probe/large?size=4300000&entered={entered}");
    let mut client = stalled_http2(host.address());
    client.write_all(&headers_frame(1, &path)).unwrap();
    while !matches!(read_frame(&mut client).unwrap(), (1, ..)) {}
    std::fs::remove_file(&entered).unwrap();
    client.write_all(&headers_frame(3, &path)).unwrap();
    // A ping is answered, the request is not begun.
    client.write_all(&frame(6, 0, 0, &[7; 8])).unwrap();
    while !matches!(read_frame(&mut client).unwrap(), (6, 1, ..)) {}
    assert!(!std::fs::exists(&entered).unwrap());
    // It goes on when the client gives the first one up.
    client.write_all(&frame(3, 0, 1, &[0, 0, 0, 8])).unwrap();
    while !matches!(read_frame(&mut client).unwrap(), (1, _, 3, _)) {}
    assert!(std::fs::exists(&entered).unwrap());
}

#[test]
fn cookies_that_come_apart_are_one_header() {
    let host = start_http2();
    run(async {
        let client = http2(&host).await;
        let cookies =
            request(Method::GET, "/apps/probe/seen/x").header("cookie", "a=1").header("cookie", "sid=2");
        let mut client = client.ready().await.unwrap();
        let (response, _) = client.send_request(cookies.body(()).unwrap(), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        let seen: serde_json::Value = serde_json::from_slice(&body.data().await.unwrap().unwrap()).unwrap();
        let headers = seen["headers"].as_array().unwrap();
        let cookies: Vec<_> = headers.iter().filter(|header| header[0] == "cookie").collect();
        assert_eq!(cookies, [&json!(["cookie", "a=1; sid=2"])]);
    });
}

#[test]
fn a_slow_reader_of_http2_gets_all() {
    const SIZE: usize = 8 << 20;
    let host = start_http2();
    let entered = host.path("entered");
    run(async {
        let stream = tokio::net::TcpStream::connect(host.address()).await.unwrap();
        let (client, mut connection) = h2::client::Builder::new()
            .initial_window_size(SIZE as u32)
            .initial_connection_window_size(SIZE as u32)
            .handshake::<_, Bytes>(stream)
            .await
            .unwrap();
        let large = request(Method::GET, &format!("/apps/probe/large?size={SIZE}&entered={entered}"));
        let exchange = async {
            let mut client = client.ready().await.unwrap();
            let (response, _) = client.send_request(large.body(()).unwrap(), true).unwrap();
            let mut body = response.await.unwrap().into_body();
            let mut size = 0;
            while let Some(piece) = body.data().await {
                let piece = piece.unwrap();
                size += piece.len();
                body.flow_control().release_capacity(piece.len()).unwrap();
            }
            size
        };
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            _ = &mut connection => panic!("the connection has ended"),
            _ = &mut exchange => panic!("it is that fast"),
            () = async {
                while !std::fs::exists(&entered).unwrap() {
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
            } => {}
        }
        // Nothing is read for longer than it once took until the host gave up.
        tokio::time::sleep(Duration::from_secs(12)).await;
        tokio::select! {
            ended = &mut connection => panic!("the connection has ended: {ended:?}"),
            size = exchange => assert_eq!(size, SIZE),
        }
    });
}

#[test]
fn each_pipelined_answer_is_that_of_its_request() {
    let host = start();
    let pair = |first: &str, second: &str| open(&host, format!("{first}{second}"));
    let get = "GET /apps/probe/get-only HTTP/1.1\r\nhost: a\r\n\r\n";
    let head = "HEAD /apps/probe/get-only HTTP/1.1\r\nhost: a\r\n\r\n";
    for (first, second) in [("GET", "HEAD"), ("HEAD", "GET")] {
        let of = |method| if method == "GET" { get } else { head };
        let mut connection = pair(of(first), of(second));
        for method in [first, second] {
            let reply = connection.receive(method).unwrap();
            let body: &[u8] = if method == "GET" { b"got" } else { b"" };
            assert_eq!((reply.status, &*reply.body), (200, body), "{first} {second}");
        }
        // Nothing of one is in the way of the next.
        assert_eq!(connection.call(&Call::get("/apps/probe/get-only")).unwrap().text(), "got");
    }

    // What closes the connection closes it, with a request behind it.
    for closing in [
        "GET /apps/probe/get-only HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "GET /apps/probe/get-only HTTP/1.0\r\n\r\n",
    ] {
        let mut connection = pair(closing, get);
        assert_eq!(connection.receive("GET").unwrap().text(), "got");
        assert!(connection.is_closed(), "{closing}");
    }
    let mut connection = pair(get, "GET /apps/probe/get-only HTTP/1.0\r\n\r\n");
    let reply = connection.receive("GET").unwrap();
    assert_eq!((reply.text(), reply.header("connection")), ("got".to_owned(), None));
    assert_eq!(connection.receive("GET").unwrap().text(), "got");
    assert!(connection.is_closed());
}

#[test]
fn no_pipelined_request_is_lost() {
    let host = start();
    for (size, together) in [(100, 20), (1000, 64), (2000, 200), (8000, 60), (30_000, 20), (130_000, 2)] {
        let one = [
            format!("POST /apps/probe/echo HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n").as_bytes(),
            &vec![b'z'; size],
        ]
        .concat();
        let mut connection = host.connect();
        for _ in 0..3 {
            // It does not read while it writes, or both would wait for ever with so many.
            let mut writer = connection.duplicate();
            let all = one.repeat(together);
            let sender = std::thread::spawn(move || writer.write_all(&all).unwrap());
            for number in 0..together {
                let reply =
                    connection.receive("POST").unwrap_or_else(|error| panic!("{error}: {size} {number}"));
                assert_eq!((reply.status, reply.body.len()), (200, size));
            }
            sender.join().unwrap();
        }
    }
}

#[test]
fn a_part_of_a_second_head_is_408_as_one_of_a_first() {
    let host = launch().args(["--header-timeout", "2s"]).start();
    let mut connection = host.connect();
    assert_eq!(connection.call(&Call::get("/apps/probe/get-only")).unwrap().status, 200);
    let begun = Instant::now();
    connection.write(b"GET /apps/probe/get-only HT").unwrap();
    assert_eq!(connection.receive("GET").unwrap().status, 408);
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(connection.is_closed());
}

#[test]
fn extensions_and_trailers_have_a_limit() {
    let host = start();
    let post = |chunks: String| {
        let head = "POST /apps/probe/echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut connection = open(&host, format!("{head}{chunks}"));
        connection.receive("POST").unwrap()
    };
    let extension = |size| format!("3;{}\r\none\r\n0\r\n\r\n", "x".repeat(size));
    let trailer = |size| format!("3\r\none\r\n0\r\nx-late: {}\r\n\r\n", "x".repeat(size));
    let many = |chunks, size| format!("1;{}\r\nx\r\n", "x".repeat(size)).repeat(chunks) + "0\r\n\r\n";
    for chunks in [extension(16_000), trailer(16_000)] {
        let reply = post(chunks);
        assert_eq!((reply.status, reply.text()), (200, "one".to_owned()));
    }
    assert_eq!(post(many(20_000, 10)).body.len(), 20_000);
    for chunks in [extension(17_000), trailer(17_000), many(20_000, 40)] {
        assert_eq!(post(chunks).status, 400);
    }
}

#[test]
fn an_answer_to_an_upload_that_nobody_reads_arrives() {
    let host =
        Launch::serve(json!([{ "name": "probe", "path": support::library("probe"), "body_limit": "64KiB" }]));
    let host = host.start();
    // Each sends all of its body before it reads.
    let clients: Vec<_> = (0..36)
        .map(|number| {
            let address = host.address();
            std::thread::spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                let mut call = Call::post("/apps/probe/echo", vec![b'x'; (1 + number % 12) << 20]);
                if number % 3 > 0 {
                    call = call.chunked(if number % 3 == 1 { 65_536 } else { 1000 });
                }
                let reply = connection.call(&call).unwrap();
                reply.problem(413, "body-too-large");
                assert_eq!(reply.header("connection").as_deref(), Some("close"));
                assert!(connection.is_closed());
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    let none = host.call(&Call::post("/apps/none/", vec![b'x'; 4 << 20]));
    none.problem(404, "unknown-app");
}

#[test]
fn nobody_who_stops_sending_keeps_a_connection_after_its_answer() {
    let host = start();
    let head = "POST /apps/none/ HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nbegun";
    let mut connection = open(&host, head);
    connection.receive("POST").unwrap().problem(404, "unknown-app");
    // Its end is closed at once; what the client still sends is taken as long as it sends something, but not for long.
    assert!(connection.is_closed());
    let mut stream = connection.into_stream();
    stream.write_all(b"more").unwrap();
    let begun = Instant::now();
    let client = stream.local_addr().unwrap();
    assert!(has_connection(&host, client));
    wait_until("the host has closed it", || !has_connection(&host, client));
    assert!(begun.elapsed() > Duration::from_secs(4), "{:?}", begun.elapsed());
    wait_until("the connection is reset", || stream.write_all(b"x").is_err());
}

#[test]
fn a_head_without_a_known_length_has_none() {
    let host = start_http2();
    for path in ["/apps/axum-app/zeros/1", "/apps/streams/zeros/1"] {
        let mut connection = host.connect();
        for _ in 0..2 {
            let reply = connection.call(&Call::new("HEAD", path)).unwrap();
            assert_eq!((reply.status, reply.header("content-length")), (200, None), "{path}");
            assert_eq!(reply.header("transfer-encoding"), None, "{path}");
        }
    }
    run(async {
        let client = http2(&host).await;
        let mut client = client.ready().await.unwrap();
        let head = request(Method::HEAD, "/apps/axum-app/zeros/1").body(()).unwrap();
        let response = client.send_request(head, true).unwrap().0.await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers().get("content-length")), (200, None));
    });
}

#[test]
fn http_1_0_gets_no_chunks() {
    let host = start();
    for path in ["/apps/axum-app/zeros/1", "/apps/streams/zeros/1"] {
        let mut connection = open(&host, format!("GET {path} HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"));
        let reply = connection.receive("GET").unwrap();
        assert_eq!((reply.status, reply.header("transfer-encoding")), (200, None), "{path}");
        assert!(reply.body == vec![0; 1 << 20], "{path}: {} bytes", reply.body.len());
    }
    // One that is not complete does not end as if it were.
    for path in ["/apps/axum-app/breaks", "/apps/streams/breaks"] {
        let mut connection = open(&host, format!("GET {path} HTTP/1.0\r\n\r\n"));
        assert!(connection.receive("GET").is_err(), "{path}");
    }
    // One of a known length leaves the connection open, where the client asks for it.
    let get = "GET /apps/probe/get-only HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
    let mut connection = open(&host, get.repeat(2));
    for _ in 0..2 {
        let reply = connection.receive("GET").unwrap();
        assert_eq!(
            (reply.text(), reply.header("connection").as_deref()),
            ("got".to_owned(), Some("keep-alive"))
        );
    }
}

#[test]
fn an_answer_without_a_length_to_a_handshake_ends_with_the_connection() {
    let host = start();
    let handshake = |path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n");
        let key = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        open(&host, head + key)
    };
    for path in ["/apps/axum-app/zeros/1", "/apps/streams/zeros/1"] {
        let reply = handshake(path).receive("GET").unwrap();
        assert_eq!((reply.status, reply.header("transfer-encoding")), (200, None), "{path}");
        assert!(reply.body == vec![0; 1 << 20], "{path}: {} bytes", reply.body.len());
    }
    for path in ["/apps/axum-app/breaks", "/apps/streams/breaks"] {
        assert!(handshake(path).receive("GET").is_err(), "{path}");
    }
}

#[test]
fn a_body_is_asked_for_when_somebody_takes_it() {
    let host = start();
    let post = |path: &str| {
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
        open(&host, head)
    };
    let mut connection = post("/apps/probe/echo");
    assert_eq!(connection.head().unwrap().status, 100);
    connection.write(b"four").unwrap();
    assert_eq!(connection.receive("POST").unwrap().text(), "four");
    let mut connection = post("/apps/none/");
    connection.receive("POST").unwrap().problem(404, "unknown-app");
    assert!(connection.is_closed());
}

#[test]
fn a_client_that_takes_nothing_is_left_after_a_while() {
    let host = launch().args(["--h2c", "--write-timeout", "3s"]).start();
    let begun = Instant::now();
    let mut slow = host.connect();
    slow.send(&Call::get("/apps/axum-app/zeros/500")).unwrap();
    assert_eq!(slow.head().unwrap().status, 200);
    // A whole answer, and one that comes piece by piece.
    let whole = format!("/apps/probe/large?size=1000&entered={}", host.path("entered"));
    let mut stalled = [&*whole, "/apps/axum-app/zeros/500"].map(|path| {
        let mut stalled = stalled_http2(host.address());
        stalled.set_read_timeout(Some(2 * LIMIT)).unwrap();
        stalled.write_all(&headers_frame(1, path)).unwrap();
        stalled
    });
    for stalled in &mut stalled {
        while read_frame(stalled).is_ok() {}
    }
    assert!(begun.elapsed() > Duration::from_secs(3), "{:?}", begun.elapsed());
    let client = slow.local_address();
    wait_until("the other one is closed, too", || !has_connection(&host, client));
    let mut size = 0;
    while let Ok(Some(chunk)) = slow.chunk() {
        size += chunk.len();
    }
    assert!(size < 500 << 20, "{size} bytes");
}

#[test]
fn one_client_leaves_connections_to_others() {
    const FILES: usize = 192;
    let limited = |more: &[&str]| {
        let script = format!("ulimit -n {FILES} && exec \"$0\" \"$@\"");
        let apps = json!([{ "name": "probe", "path": support::library("probe"), "queue": 1000 }]);
        let serve = ["serve", "--listen", "127.0.0.1:0"];
        let launch = Launch::program("sh").args(["-c", &script]).arg(support::atoll()).args(serve).args(more);
        launch.write("apps.json", apps.to_string()).start()
    };
    let held = |host: &Host, count| -> Vec<TcpStream> {
        let one = || {
            let mut connection = host.connect();
            connection.send(&Call::get("/apps/probe/wait/x")).unwrap();
            let stream = connection.into_stream();
            stream.set_nonblocking(true).unwrap();
            stream
        };
        (0..count).map(|_| one()).collect()
    };
    let open = |held: &[TcpStream]| {
        let waits = |stream: &&TcpStream| {
            stream.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
        };
        held.iter().filter(waits).count()
    };
    let threads = std::thread::available_parallelism().unwrap().get();
    // 64 files are kept back, and half of the rest is one client's.
    let share = (FILES - 64) / threads * threads / 2;

    let host = limited(&[]);
    let mut first = held(&host, share);
    let other = || {
        let mut connection = Connection::open_from([127, 0, 0, 2].into(), host.address()).unwrap();
        let begun = Instant::now();
        assert_eq!(connection.call(&Call::get("/apps/probe/get-only")).unwrap().text(), "got");
        begun.elapsed()
    };
    other();
    assert_eq!(open(&first), share);
    let more = held(&host, 30);
    wait_until("what is more is closed", || open(&more) == 0);
    let fastest = (0..10).map(|_| other()).min().unwrap();
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
    assert_eq!(open(&first), share);
    let words = ["WARN", "127.0.0.1 has ", "connections_per_address_percent = 50", "one more is closed"];
    host.wait_for_log(&words);
    // There is room again for what has ended.
    first.truncate(share - 1);
    wait_until("it is answered", || {
        host.connect().call(&Call::get("/apps/probe/get-only")).is_ok_and(|reply| reply.status == 200)
    });

    let host = limited(&["--trusted-proxy", "127.0.0.1"]);
    let all = held(&host, share + 10);
    assert_eq!(host.get("/apps/probe/get-only").status, 200);
    assert_eq!(open(&all), share + 10);
}

#[test]
fn the_system_asks_whether_a_silent_client_is_still_there() {
    let host = start();
    let mut connection = host.connect();
    connection.send(&Call::get("/apps/probe/wait/x")).unwrap();
    let port = format!(":{:04X}", host.address().port());
    // In hundredths of a second until the system's question (`02`) on the host's end.
    let asks_in = || {
        let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", host.pid())).unwrap();
        let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let mut ends = lines.filter(|line| line[1].ends_with(&port) && line[3] == "01");
        let timer = ends.next()?[5].strip_prefix("02:")?.to_owned();
        u32::from_str_radix(&timer, 16).ok()
    };
    let hundredths = support::wait_for("the host's end is there", asks_in);
    assert!(hundredths <= 6000, "{hundredths}");
}

#[test]
fn a_status_that_is_none_is_refused() {
    let host = start_http2();
    for (status, expected) in [(200, 200), (299, 299), (599, 599), (600, 502), (999, 502)] {
        assert_eq!(host.get(&format!("/apps/axum-app/status/{status}")).status, expected);
    }
    let reply = host.get("/apps/axum-app/status/205");
    assert_eq!(
        (reply.status, reply.header("content-length").as_deref(), reply.body.len()),
        (205, Some("0"), 0)
    );
}

#[test]
fn a_client_that_only_cancels_is_left() {
    let host = start_http2();
    let mut client = stalled_http2(host.address());
    let path = "/apps/probe/wait/x";
    let mut stream = 1;
    let mut cancel = |count: u32| -> std::io::Result<()> {
        for _ in 0..count {
            client.write_all(&headers_frame(stream, path))?;
            client.write_all(&frame(3, 0, stream, &[0, 0, 0, 8]))?;
            stream += 2;
            if stream % 20 == 1 {
                // Each is begun before it is cancelled.
                client.write_all(&frame(6, 0, 0, &[7; 8]))?;
                while !matches!(read_frame(&mut client)?, (6, 1, ..)) {}
            }
        }
        Ok(())
    };
    cancel(900).unwrap();
    let begun = Instant::now();
    while cancel(100).is_ok() {
        assert!(begun.elapsed() < LIMIT, "it goes on");
    }
    answers_others(&host);
}
