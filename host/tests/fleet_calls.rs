//! Requests to apps that other hosts of a fleet have.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod installed;
mod nats;
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nats::Nats;
use serde_json::{Value, json};
use support::{Call, Connection, Host, Load, Reply, library, wait_until};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

fn program() -> Option<PathBuf> {
    installed::all(["nats-server"]).map(|[program]| program)
}

/// An app of this name with the library of a fixture.
fn app(name: &str, fixture: &str) -> Value {
    json!({ "name": name, "path": library(fixture) })
}

/// A host of this name with these apps, which has joined.
fn host(nats: &Nats, name: &str, apps: Value) -> Host {
    let host = nats.launch(name, json!({ "apps": apps })).args(["--admin", "127.0.0.1:0"]).start();
    host.wait_for_log(&["joined the fleet default as", name]);
    host
}

/// Waits until a request gets this status.
#[track_caller]
fn wait_for_status(on: &Host, path: &str, status: u16) {
    wait_until(&format!("{path} has the status {status}"), || on.get(path).status == status);
}

/// What a host counts of requests to an app on other hosts: a sample of `atoll_fleet_requests_NAME` with more labels.
fn counted(on: &Host, app: &str, name: &str, more: &str) -> u64 {
    let text = Connection::open(on.admin()).unwrap().call(&Call::get("/metrics")).unwrap().text();
    let sample = format!("atoll_fleet_requests_{name}{{app=\"{app}\"{more}}} ");
    text.lines().find_map(|line| line.strip_prefix(&sample)).map_or(0, |value| value.parse().unwrap())
}

fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

fn rpc(app: &str, body: &Value) -> Call {
    Call::post(&format!("/rpc/{app}"), body.to_string()).header("content-type", "application/json")
}

/// Calls a method over HTTP; what is answered.
#[track_caller]
fn call(on: &Host, app: &str, method: &str, params: Value) -> Value {
    let reply = on.call(&rpc(app, &json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 })));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

fn open(on: &Host, path: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(on.address()).unwrap();
    stream.set_read_timeout(Some(support::LIMIT)).unwrap();
    tungstenite::client::client(format!("ws://{}{path}", on.address()), stream).unwrap().0
}

/// Sends a body in chunks, and reads it as it comes back.
fn echoed(on: &Host, path: &str, body: &[u8]) -> Vec<u8> {
    let mut connection = on.connect();
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    connection.write(head.as_bytes()).unwrap();
    let mut writer = connection.duplicate();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for chunk in body.chunks(100_000) {
                write!(writer, "{:x}\r\n", chunk.len()).unwrap();
                writer.write_all(chunk).unwrap();
                writer.write_all(b"\r\n").unwrap();
            }
            writer.write_all(b"0\r\n\r\n").unwrap();
        });
        connection.receive("POST").unwrap().body
    })
}

