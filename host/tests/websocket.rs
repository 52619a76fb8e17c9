//! WebSockets, in an `Application` and in an axum app.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Call, Host, Launch, library, wait_until};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// The apps that have an echo at `/ws`, and what they put before a text.
const APPS: [(&str, &str); 2] = [("streams", ""), ("axum-app", "you said ")];

fn host() -> Host {
    Launch::serve(json!({
        "defaults": { "drain_timeout_ms": 200 },
        "apps": APPS.map(|(name, _)| json!({ "name": name, "path": format!("lib{name}.so") })),
    }))
    .library("streams")
    .library("axum-app")
    .start()
}

fn open_with(
    host: &Host,
    path: &str,
    headers: &[(&'static str, &str)],
) -> tungstenite::Result<(WebSocket<TcpStream>, Response)> {
    let mut request = format!("ws://{}{path}", host.address()).into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(host.address()).unwrap();
    stream.set_read_timeout(Some(support::LIMIT)).unwrap();
    stream.set_nodelay(true).unwrap();
    tungstenite::client::client(request, stream).map_err(|error| match error {
        tungstenite::HandshakeError::Failure(error) => error,
        tungstenite::HandshakeError::Interrupted(_) => panic!("the handshake took too long"),
    })
}

fn open(host: &Host, path: &str) -> WebSocket<TcpStream> {
    open_with(host, path, &[]).unwrap().0
}

/// The code and the reason of a close.
fn told(socket: &mut WebSocket<TcpStream>) -> (u16, String) {
    let frame = close_of(socket).expect("the close has a code");
    (frame.code.into(), frame.reason.to_string())
}

fn close_of(socket: &mut WebSocket<TcpStream>) -> Option<CloseFrame> {
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => return frame,
            Ok(_) => {}
            Err(error) => panic!("no close came: {error}"),
        }
    }
}

#[test]
fn text_and_bytes_of_any_size_come_back() {
    let host = host();
    for (app, before) in APPS {
        let mut socket = open(&host, &format!("/apps/{app}/ws"));
        for text in ["", "hello", "żółw 🐢", &"x".repeat(100_000)] {
            socket.send(Message::text(text)).unwrap();
            assert_eq!(socket.read().unwrap(), Message::text(format!("{before}{text}")), "{app}");
        }
        for size in [0, 1, 125, 126, 65_535, 65_536, 3 << 20] {
            let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            socket.send(Message::binary(bytes.clone())).unwrap();
            assert!(socket.read().unwrap() == Message::binary(bytes), "{app} {size}");
        }
        socket.close(None).unwrap();
        while socket.read().is_ok() {}
    }
}

#[test]
fn fragments_are_one_message_and_a_ping_between_them_is_answered() {
    use tungstenite::protocol::frame::Frame;
    use tungstenite::protocol::frame::coding::{Data, OpCode};
    let host = host();
    for (app, before) in APPS {
        let mut socket = open(&host, &format!("/apps/{app}/ws"));
        socket.send(Message::Frame(Frame::message("one ", OpCode::Data(Data::Text), false))).unwrap();
        socket.send(Message::Ping("between".into())).unwrap();
        socket.send(Message::Frame(Frame::message("two ", OpCode::Data(Data::Continue), false))).unwrap();
        socket.send(Message::Frame(Frame::message("three", OpCode::Data(Data::Continue), true))).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong("between".into()), "{app}");
        assert_eq!(socket.read().unwrap(), Message::text(format!("{before}one two three")), "{app}");
    }
}

#[test]
fn an_app_pings_and_hears_the_answer() {
    let host = host();
    let mut socket = open(&host, "/apps/streams/ws");
    socket.send(Message::text("ping")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Ping("are you there".into()));
    assert_eq!(socket.read().unwrap(), Message::text("pong are you there"));
}

