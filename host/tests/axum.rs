//! An ordinary axum program as an app.

mod support;

use serde_json::json;
use support::{Call, Host, Launch, library, wait_until};

fn host() -> Host {
    Host::start(json!([{ "name": "axum-app", "path": library("axum-app") }]), &[])
}

#[test]
fn extractors_state_and_nested_routers_work() {
    let host = host();
    let flip =
        Call::post("/apps/axum-app/flip", r#"{"x":1,"y":2}"#).header("content-type", "application/json");
    assert_eq!(host.call(&flip).json(), json!({ "x": 2, "y": 1 }));
    let bad = Call::post("/apps/axum-app/flip", r#"{"x":1}"#).header("content-type", "application/json");
    assert_eq!(host.call(&bad).status, 422);
    assert_eq!(host.get("/apps/axum-app/sum?x=40&y=2").text(), "42");
    assert_eq!(host.get("/apps/axum-app/nested/a/b%20c").text(), "a/b c");
    assert_eq!(host.get("/apps/axum-app/nowhere").status, 404);
    assert_eq!(host.call(&Call::post("/apps/axum-app/sum", "")).status, 405);
    let peer: std::net::SocketAddr = host.get("/apps/axum-app/peer").text().parse().unwrap();
    assert!(peer.ip().is_loopback());
    for n in 1..4 {
        assert_eq!(host.get("/apps/axum-app/visits").text(), n.to_string());
    }
    let head = host.call(&Call::new("HEAD", "/apps/axum-app/sum?x=1&y=2"));
    assert_eq!((head.status, head.header("content-length").as_deref()), (200, Some("1")));
}

#[test]
fn a_form_with_files_is_read() {
    let host = host();
    let large = "x".repeat(500_000);
    let body = format!(
        "--b\r\ncontent-disposition: form-data; name=\"small\"\r\n\r\nabc\r\n\
         --b\r\ncontent-disposition: form-data; name=\"large\"; filename=\"f\"\r\n\r\n{large}\r\n--b--\r\n"
    );
    for chunk in [None, Some(30_000)] {
        let call = Call::post("/apps/axum-app/upload", body.clone())
            .header("content-type", "multipart/form-data; boundary=b");
        let reply = host.call(&chunk.map_or(call.clone(), |size| call.chunked(size)));
        assert_eq!((reply.status, reply.text()), (200, "small: 3 bytes\nlarge: 500000 bytes\n".to_owned()));
    }
}

#[test]
fn middleware_works() {
    let host = host();
    let gzip = host.call(&Call::get("/apps/axum-app/gzip").header("accept-encoding", "gzip"));
    assert_eq!(gzip.header("content-encoding").as_deref(), Some("gzip"));
    assert!(gzip.body.len() < 1000);
    assert_eq!(host.get("/apps/axum-app/gzip").body.len(), 18_000);
    assert_eq!(host.get("/apps/axum-app/slow").status, 408);
    let preflight = Call::new("OPTIONS", "/apps/axum-app/flip")
        .header("origin", "https://example.com")
        .header("access-control-request-method", "POST");
    assert_eq!(host.call(&preflight).header("access-control-allow-origin").as_deref(), Some("*"));
}

#[test]
fn the_apps_runtime_is_whole() {
    let host = host();
    assert_eq!(host.get("/apps/axum-app/spawned").text(), "1 2 3");
    assert_eq!(host.get("/apps/axum-app/own-socket").text(), "true");
    assert_eq!(host.get("/apps/axum-app/sleep/5").text(), "slept");
}

#[test]
fn events_of_tracing_are_in_the_hosts_log() {
    let host = host();
    assert_eq!(host.get("/apps/axum-app/traced/words").text(), "traced");
    let line = host.wait_for_log(&["traced: words"]);
    assert!(line.contains("axum-app") && line.contains("answer=42"), "{line}");
}

#[test]
fn a_handler_that_panics_fails_its_request_only() {
    let host = host();
    let mut slow = host.connect();
    slow.send(&Call::get("/apps/axum-app/sleep/100")).unwrap();
    host.get("/apps/axum-app/panics").problem(500, "app-panicked");
    let report = host.wait_for_log(&["an axum handler panics"]);
    assert!(report.contains("panic"), "{report}");
    assert_eq!(slow.receive("GET").unwrap().text(), "slept");
    let handshake = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let call = Call::get("/apps/axum-app/panics");
    let call = handshake.iter().fold(call, |call, (name, value)| call.header(name, value));
    host.call(&call).problem(500, "app-panicked");
}

#[test]
fn a_deadline_drops_the_handler() {
    let host =
        Host::start(json!([{ "name": "axum-app", "path": library("axum-app"), "deadline_ms": 100 }]), &[]);
    // The deadline covers the app's start as well, which may take longer.
    wait_until("the app has started", || host.get("/apps/axum-app/begun").status == 200);
    host.get("/apps/axum-app/sleep/60000").problem(504, "deadline-exceeded");
    wait_until("the handler is dropped", || host.get("/apps/axum-app/dropped").text() == "1");
}

#[test]
fn reloads_lose_no_request_and_leave_nothing_behind() {
    let host =
        Launch::serve(json!([{ "name": "axum-app", "path": "libaxum-app.so" }])).library("axum-app").start();
    assert_eq!(host.get("/apps/axum-app/sum?x=1&y=1").text(), "2");
    let load = support::Load::start(host.address(), &["/apps/axum-app/sleep/2"; 4]);
    let mut library = std::fs::read(library("axum-app")).unwrap();
    for generation in 2..12 {
        // A byte more is another library that does the same.
        library.push(0);
        host.replace("libaxum-app.so", &library);
        host.wait_for_log(&[&format!("axum-app#{generation} is serving")]);
    }
    for reply in load.stop().into_iter().flatten() {
        assert_eq!((reply.status, reply.text()), (200, "slept".to_owned()));
    }
    wait_until("one library is left", || host.mapped().len() == 1);
    assert!(host.log_lines(&["pinned"]).is_empty(), "{}", host.log());
}