#[test]
fn http_of_any_kind_reaches_an_app_on_another_host() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let mut rpc = app("rpc", "rpc");
    rpc.as_object_mut()
        .unwrap()
        .extend(json!({ "server_timing": true, "app_header": true }).as_object().unwrap().clone());
    let limited = json!({ "name": "limited", "path": library("rpc"), "rate": 1 });
    let b = host(&nats, "b", json!([rpc, limited, app("streams", "streams"), app("mirror", "axum-app")]));
    let a = host(&nats, "a", json!([]));
    wait_for_status(&a, "/apps/rpc/empty", 204);

    let asked = Call::new("PUT", "/apps/rpc/seen/x%20y?q=1&r=%2F").header("x-asked", b"caf\xe9").body("abc");
    let reply = a.call(&asked.header("x-request-id", "from-outside"));
    let seen = reply.json();
    let expected = json!(["PUT", "/seen/x%20y", "q=1&r=%2F", "/apps/rpc", "from-outside", 3]);
    let found = ["method", "path", "query", "prefix", "request_id", "body"].map(|field| seen[field].clone());
    assert_eq!(json!(found), expected, "{seen}");
    assert_eq!(seen["headers"]["x-asked"], "café");
    assert!((1..=30_000).contains(&seen["left_ms"].as_u64().unwrap()), "{seen}");
    // The host that has it reports itself.
    assert!(reply.header("x-atoll-app").unwrap().ends_with("#1"), "{reply:?}");
    assert!(reply.header("server-timing").unwrap().contains("app;dur="), "{reply:?}");

    let body = bytes(20 << 20);
    let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
    let counted = a.post("/apps/streams/count", body.clone());
    assert_eq!(counted.text(), format!("{} {sum}", 20 << 20));
    assert!(echoed(&a, "/apps/streams/echo", &body) == body);
    assert_eq!(a.get("/apps/streams/zeros/20").body.len(), 20 << 20);
    let whole = a.get("/apps/rpc/whole?size=300000");
    assert_eq!((whole.header("content-length").as_deref(), whole.body.len()), (Some("300000"), 300_000));
    assert_eq!(a.call(&Call::new("HEAD", "/apps/rpc/whole?size=5")).header("content-length").unwrap(), "5");

    a.get("/apps/rpc/error/418").problem(418, "app-error");
    a.get("/apps/rpc/panic").problem(500, "app-panicked");
    b.wait_for_log(&["this handler panics"]);
    a.get("/apps/streams/ws").problem(426, "app-error");
    // The host that has the app admits requests to it.
    wait_for_status(&a, "/apps/limited/empty", 204);
    let limited = (0..20).map(|_| a.get("/apps/limited/empty")).find(|reply| reply.status != 204).unwrap();
    limited.problem(429, "rate-limited");
    assert!(limited.header("retry-after").is_some(), "{limited:?}");
    let unknown = a.get("/apps/stream/").problem(404, "unknown-app");
    assert!(unknown["detail"].as_str().unwrap().contains("Did you mean `streams`?"), "{unknown}");

    let mut mirrored = TcpStream::connect(a.address()).unwrap();
    mirrored.set_read_timeout(Some(support::LIMIT)).unwrap();
    let head = "POST /apps/mirror/mirror HTTP/1.1\r\nhost: a\r\nconnection: close\r\nte: trailers\r\n";
    write!(mirrored, "{head}transfer-encoding: chunked\r\n\r\n3\r\none\r\n0\r\nx-late: 1\r\n\r\n").unwrap();
    let mut answer = String::new();
    mirrored.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\n3\r\none\r\n0\r\nx-late: 1\r\n\r\n"), "{answer}");
}

#[test]
fn what_does_not_fit_into_a_message_of_nats_is_sent_in_several() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nats.conf");
    std::fs::write(&config, "max_payload: 4096\n").unwrap();
    let nats = Nats::start_with(&program, &["-c", &config.display().to_string()]);
    let _b = host(&nats, "b", json!([app("rpc", "rpc"), app("streams", "streams")]));
    let a = host(&nats, "a", json!([]));
    wait_for_status(&a, "/apps/streams/open", 200);
    let body = bytes(1 << 20);
    assert!(echoed(&a, "/apps/streams/echo", &body) == body);
    assert_eq!(a.get("/apps/rpc/whole?size=60000").body.len(), 60_000);
    let large = json!(["x".repeat(300_000)]);
    assert_eq!(call(&a, "rpc", "echo", large.clone())["result"], large);
    let long = a.call(&Call::get("/apps/rpc/seen/x").header("x-long", "y".repeat(10_000))).json();
    assert_eq!(long["headers"]["x-long"].as_str().unwrap().len(), 10_000);
    let mut socket = open(&a, "/apps/streams/ws");
    socket.send(Message::binary(bytes(100_000))).unwrap();
    assert!(socket.read().unwrap() == Message::binary(bytes(100_000)));
}

