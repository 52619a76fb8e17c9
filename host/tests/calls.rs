//! Calls and requests from one app to another.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Call, Host, Launch, Load, library, patched, wait_until};

/// Apps of these names and settings, all from the same library.
fn host<const N: usize>(apps: [(&str, Value); N]) -> Host {
    let apps = apps.map(|(name, settings)| {
        let mut app = json!({ "name": name, "path": library("rpc") });
        app.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        app
    });
    Host::start(Value::from_iter(apps), &[])
}

fn two() -> Host {
    host([("a", json!({})), ("b", json!({}))])
}

fn request(app: &str, method: &str, params: &Value) -> Call {
    let body = json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 });
    Call::post(&format!("/rpc/{app}"), body.to_string()).header("content-type", "application/json")
}

/// Calls a method over HTTP; what is answered.
#[track_caller]
fn call(host: &Host, app: &str, method: &str, params: Value) -> Value {
    let reply = host.call(&request(app, method, &params));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// The parameters of `forward`.
fn to(app: &str, method: &str, params: Value) -> Value {
    json!({ "app": app, "method": method, "params": params })
}

fn counts(host: &Host, app: &str) -> Value {
    call(host, app, "counts", json!([]))["result"].clone()
}

#[test]
fn a_call_brings_the_others_result_or_its_error() {
    let host = two();
    let forward = |method, params| call(&host, "a", "forward", to("b", method, params));
    assert_eq!(forward("subtract", json!([42, 23]))["result"], 19);
    assert_eq!(forward("echo", json!({ "x": [null, 1.5, "é"] }))["result"], json!({ "x": [null, 1.5, "é"] }));
    assert_eq!(
        forward("fail", json!([]))["error"],
        json!({ "code": 7, "message": "out of stock", "data": { "left": 0 } })
    );
    assert_eq!(forward("refuse", json!([409]))["error"]["data"]["status"], 409);
    assert_eq!(forward("missing", json!([]))["error"]["code"], -32601);
    assert_eq!(forward("state.save", json!([]))["error"]["code"], -32601);
    assert_eq!(forward("subtract", json!([1]))["error"]["code"], -32602);
    // From a route as well, where its error is the handler's.
    assert_eq!(host.get("/apps/a/call/b/get_data").json(), json!(["hello", 5]));
    host.get("/apps/a/call/b/fail").problem(500, "app-error");
}

#[test]
fn a_panic_of_the_callees_is_an_error_of_the_call_alone() {
    let host = two();
    let error = call(&host, "a", "forward", to("b", "panic", json!([])))["error"].clone();
    assert_eq!(error["code"], -32001, "{error}");
    assert_eq!(call(&host, "a", "forward", to("b", "sum", json!([1, 2])))["result"], 3);
    assert_eq!(counts(&host, "b")["waiting"], 0);
}

#[test]
fn an_unknown_app_is_unavailable_with_a_hint() {
    let host = host([("a", json!({})), ("shop", json!({}))]);
    let error = call(&host, "a", "forward", to("shpo", "sum", json!([])))["error"].clone();
    assert_eq!(error["code"], -32004);
    assert!(error["message"].as_str().unwrap().contains("Did you mean `shop`?"), "{error}");
    assert!(error.get("data").is_none(), "another try is in vain: {error}");
}

#[test]
fn an_app_that_cannot_start_is_unavailable_for_a_time() {
    let host = host([("a", json!({})), ("broken", json!({ "path": "missing.so" }))]);
    let error = call(&host, "a", "forward", to("broken", "sum", json!([])))["error"].clone();
    assert_eq!(error["code"], -32004);
    assert!(error["data"]["retry_after_ms"].as_u64().unwrap() > 0, "{error}");
}

#[test]
fn a_request_reaches_the_other_app_as_from_outside() {
    let host = two();
    let headers = json!([["x-asked", "yes"], ["x-request-id", "its own"]]);
    let params = json!({ "app": "b", "path": "/seen/x%20y?q=1", "headers": headers, "size": 3 });
    let fetch = request("a", "get", &params)
        .header("x-request-id", "from-outside")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let answer = host.call(&fetch).json()["result"].clone();
    assert_eq!((&answer["status"], &answer["type"]), (&json!(200), &json!("application/json")));
    let seen: Value = serde_json::from_str(answer["text"].as_str().unwrap()).unwrap();
    let left = seen["left_ms"].as_u64().unwrap();
    assert!((1..=30_000).contains(&left), "{seen}");
    // The trace is the client's, and the host a step of it.
    let trace = seen["traceparent"].as_str().unwrap();
    assert!(trace.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && trace.ends_with("-01"), "{trace}");
    assert_eq!(
        seen,
        json!({
            "method": "POST",
            "path": "/seen/x%20y",
            "query": "q=1",
            "prefix": "/apps/b",
            "headers": { "x-asked": "yes", "x-request-id": "from-outside", "traceparent": trace },
            "peer": null,
            "request_id": "from-outside",
            "traceparent": trace,
            "left_ms": left,
            "body": 3,
        })
    );
}

#[test]
fn bodies_of_any_size_come_back_whole() {
    let host = host([("a", json!({ "body_limit": "2MiB" })), ("b", json!({}))]);
    let fetch = |path: String, size: Option<usize>| {
        call(&host, "a", "get", json!({ "app": "b", "path": path, "size": size }))
    };
    for size in [0, 1, 70_000, 1_500_000] {
        for path in ["whole", "streamed"] {
            let answer = fetch(format!("/{path}?size={size}"), None);
            assert_eq!(answer["result"]["length"], size, "{path}: {answer}");
        }
        let answer = fetch("/seen/".to_owned(), Some(size));
        let seen: Value = serde_json::from_str(answer["result"]["text"].as_str().unwrap()).unwrap();
        assert_eq!(seen["body"], size);
    }
    assert_eq!(fetch("/empty".to_owned(), None)["result"]["status"], 204);
    // A stream is held in memory whole, so it has a limit.
    let error = fetch("/streamed?size=3000000".to_owned(), None)["error"].clone();
    assert_eq!(error["code"], -32007, "{error}");
    assert!(error["message"].as_str().unwrap().contains("body_limit = 2097152"), "{error}");
    let error = fetch("/seen/".to_owned(), Some(9 << 20))["error"].clone();
    assert_eq!(error["code"], -32007, "{error}");
}

#[test]
fn a_handlers_error_is_an_answer_of_its_status() {
    let host = two();
    let fetch = |path: &str| call(&host, "a", "get", json!({ "app": "b", "path": path }));
    for (path, status) in [("/nowhere", 404), ("/error/409", 409), ("/error/503", 503)] {
        let answer = fetch(path)["result"].clone();
        assert_eq!(
            (&answer["status"], &answer["type"]),
            (&json!(status), &json!("application/problem+json"))
        );
        let problem: Value = serde_json::from_str(answer["text"].as_str().unwrap()).unwrap();
        assert_eq!(
            (&problem["type"], &problem["status"]),
            (&json!("urn:atoll:problem:app-error"), &json!(status))
        );
        // It may be sent on to a client.
        let tells = problem["detail"].as_str().unwrap().contains("the error's message");
        assert_eq!(tells, path == "/error/409", "{problem}");
    }
}

#[test]
fn a_request_without_an_answer_is_an_error() {
    let host = two();
    let fetch = |path: &str| call(&host, "a", "get", json!({ "app": "b", "path": path }));
    assert_eq!(fetch("nowhere")["error"]["code"], -32602, "no path");
    assert_eq!(fetch("/panic")["error"]["code"], -32001);
    host.wait_for_log(&["this handler panics"]);
    let headers = json!([
        ["connection", "upgrade"],
        ["upgrade", "websocket"],
        ["sec-websocket-version", "13"],
        ["sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="],
    ]);
    let error = call(&host, "a", "get", json!({ "app": "b", "path": "/socket", "headers": headers }));
    assert!(error["error"]["message"].as_str().unwrap().contains("WebSocket"), "{error}");
}

#[test]
fn the_first_deadline_holds_all_the_way() {
    let host = host([("a", json!({ "deadline_ms": 600 })), ("b", json!({})), ("c", json!({}))]);
    let seen = |params: Value| {
        let answer = call(&host, "a", "forward", params)["result"]["text"].clone();
        let seen: Value = serde_json::from_str(answer.as_str().unwrap()).unwrap();
        seen["left_ms"].as_u64().unwrap()
    };
    // Over two others.
    let left = seen(to("b", "get", json!({ "app": "c", "path": "/seen/" })));
    assert!(left <= 600, "{left}");
    // And not longer than the last one's own.
    let begun = Instant::now();
    let error = call(&host, "a", "forward", to("b", "forward", to("c", "slow", json!([]))))["error"].clone();
    assert_eq!(error["code"], -32005, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    wait_until("the last one's handler is dropped", || counts(&host, "c")["dropped"] == 1);
}

#[test]
fn the_callees_own_deadline_holds_if_it_is_shorter() {
    let host = host([("a", json!({})), ("b", json!({ "deadline_ms": 200 }))]);
    for (method, params) in
        [("forward", to("b", "slow", json!([]))), ("get", json!({ "app": "b", "path": "/slow" }))]
    {
        let error = call(&host, "a", method, params)["error"].clone();
        assert_eq!(error["code"], -32005, "{error}");
        assert!(error["message"].as_str().unwrap().contains("deadline_ms = 200"), "{error}");
    }
    wait_until("both handlers are dropped", || counts(&host, "b")["dropped"] == 2);
    // What an app does on nobody's behalf has no deadline but the callee's.
    let detached = json!({ "app": "b", "method": "slow", "detached": true });
    assert_eq!(call(&host, "a", "forward", detached)["error"]["code"], -32005);
}

#[test]
fn a_stream_that_is_open_has_no_deadline_to_carry_on() {
    let host = host([("a", json!({ "deadline_ms": 200 })), ("b", json!({ "deadline_ms": 400 }))]);
    wait_until("both are started", || ["a", "b"].iter().all(|app| !counts(&host, app).is_null()));
    // It is answered, and then calls.
    let text = host.get("/apps/a/stream-of/b/slow").text();
    assert!(text.starts_with("begun\n") && text.contains("deadline_ms = 400"), "{text}");
}

#[test]
fn a_call_that_comes_back_is_refused() {
    // With two workers the call would go to the other one: a cycle all the same.
    let host = host([("a", json!({ "workers": 2 })), ("b", json!({})), ("c", json!({}))]);
    let refused = |params: Value, way: &str| {
        let error = call(&host, "a", "forward", params)["error"].clone();
        assert_eq!(error["code"], -32006, "{error}");
        assert!(error["message"].as_str().unwrap().ends_with(way), "{error}");
    };
    refused(to("a", "sum", json!([])), "a → a");
    refused(to("b", "forward", to("a", "sum", json!([]))), "a → b → a");
    refused(to("b", "forward", to("c", "forward", to("a", "sum", json!([])))), "a → b → c → a");
    refused(to("b", "forward", to("c", "forward", to("b", "sum", json!([])))), "a → b → c → b");
    refused(to("b", "get", json!({ "app": "a", "path": "/seen/" })), "a → b → a");
    // By way of HTTP handlers, too.
    let detail = host.get("/apps/a/call/a/counts").problem(500, "app-error");
    assert!(!detail.to_string().contains('→'), "{detail}");
    host.wait_for_log(&["ERROR", "a → a"]);
    // What nobody waits for is the begin of a way.
    let detached = json!({ "app": "a", "method": "sum", "params": [1, 2], "detached": true });
    assert_eq!(call(&host, "a", "forward", to("b", "forward", detached))["result"], 3);
}

#[test]
fn a_caller_that_is_cancelled_has_its_calls_cancelled() {
    let host = host([("a", json!({})), ("b", json!({})), ("c", json!({}))]);
    for call in [
        request("a", "forward", &to("b", "forward", to("c", "slow", json!([])))),
        request("a", "forward", &to("b", "get", json!({ "app": "c", "path": "/slow" }))),
        Call::get("/apps/a/call/c/slow"),
    ] {
        let before = counts(&host, "c")["dropped"].as_u64().unwrap();
        let mut client = host.connect();
        client.send(&call).unwrap();
        wait_until("the last one waits", || counts(&host, "c")["waiting"] == 1);
        drop(client);
        wait_until("its handler is dropped", || counts(&host, "c")["dropped"] == before + 1);
    }
}

#[test]
fn a_caller_that_does_not_wait_any_more_has_that_call_cancelled() {
    let host = two();
    assert_eq!(call(&host, "a", "leave", json!(["b"]))["result"], Value::Null);
    wait_until("the callee's handler is dropped", || counts(&host, "b")["dropped"] == 1);
    assert_eq!(counts(&host, "b")["waiting"], 0);
}

#[test]
fn a_caller_that_is_replaced_has_its_calls_cancelled() {
    let launch = Launch::serve(json!([
        { "name": "a", "path": "liba.so", "drain_timeout_ms": 100, "stop_timeout_ms": 100 },
        { "name": "b", "path": library("rpc") },
    ]));
    let host = launch.write("liba.so", patched("rpc", "1")).start();
    let mut client = host.connect();
    let detached = json!({ "app": "b", "method": "slow", "detached": true });
    client.send(&request("a", "forward", &detached)).unwrap();
    wait_until("the callee waits", || counts(&host, "b")["waiting"] == 1);
    host.replace("liba.so", patched("rpc", "2"));
    wait_until("its handler is dropped", || counts(&host, "b")["dropped"] == 1);
}

#[test]
fn a_thousand_calls_at_once() {
    let host = host([("a", json!({ "queue": 2000 })), ("b", json!({ "queue": 2000 }))]);
    let batch = Value::from_iter((0..1_000).map(|n| {
        let params = to("b", "sum", json!([n, 1]));
        json!({ "jsonrpc": "2.0", "method": "forward", "params": params, "id": n })
    }));
    let call = Call::post("/rpc/a", batch.to_string()).header("content-type", "application/json");
    let answers = host.call(&call).json();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 1_000);
    for (number, answer) in (0..).zip(answers) {
        assert_eq!(answer["result"], number + 1, "{answer}");
    }
}

#[test]
fn a_full_inbox_of_the_callees_is_unavailable_for_a_moment() {
    let host = host([("a", json!({})), ("b", json!({ "queue": 1 }))]);
    let (entered, go) = (host.path("entered"), host.path("go"));
    let mut blocked = host.connect();
    blocked.send(&request("b", "block", &json!([entered, go]))).unwrap();
    wait_until("the callee's worker is blocked", || std::fs::exists(&entered).unwrap());

    // One of them waits in the inbox, so the other one is answered first.
    let (told, answers) = std::sync::mpsc::channel();
    for _ in 0..2 {
        let (mut connection, told) = (host.connect(), told.clone());
        std::thread::spawn(move || {
            let reply = connection.call(&request("a", "forward", &to("b", "sum", json!([1, 2])))).unwrap();
            told.send(reply.json()).unwrap();
        });
    }
    let refused = answers.recv_timeout(support::LIMIT).unwrap()["error"].clone();
    assert_eq!((&refused["code"], &refused["data"]), (&json!(-32004), &json!({ "retry_after_ms": 1000 })));
    assert!(refused["message"].as_str().unwrap().contains("queue = 1"), "{refused}");
    std::fs::write(go, "").unwrap();
    assert_eq!(answers.recv_timeout(support::LIMIT).unwrap()["result"], 3);
    assert_eq!(blocked.receive("POST").unwrap().json()["result"], Value::Null);
}

#[test]
fn a_notification_may_call_others() {
    let host = two();
    let body = json!({ "jsonrpc": "2.0", "method": "forward", "params": to("b", "update", json!([])) });
    let call = Call::post("/rpc/a", body.to_string()).header("content-type", "application/json");
    assert_eq!(host.call(&call).status, 204);
    assert_eq!(counts(&host, "b")["notified"], 1);
}

#[test]
fn a_callee_is_replaced_and_no_call_is_lost() {
    let launch = Launch::serve(json!([
        { "name": "a", "path": library("rpc") },
        { "name": "b", "path": "libb.so" },
    ]));
    let host = launch.write("libb.so", patched("rpc", "1")).start();
    assert_eq!(host.get("/apps/a/call/b/mark").json(), "1");
    let load = Load::start(host.address(), &["/apps/a/call/b/mark"; 4]);
    for version in 2..=8 {
        let before = load.answered();
        wait_until("the load goes on", || load.answered() > before + 20);
        host.replace("libb.so", patched("rpc", &version.to_string()));
        wait_until("the new one answers", || {
            host.get("/apps/a/call/b/mark").text() == format!("\"{version}\"")
        });
    }
    for replies in load.stop() {
        let mut newest = 1;
        for reply in replies {
            assert_eq!(reply.status, 200, "after version {newest}: {}", reply.text());
            let version: u32 = reply.json().as_str().unwrap().parse().unwrap();
            assert!(version >= newest, "{version} after {newest}");
            newest = version;
        }
    }
    // A call holds its callee no longer than it lasts.
    wait_until("the old ones are unloaded", || host.mapped().len() == 2);
}