#[test]
fn a_silent_client_is_asked_and_closed_when_it_does_not_answer() {
    const PING: &[u8] = b"\x89\x0datoll is here";
    let host = host();
    let (mut answers, mut is_gone) = (open(&host, "/apps/streams/ws"), open(&host, "/apps/streams/ws"));
    let begun = Instant::now();
    // What it reads like this it does not answer.
    let gone = is_gone.get_mut();
    gone.set_read_timeout(Some(2 * support::LIMIT)).unwrap();
    let mut frame = [0; PING.len()];
    gone.read_exact(&mut frame).unwrap();
    assert_eq!(frame.escape_ascii().to_string(), PING.escape_ascii().to_string());
    assert!(begun.elapsed() > Duration::from_secs(19), "{:?}", begun.elapsed());
    assert_eq!(answers.read().unwrap(), Message::Ping(PING[2..].to_vec().into()));
    answers.flush().unwrap();

    let mut close = [0; 4];
    gone.read_exact(&mut close).unwrap();
    assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 1011));
    assert!(begun.elapsed() > Duration::from_secs(39), "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    gone.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"the client has not answered a ping");

    // The one that answers is served, and its app has not seen the answer.
    answers.send(Message::text("hello")).unwrap();
    let echoed = std::iter::repeat_with(|| answers.read().unwrap()).find(|message| !message.is_ping());
    assert_eq!(echoed, Some(Message::text("hello")));
}

#[test]
fn any_number_of_threads_send_to_one_slow_client() {
    let host = host();
    let counts = || host.get("/apps/streams/crowd-count").json();
    let mut socket = open(&host, "/apps/streams/crowd");
    wait_until("all threads have begun", || counts() == json!([4, 0]));
    for n in 0..4 * 256 {
        let message = socket.read().unwrap_or_else(|error| panic!("{n} messages came: {error}"));
        assert_eq!(message.len(), 64 * 1024);
    }
    wait_until("all threads have ended", || counts() == json!([4, 4]));

    // A client that leaves without reading sets them free as well.
    let socket = open(&host, "/apps/streams/crowd");
    wait_until("all threads have begun", || counts() == json!([8, 4]));
    drop(socket);
    wait_until("all threads have ended", || counts() == json!([8, 8]));
}

#[test]
fn a_subprotocol_is_agreed_on() {
    let host = host();
    for (app, _) in APPS {
        let path = format!("/apps/{app}/ws");
        let (_, response) = open_with(&host, &path, &[("sec-websocket-protocol", "soap, chat")]).unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "chat", "{app}");
        let (_, response) = open_with(&host, &path, &[]).unwrap();
        assert!(!response.headers().contains_key("sec-websocket-protocol"), "{app}");
    }
}

#[test]
fn each_side_closes_with_a_code() {
    let host = host();
    for (app, _) in APPS {
        let mut socket = open(&host, &format!("/apps/{app}/ws"));
        socket.send(Message::text("bye")).unwrap();
        let frame = close_of(&mut socket).unwrap();
        assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4000, "as you wish"), "{app}");
        while socket.read().is_ok() {}

        let mut socket = open(&host, &format!("/apps/{app}/ws"));
        socket.close(Some(CloseFrame { code: 4321.into(), reason: "enough".into() })).unwrap();
        assert_eq!(close_of(&mut socket).map(|frame| frame.code.into()), Some(4321), "{app}");
    }
    wait_until("the app has seen the close", || {
        host.get("/apps/streams/closes").json() == json!(["4321 enough"])
    });
}

#[test]
fn a_client_that_leaves_ends_the_handler() {
    let host = host();
    for (app, _) in APPS {
        let mut socket = open(&host, &format!("/apps/{app}/ws"));
        socket.send(Message::text("x")).unwrap();
        socket.read().unwrap();
        let before: usize = host.get(&format!("/apps/{app}/dropped")).text().parse().unwrap();
        drop(socket);
        let begun = Instant::now();
        wait_until("the handler is gone", || {
            host.get(&format!("/apps/{app}/dropped")).text() == (before + 1).to_string()
        });
        // Earlier than a ping would find it out.
        assert!(begun.elapsed() < Duration::from_secs(10), "{app}");
    }
}

#[test]
fn what_is_no_websocket_message_closes_it() {
    use tungstenite::protocol::frame::Frame;
    use tungstenite::protocol::frame::coding::{Data, OpCode};
    let host = host();
    let mut socket = open(&host, "/apps/streams/ws");
    socket.send(Message::Frame(Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true))).unwrap();
    assert_eq!(close_of(&mut socket).map(|frame| frame.code.into()), Some(1007));

    let mut socket = open(&host, "/apps/streams/ws");
    socket.send(Message::Frame(Frame::message("x", OpCode::Data(Data::Continue), true))).unwrap();
    assert_eq!(told(&mut socket), (1002, "WebSocket protocol error".to_owned()));
    assert_eq!(host.get("/apps/streams/zeros/0").status, 200);
}