#[test]
fn streams_and_websockets_reach_an_app_on_another_host() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let b = host(&nats, "b", json!([app("streams", "streams")]));
    let a = host(&nats, "a", json!([]));
    wait_for_status(&a, "/apps/streams/open", 200);

    let mut events = a.connect();
    events.send(&Call::get("/apps/streams/events")).unwrap();
    assert_eq!(events.head().unwrap().header("content-type").unwrap(), "text/event-stream");
    wait_until("the stream is open", || a.get("/apps/streams/open").text() == "1");
    a.post("/apps/streams/tell", "news");
    let event = String::from_utf8(events.chunk().unwrap().unwrap()).unwrap();
    assert!(event.contains("data: news"), "{event}");

    let mut socket = open(&a, "/apps/streams/ws");
    socket.send(Message::text("żółw")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("żółw"));
    for size in [0, 65_536, 3 << 20] {
        socket.send(Message::binary(bytes(size))).unwrap();
        assert!(socket.read().unwrap() == Message::binary(bytes(size)), "{size}");
    }
    socket.send(Message::text("bye")).unwrap();
    let Message::Close(Some(close)) = socket.read().unwrap() else { panic!("it closes") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4000, "as you wish"));
    let mut socket = open(&a, "/apps/streams/ws");
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    wait_until("the app gets the close", || a.get("/apps/streams/closes").json() == json!(["1005 "]));

    // A client that leaves ends the stream there.
    drop(events);
    a.post("/apps/streams/tell", "more");
    wait_until("the app drops the stream", || a.get("/apps/streams/dropped").text() == "1");

    // The end of the host that has it, in the middle.
    let mut socket = open(&a, "/apps/streams/ws");
    let ended = std::thread::spawn(move || b.stop());
    let Message::Close(Some(close)) = socket.read().unwrap() else { panic!("it closes") };
    assert_eq!(u16::from(close.code), 1012, "{close}");
    drop(socket);
    assert!(ended.join().unwrap().status.success());
}

#[test]
fn apps_call_each_other_across_hosts() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let b = host(&nats, "b", json!([app("b", "rpc")]));
    let a = host(&nats, "a", json!([app("a", "rpc")]));
    wait_for_status(&a, "/apps/b/empty", 204);
    wait_for_status(&b, "/apps/a/empty", 204);
    let to =
        |app: &str, method: &str, params: Value| json!({ "app": app, "method": method, "params": params });

    // From outside, alone and in a batch.
    assert_eq!(call(&a, "b", "subtract", json!([42, 23]))["result"], 19);
    assert_eq!(call(&a, "b", "missing", json!([]))["error"]["code"], -32601);
    let one =
        |id: u64, method: &str| json!({ "jsonrpc": "2.0", "method": method, "params": [1, 2], "id": id });
    let batch = a.call(&rpc("b", &json!([one(1, "sum"), one(2, "get_data"), one(3, "nothing")]))).json();
    assert_eq!((&batch[0]["result"], &batch[2]["error"]["code"]), (&json!(3), &json!(-32601)), "{batch}");
    let large = json!(["x".repeat(2 << 20)]);
    assert_eq!(call(&a, "b", "echo", large.clone())["result"], large);

    // From app to app.
    let forward = |method, params| call(&a, "a", "forward", to("b", method, params));
    assert_eq!(forward("subtract", json!([42, 23]))["result"], 19);
    assert_eq!(
        forward("fail", json!([]))["error"],
        json!({ "code": 7, "message": "out of stock", "data": { "left": 0 } })
    );
    let fetch =
        json!({ "app": "b", "path": "/seen/x?q=1", "headers": [["x-asked", "yes"]], "size": 100_000 });
    let request = json!({ "jsonrpc": "2.0", "method": "get", "params": fetch, "id": 1 });
    let fetched = a.call(&rpc("a", &request).header("x-request-id", "from-outside")).json();
    let seen: Value = serde_json::from_str(fetched["result"]["text"].as_str().unwrap()).unwrap();
    let found = ["request_id", "body", "query", "method"].map(|field| seen[field].clone());
    assert_eq!(json!(found), json!(["from-outside", 100_000, "q=1", "POST"]), "{seen}");
    // The id of the request is in the logs of both hosts.
    let fails =
        json!({ "jsonrpc": "2.0", "method": "get", "params": { "app": "b", "path": "/panic" }, "id": 1 });
    let failed = a.call(&rpc("a", &fails).header("x-request-id", "of-both")).json();
    assert_eq!(failed["error"]["code"], -32001, "{failed}");
    [&a, &b].iter().for_each(|host| drop(host.wait_for_log(&["of-both", "this handler panics"])));

    // A cycle over both.
    let cycle = call(&a, "a", "forward", to("b", "forward", to("a", "sum", json!([1]))));
    assert_eq!(cycle["error"]["code"], -32006, "{cycle}");
    assert!(cycle["error"]["message"].as_str().unwrap().contains("a → b → a"), "{cycle}");
    let unknown = call(&a, "a", "forward", to("c", "sum", json!([])));
    assert_eq!(unknown["error"]["code"], -32004, "{unknown}");
}

#[test]
fn a_request_ends_with_its_deadline_its_client_and_its_host() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let mut b = host(&nats, "b", json!([app("rpc", "rpc"), app("streams", "streams")]));
    let a = host(&nats, "a", json!([{ "name": "short", "path": library("rpc"), "deadline_ms": 300 }]));
    wait_for_status(&a, "/apps/rpc/empty", 204);
    let counts = |field: &str| call(&a, "rpc", "counts", json!([]))["result"][field].as_u64().unwrap();

    // The deadline of the caller.
    let slow = json!({ "app": "rpc", "method": "slow" });
    assert_eq!(call(&a, "short", "forward", slow)["error"]["code"], -32005);
    wait_until("the app drops the call", || counts("dropped") == 1);
    // The client leaves.
    let mut client = a.connect();
    client.send(&Call::get("/apps/rpc/slow")).unwrap();
    wait_until("the app has the request", || counts("waiting") == 1);
    drop(client);
    wait_until("the app drops the request", || counts("dropped") == 2);

    // The host dies in the middle.
    let mut clients = [(); 3].map(|()| a.connect());
    clients[0].send(&Call::get("/apps/rpc/slow")).unwrap();
    clients[1].send(&rpc("rpc", &json!({ "jsonrpc": "2.0", "method": "slow", "id": 1 }))).unwrap();
    clients[2].send(&Call::get("/apps/streams/events")).unwrap();
    assert_eq!(clients[2].head().unwrap().status, 200);
    wait_until("the app has the requests", || counts("waiting") == 2);
    wait_until("the host knows who has them", || counted(&a, "rpc", "pending", ",state=\"taken\"") == 2);
    b.signal(libc::SIGKILL);
    b.ended();
    let begun = Instant::now();
    let gone = clients[0].receive("GET").unwrap().problem(502, "bad-gateway");
    assert!(gone["detail"].as_str().unwrap().contains("may have taken effect"), "{gone}");
    let error = clients[1].receive("POST").unwrap().json()["error"].clone();
    assert_eq!(error["code"], -32603, "{error}");
    assert!(clients[2].chunk().is_err(), "it is incomplete");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(counted(&a, "rpc", "failed_total", ",reason=\"host_gone\""), 2);

    // Nobody has it any more, as long as the host is known.
    let begun = Instant::now();
    let reply = a.get("/apps/rpc/empty");
    reply.problem(503, "unavailable");
    assert_eq!(reply.header("retry-after").as_deref(), Some("5"));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(counted(&a, "rpc", "failed_total", ",reason=\"no_host\""), 1);
    assert_eq!(
        ["asked", "taken"].map(|state| counted(&a, "rpc", "pending", &format!(",state=\"{state}\""))),
        [0, 0]
    );
}