#[test]
fn a_message_has_the_limit_of_a_body_that_is_held_in_memory() {
    let host =
        Host::start(json!([{ "name": "streams", "path": library("streams"), "body_limit": 1000 }]), &[]);
    let mut socket = open(&host, "/apps/streams/ws");
    socket.send(Message::binary(vec![1; 1000])).unwrap();
    assert_eq!(socket.read().unwrap().len(), 1000);
    socket.send(Message::binary(vec![1; 1001])).unwrap();
    assert_eq!(close_of(&mut socket).map(|frame| frame.code.into()), Some(1009));
}

#[test]
fn a_handler_that_panics_closes_its_websocket_only() {
    let host = host();
    let mut other = open(&host, "/apps/streams/ws");
    let mut socket = open(&host, "/apps/streams/ws");
    socket.send(Message::text("panic")).unwrap();
    assert_eq!(told(&mut socket), (1011, "the app failed".to_owned()));
    other.send(Message::text("still here")).unwrap();
    assert_eq!(other.read().unwrap(), Message::text("still here"));
    host.wait_for_log(&["a WebSocket's handler panics"]);
}

#[test]
fn what_is_no_handshake_is_told() {
    let host = host();
    let reply = host.get("/apps/streams/ws");
    assert_eq!(reply.status, 426, "{}", reply.text());
    assert_eq!(host.get("/apps/axum-app/ws").status, 400);
    // A handshake that no route answers is answered as any request.
    for path in ["/apps/streams/zeros/1", "/apps/axum-app/zeros/1"] {
        match open_with(&host, path, &[]) {
            Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 200, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[test]
fn a_slow_reader_holds_only_its_own_handler_up() {
    let host = host();
    let mut slow = open(&host, "/apps/streams/ws");
    assert_eq!(host.get("/apps/streams/zeros/0").status, 200);
    let before = host.resident_kib();
    for _ in 0..100 {
        slow.send(Message::text("send 1000000")).unwrap();
    }
    let mut quick = open(&host, "/apps/streams/ws");
    for _ in 0..100 {
        quick.send(Message::text("quick")).unwrap();
        assert_eq!(quick.read().unwrap(), Message::text("quick"));
    }
    let after = host.resident_kib();
    assert!(after < before + 30_000, "{before} KiB grew to {after} KiB");
    for _ in 0..100 {
        assert_eq!(slow.read().unwrap().len(), 1_000_000);
    }
}

#[test]
fn open_websockets_are_told_that_their_app_is_replaced() {
    let host = host();
    for (app, before) in APPS {
        let mut socket = open(&host, &format!("/apps/{app}/ws"));
        socket.send(Message::text("x")).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text(format!("{before}x")));
        // A byte more is another library that does the same.
        let mut other = std::fs::read(library(app)).unwrap();
        other.push(0);
        host.replace(&format!("lib{app}.so"), other);
        assert_eq!(close_of(&mut socket).map(|frame| frame.code.into()), Some(1012), "{app}");
        while socket.read().is_ok() {}
        let mut again = open(&host, &format!("/apps/{app}/ws"));
        again.send(Message::text("y")).unwrap();
        assert_eq!(again.read().unwrap(), Message::text(format!("{before}y")));
        wait_until("the first generation is gone", || {
            let mapped = host.mapped();
            mapped.iter().filter(|path| path.to_string_lossy().contains(app)).count() == 1
        });
    }
}

#[test]
fn what_has_no_end_is_ended_with_the_host() {
    let mut host = host();
    let mut sockets = APPS.map(|(app, _)| open(&host, &format!("/apps/{app}/ws")));
    let mut events = ["/apps/streams/events", "/apps/axum-app/ticks"].map(|path| {
        let mut connection = host.connect();
        connection.send(&Call::get(path)).unwrap();
        assert_eq!(connection.head().unwrap().status, 200);
        connection
    });
    let begun = Instant::now();
    host.signal(libc::SIGTERM);
    for socket in &mut sockets {
        assert_eq!(close_of(socket).map(|frame| frame.code.into()), Some(1012));
        while socket.read().is_ok() {}
    }
    for connection in &mut events {
        while connection.chunk().unwrap().is_some() {}
    }
    let ended = host.ended();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[test]
fn a_thousand_websockets_hear_what_is_told() {
    support::allow_many_files();
    let host = host();
    let mut sockets: Vec<_> = (0..1000).map(|_| open(&host, "/apps/streams/hear")).collect();
    for round in 0..3 {
        let text = format!("round {round}");
        assert_eq!(host.call(&Call::post("/apps/streams/tell", text.clone())).text(), "1000");
        for socket in &mut sockets {
            assert_eq!(socket.read().unwrap(), Message::text(text.clone()));
        }
    }
    drop(sockets);
    wait_until("all are closed", || host.get("/apps/streams/open").text() == "0");
}

/// A handshake with these lines after those that each has.
fn handshake(host: &Host, path: &str, lines: &str) -> support::Reply {
    let mut connection = host.connect();
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n{lines}\r\n");
    connection.write(head.as_bytes()).unwrap();
    connection.head().unwrap()
}

#[test]
fn a_handshake_has_one_version_and_one_key() {
    let host = host();
    let version = "sec-websocket-version: 13\r\n";
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (app, _) in APPS {
        let path = format!("/apps/{app}/ws");
        let accepted = handshake(&host, &path, &format!("{version}{key}"));
        assert_eq!(accepted.status, 101, "{app}");
        assert_eq!(accepted.header("sec-websocket-accept").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        for lines in [
            key.to_owned(),
            format!("sec-websocket-version: 12\r\n{key}"),
            format!("sec-websocket-version: 13, 12\r\n{key}"),
            format!("{version}{version}{key}"),
        ] {
            let refused = handshake(&host, &path, &lines);
            assert_eq!(refused.status, 426, "{lines}");
            assert_eq!(refused.header("sec-websocket-version").as_deref(), Some("13"));
            assert_eq!(refused.header("upgrade").as_deref(), Some("websocket"));
        }
        for lines in [
            version.to_owned(),
            format!("{version}{key}{key}"),
            format!("{version}sec-websocket-key: \r\n"),
            format!("{version}sec-websocket-key: dGhlIHNhbXBsZQ==\r\n"),
            format!("{version}sec-websocket-key: not base64 of any kind\r\n"),
            format!("{version}sec-websocket-key: dGhlIHNhbXBsZSBub25jZTE=\r\n"),
        ] {
            assert_eq!(handshake(&host, &path, &lines).status, 400, "{lines}");
        }
    }
}

#[test]
fn what_an_app_says_of_the_handshake_itself_is_left_out() {
    let app = json!({ "name": "bad", "path": "libbad.so" });
    let host =
        Launch::serve(json!([app])).write("libbad.so", support::patched("misbehave", "by-hand")).start();
    let (mut socket, response) = open_with(&host, "/apps/bad/websocket", &[]).unwrap();
    assert_eq!(response.headers().get_all("sec-websocket-accept").iter().count(), 1);
    assert!(!response.headers().contains_key("sec-websocket-extensions"));
    assert!(!response.headers().contains_key("sec-websocket-version"));
    assert_eq!(response.headers()["x-own"], "1");
    let (code, reason) = told(&mut socket);
    assert_eq!(code, 4000);
    assert!(reason.len() == 123 && reason.chars().all(|c| c == 'é' || c == 'x'), "{reason}");
    // What was not asked for is no empty answer.
    let reply = host.get("/apps/bad/websocket");
    reply.problem(426, "upgrade-required");
    assert_eq!(reply.header("sec-websocket-version").as_deref(), Some("13"));
    assert_eq!(host.get("/apps/bad/").text(), "by hand");
}

#[test]
fn a_ping_that_is_too_long_is_not_sent() {
    let app = json!({ "name": "bad", "path": "libbad.so" });
    let host =
        Launch::serve(json!([app])).write("libbad.so", support::patched("misbehave", "by-hand")).start();
    let (mut socket, _) = open_with(&host, "/apps/bad/websocket?ping=125", &[]).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Ping(vec![7; 125].into()));
    let (mut socket, _) = open_with(&host, "/apps/bad/websocket?ping=126", &[]).unwrap();
    assert_eq!(told(&mut socket), (1011, "the app sent a ping or pong longer than 125 bytes".to_owned()));
}