#[test]
fn a_request_that_a_host_has_not_taken_goes_to_another_one_if_that_is_safe() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let apps = || json!([app("rpc", "rpc")]);
    let (mut b, c) = (host(&nats, "b", apps()), host(&nats, "c", apps()));
    let a = host(&nats, "a", json!([]));
    nats.wait_for_hosts(&a, &["a", "b", "c"]);
    wait_for_status(&a, "/apps/rpc/empty", 204);
    // Until both are known.
    let served = |host: &Host| host.get("/apps/rpc/empty").status;
    assert_eq!([served(&b), served(&c)], [204, 204]);
    wait_until("the requests go to both", || {
        let hosts = nats::status(&a);
        let on = hosts["apps"][0]["hosts"].as_array().unwrap().clone();
        on.len() == 2 && on.iter().all(|host| host["phase"] == "serving")
    });

    let [before, retried] = ["sent_total", "retried_total"].map(|name| counted(&a, "rpc", name, ""));
    b.signal(libc::SIGSTOP);
    let send = |call: &Call| {
        let mut client = a.connect();
        client.send(call).unwrap();
        client
    };
    let safe: Vec<_> = (0..16).map(|_| send(&Call::get("/apps/rpc/whole?size=9"))).collect();
    let unsafe_ones: Vec<_> = (0..16).map(|_| send(&Call::post("/apps/rpc/seen/x", "body"))).collect();
    wait_until("they are sent", || counted(&a, "rpc", "sent_total", "") == before + 32);
    // NATS takes what this host sends in order: with the answer to another request, it has taken all of them.
    assert_eq!(a.get("/apps/rpc/empty").status, 204);
    b.signal(libc::SIGKILL);
    b.ended();
    for mut client in safe {
        assert_eq!(client.receive("GET").unwrap().status, 200);
    }
    let statuses: Vec<u16> =
        unsafe_ones.into_iter().map(|mut client| client.receive("POST").unwrap().status).collect();
    assert!(statuses.contains(&200) && statuses.contains(&502), "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 502].contains(status)), "{statuses:?}");
    let lost = statuses.iter().filter(|status| **status == 502).count();
    assert_eq!(counted(&a, "rpc", "failed_total", ",reason=\"host_gone\""), lost as u64);
    assert!(counted(&a, "rpc", "retried_total", "") > retried);
}

#[test]
fn a_request_to_another_host_is_seen_in_the_log_and_the_metrics() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let timed = json!({ "name": "rpc", "path": library("rpc"), "server_timing": true, "app_header": true });
    let b = host(&nats, "b", json!([timed, app("short", "rpc")]));
    // It cannot start here, and has settings here.
    let apps = json!([{ "name": "rpc", "path": "missing", "server_timing": true, "deadline_ms": 300 }]);
    let arguments = ["--admin", "127.0.0.1:0", "--log-format", "json", "--access-log"];
    let a = nats.launch("a", json!({ "apps": apps })).args(arguments).start();
    wait_until("it is asked elsewhere", || a.get("/apps/rpc/empty").status == 204);
    let line = |id: &str| -> Value {
        serde_json::from_str(&a.wait_for_log(&["\"access\"", &format!("\"{id}\"")])).unwrap()
    };
    let sent = |call: Call, id: &str| a.call(&call.header("x-request-id", id));

    let [sent_before, taken_before] =
        [(&a, "sent_total"), (&b, "received_total")].map(|(host, name)| counted(host, "rpc", name, ""));
    let reply = sent(Call::get("/apps/rpc/empty"), "one");
    let found = line("one");
    assert_eq!(
        (&found["host"], &found["generation"], &found["app"]),
        (&json!("b"), &Value::Null, &json!("rpc"))
    );
    assert!(found["handler_ms"].as_f64().unwrap() > 0.0, "{found}");
    let times = reply.header_bytes("server-timing");
    let times: Vec<_> = times.iter().map(|value| str::from_utf8(value).unwrap()).collect();
    assert!(times.iter().any(|value| value.starts_with("queue;dur=")), "{times:?}");
    let is_of_b = |value: &&str| value.starts_with("fleet;dur=") && value.ends_with(";desc=\"b\"");
    assert!(times.iter().any(is_of_b), "{times:?}");
    assert!(reply.header("x-atoll-app").unwrap().ends_with("#1"), "{reply:?}");
    // One that the other host does not answer in time.
    sent(Call::get("/apps/rpc/slow"), "two").problem(504, "deadline-exceeded");
    let found = line("two");
    assert_eq!((&found["host"], &found["status"]), (&json!("b"), &json!(504)));
    assert!(found["handler_ms"].as_f64().unwrap() > 200.0, "{found}");
    let method = json!({ "jsonrpc": "2.0", "method": "subtract", "params": [3, 1], "id": 1 });
    assert_eq!(sent(rpc("rpc", &method), "three").json()["result"], 2);
    assert_eq!(line("three")["host"], "b");

    assert_eq!(counted(&a, "rpc", "sent_total", ""), sent_before + 3);
    assert_eq!(counted(&b, "rpc", "received_total", ""), taken_before + 3);
    let text = Connection::open(a.admin()).unwrap().call(&Call::get("/metrics")).unwrap().text();
    let count = format!("atoll_fleet_request_duration_seconds_count{{app=\"rpc\"}} {}", sent_before + 2);
    assert!(text.contains(&count), "{text}");
}

#[test]
fn a_host_that_shuts_down_or_is_replaced_loses_no_request() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let apps = || json!([app("rpc", "rpc")]);
    let (b, c) = (host(&nats, "b", apps()), host(&nats, "c", apps()));
    let a = host(&nats, "a", json!([]));
    nats.wait_for_hosts(&a, &["a", "b", "c"]);
    wait_for_status(&a, "/apps/rpc/empty", 204);
    let calls = [Call::get("/apps/rpc/empty"), Call::post("/apps/rpc/seen/x", "body")];
    let load = Load::of(a.address(), calls.iter().cycle().take(4).cloned().collect());
    wait_until("requests are answered", || load.answered() > 300);
    let goes_on = || {
        let before = load.answered();
        wait_until("more requests are answered", || load.answered() > before + 300);
    };
    // One is replaced by another process, and then the other one shuts down.
    let new = b.again("serve").args(["--takeover", "--admin", "127.0.0.1:0"]).start();
    new.wait_for_log(&["took over from process"]);
    goes_on();
    assert!(b.ended().status.success());
    // Before the other one shuts down, this one has to be there.
    new.wait_for_log(&["joined the fleet default as b"]);
    wait_until("it gets requests", || counted(&new, "rpc", "received_total", "") > 0);
    goes_on();
    assert!(c.stop().status.success());
    goes_on();
    let replies: Vec<Reply> = load.stop().into_iter().flatten().collect();
    let failed: Vec<_> = replies.iter().filter(|reply| !matches!(reply.status, 200 | 204)).collect();
    assert!(failed.is_empty(), "{} of {}: {:?}", failed.len(), replies.len(), failed[0].text());
}

#[test]
fn without_nats_local_apps_are_served_and_others_are_unavailable_at_once() {
    let Some(program) = program() else { return };
    let mut nats = Nats::start(&program);
    let _b = host(&nats, "b", json!([app("far", "rpc")]));
    let a = host(&nats, "a", json!([app("near", "rpc")]));
    wait_for_status(&a, "/apps/far/empty", 204);
    let mut pending = a.connect();
    pending.send(&Call::get("/apps/far/slow")).unwrap();
    wait_until("the app has the request", || call(&a, "far", "counts", json!([]))["result"]["waiting"] == 1);

    nats.stop();
    pending.receive("GET").unwrap().problem(502, "bad-gateway");
    for _ in 0..20 {
        assert_eq!(a.get("/apps/near/empty").status, 204);
    }
    let begun = Instant::now();
    let problem = a.get("/apps/far/empty").problem(503, "unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("no connection to NATS"), "{problem}");
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    nats.restart();
    wait_for_status(&a, "/apps/far/empty", 204);
}

#[test]
fn an_app_that_does_not_serve_here_is_served_elsewhere() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let routed = |fixture: &str| {
        let mut app = app("rpc", fixture);
        app["route"] = json!({ "path_prefix": "/shop" });
        json!([app])
    };
    let a = host(&nats, "a", routed("rpc"));
    assert_eq!(a.get("/shop/empty").status, 204);
    let _b = host(&nats, "b", routed("rpc"));
    nats.wait_for_hosts(&a, &["a", "b"]);
    let disable = |on: &Host, command| assert!(on.again(command).arg("rpc").run().status.success());
    disable(&a, "disable");
    wait_for_status(&a, "/apps/rpc/empty", 204);
    assert_eq!(a.get("/shop/empty").status, 204);
    disable(&a, "enable");
    wait_until("it serves here", || {
        a.get("/apps/rpc/empty");
        nats::status(&a)["apps"][0]["hosts"][0]["phase"] == "serving"
    });
}
