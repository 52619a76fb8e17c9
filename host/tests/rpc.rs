//! JSON-RPC 2.0 over HTTP: `POST /rpc/{app}`.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{Call, Host, Reply, library, wait_until};

fn host(settings: Value) -> Host {
    let mut app = json!({ "name": "rpc", "path": library("rpc") });
    app.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    Host::start(json!([app]), &[])
}

fn post(body: impl Into<Vec<u8>>) -> Call {
    Call::post("/rpc/rpc", body).header("content-type", "application/json")
}

#[track_caller]
fn send(host: &Host, body: &Value) -> Reply {
    host.call(&post(body.to_string()))
}

/// Calls a method; what is answered.
#[track_caller]
fn call(host: &Host, method: &str, params: Value) -> Value {
    let reply = send(host, &json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 }));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// The examples of the specification, section 7, in its order: what is sent, and what comes back.
const EXAMPLES: [(&str, &str); 15] = [
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}"#,
        r#"{"jsonrpc": "2.0", "result": 19, "id": 1}"#,
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}"#,
        r#"{"jsonrpc": "2.0", "result": -19, "id": 2}"#,
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}"#,
        r#"{"jsonrpc": "2.0", "result": 19, "id": 3}"#,
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}"#,
        r#"{"jsonrpc": "2.0", "result": 19, "id": 4}"#,
    ),
    (r#"{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}"#, ""),
    (r#"{"jsonrpc": "2.0", "method": "foobar"}"#, ""),
    (
        r#"{"jsonrpc": "2.0", "method": "foobar", "id": "1"}"#,
        r#"{"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "1"}"#,
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#,
        r#"{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}"#,
    ),
    (
        r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#,
        r#"{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}"#,
    ),
    (
        r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
            {"jsonrpc": "2.0", "method"]"#,
        r#"{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}"#,
    ),
    ("[]", r#"{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}"#),
    ("[1]", r#"[{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}]"#),
    (
        "[1,2,3]",
        r#"[{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
            {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
            {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}]"#,
    ),
    (
        r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
            {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
            {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
            {"foo": "boo"},
            {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
            {"jsonrpc": "2.0", "method": "get_data", "id": "9"}]"#,
        r#"[{"jsonrpc": "2.0", "result": 7, "id": "1"},
            {"jsonrpc": "2.0", "result": 19, "id": "2"},
            {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
            {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "5"},
            {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}]"#,
    ),
    (
        r#"[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
            {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]"#,
        "",
    ),
];

/// Without the `data` of errors, which the specification leaves to the server.
fn without_data(mut answer: Value) -> Value {
    let answers = match &mut answer {
        Value::Array(answers) => answers.as_mut_slice(),
        answer => std::slice::from_mut(answer),
    };
    for answer in answers {
        if let Some(error) = answer["error"].as_object_mut() {
            error.remove("data");
        } else {
            answer.as_object_mut().unwrap().remove("error");
        }
    }
    answer
}

#[test]
fn the_examples_of_the_specification() {
    let host = host(json!({}));
    for (sent, expected) in EXAMPLES {
        let reply = host.call(&post(sent));
        if expected.is_empty() {
            assert_eq!((reply.status, reply.text()), (204, String::new()), "{sent}");
            continue;
        }
        assert_eq!(reply.status, 200, "{sent}");
        assert_eq!(reply.header("content-type").as_deref(), Some("application/json"));
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(without_data(reply.json()), expected, "{sent}");
    }
    for (sent, why) in [("[", "EOF while parsing"), ("[]", "a batch must have at least one member")] {
        let error = host.call(&post(sent)).json()["error"].clone();
        assert!(error["data"].as_str().unwrap().starts_with(why), "{error}");
    }
    // `update`, `notify_hello` twice, `notify_sum`.
    assert_eq!(call(&host, "counts", json!([]))["result"]["notified"], 4);
}

#[test]
fn ids_and_results_come_back_as_they_are() {
    let host = host(json!({}));
    for id in ["1", "-7", "1.50", "12345678901234567890123", "1e3", "null", "\"\"", "\"\\u00e9\\\"\""] {
        let reply =
            host.call(&post(format!(r#"{{"jsonrpc":"2.0","method":"echo","params":[0],"id":{id}}}"#)));
        assert_eq!(reply.text(), format!(r#"{{"jsonrpc":"2.0","result":[0],"id":{id}}}"#));
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let host = host(json!({}));
    let error = call(&host, "foobar", json!([]))["error"].clone();
    assert!(error["data"].as_str().unwrap().contains("foobar"), "{error}");
    let error = call(&host, "subtract", json!(["x"]))["error"].clone();
    assert_eq!(error["code"], -32602);
    let error = call(&host, "fail", json!([]))["error"].clone();
    assert_eq!(error, json!({ "code": 7, "message": "out of stock", "data": { "left": 0 } }));
    let error = call(&host, "refuse", json!([404]))["error"].clone();
    assert_eq!(error, json!({ "code": -32000, "message": "the error's message", "data": { "status": 404 } }));
    // What goes wrong inside of an app is for the log.
    let error = call(&host, "refuse", json!([500]))["error"].clone();
    assert_eq!((&error["code"], &error["data"]["status"]), (&json!(-32000), &json!(500)));
    assert!(!error.to_string().contains("the error's message"), "{error}");
    host.wait_for_log(&["ERROR", "the method refuse failed: the error's message"]);
    let error = call(&host, "panic", json!([]))["error"].clone();
    assert_eq!(error["code"], -32001);
    assert!(!error.to_string().contains("this method panics"), "{error}");
    host.wait_for_log(&["ERROR", "the method panic panicked: this method panics"]);
    assert_eq!(call(&host, "sum", json!([1, 2]))["result"], 3);
}

#[test]
fn the_protocols_own_methods_are_not_found() {
    let host = host(json!({}));
    for method in ["rpc.discover", "http", "start", "stop", "cancel", "state.save", "call", "body.chunk"] {
        let answer = call(&host, method, json!({}));
        assert_eq!(answer["error"]["code"], -32601, "{method}: {answer}");
    }
}

#[test]
fn other_requests_are_refused_by_http() {
    let host = host(json!({ "body_limit": "1KiB" }));
    let get = host.get("/rpc/rpc");
    assert_eq!(get.problem(405, "method-not-allowed")["detail"], "JSON-RPC requires POST, not GET.");
    assert_eq!(get.header("allow").as_deref(), Some("POST, OPTIONS"));
    assert_eq!(host.call(&Call::new("OPTIONS", "/rpc/rpc")).status, 204);
    let body = r#"{"jsonrpc":"2.0","method":"sum","params":[1],"id":1}"#;
    host.call(&Call::post("/rpc/rpc", body)).problem(415, "unsupported-media-type");
    let typed = |kind: &str| Call::post("/rpc/rpc", body).header("content-type", kind);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "nonsense"] {
        let problem = host.call(&typed(kind)).problem(415, "unsupported-media-type");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("JSON-RPC requires the content-type application/json, "), "{detail}");
    }
    for kind in ["application/json; charset=utf-8", "application/json-rpc", "Application/JSONRequest"] {
        assert_eq!(host.call(&typed(kind)).json()["result"], 1, "{kind}");
    }
    let large = post(format!(r#"{{"jsonrpc":"2.0","method":"echo","params":["{}"]}}"#, "x".repeat(1024)));
    for call in [large.clone(), large.chunked(100)] {
        let problem = host.call(&call).problem(413, "body-too-large");
        assert!(problem["detail"].as_str().unwrap().contains("body_limit = 1024"), "{problem}");
    }
    let problem = host.post("/rpc/rcp", body).problem(404, "unknown-app");
    assert!(problem["detail"].as_str().unwrap().contains("Did you mean `rpc`?"), "{problem}");
    host.post("/rpc", body).problem(404, "not-found");
}

#[test]
fn the_members_of_a_batch_run_side_by_side() {
    let host = host(json!({ "deadline_ms": 1000 }));
    let slow = |id: u32| json!({ "jsonrpc": "2.0", "method": "slow", "params": [], "id": id });
    let sum = json!({ "jsonrpc": "2.0", "method": "sum", "params": [2, 3], "id": "s" });
    // Each has the deadline for itself: one after the other they would take five times as long.
    let begun = std::time::Instant::now();
    let answers = send(&host, &json!([slow(0), slow(1), sum, slow(2), slow(3), slow(4)])).json();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let codes: Vec<Value> =
        answers.as_array().unwrap().iter().map(|answer| answer["error"]["code"].clone()).collect();
    let late = json!(-32005);
    assert_eq!(codes, [late.clone(), late.clone(), Value::Null, late.clone(), late.clone(), late]);
    assert_eq!(answers[2]["result"], 5);
    assert!(answers[0]["error"]["message"].as_str().unwrap().contains("deadline_ms = 1000"), "{answers}");
    wait_until("the handlers are dropped", || call(&host, "counts", json!([]))["result"]["dropped"] == 5);
}

#[test]
fn a_batch_has_at_most_a_thousand_members() {
    let host = host(json!({ "queue": 2000 }));
    let batch = |size: u32| {
        Value::from_iter(
            (0..size).map(|n| json!({ "jsonrpc": "2.0", "method": "sum", "params": [n, 1], "id": n })),
        )
    };
    let answers = send(&host, &batch(1_000)).json();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 1_000);
    for (number, answer) in (0..).zip(answers) {
        assert_eq!(answer, &json!({ "jsonrpc": "2.0", "result": number + 1, "id": number }));
    }
    let refused = send(&host, &batch(1_001)).json();
    assert_eq!((&refused["error"]["code"], &refused["id"]), (&json!(-32600), &Value::Null));
    assert!(refused["error"]["data"].as_str().unwrap().contains("1000"), "{refused}");
}

#[test]
fn a_client_that_leaves_has_its_calls_cancelled() {
    let host = host(json!({}));
    let mut client = host.connect();
    let slow = json!({ "jsonrpc": "2.0", "method": "slow", "params": [], "id": 1 });
    client.send(&post(json!([slow, slow]).to_string())).unwrap();
    let counts = || call(&host, "counts", json!([]))["result"].clone();
    wait_until("both wait", || counts()["waiting"] == 2);
    drop(client);
    wait_until("both are dropped", || counts()["waiting"] == 0);
    assert_eq!(counts()["dropped"], 2);
}

#[test]
fn an_app_that_does_not_start_is_an_error_of_the_call() {
    let host = Host::start(json!([{ "name": "rpc", "path": "missing.so" }]), &[]);
    let error = call(&host, "sum", json!([1]))["error"].clone();
    assert_eq!(error["code"], -32004, "{error}");
    assert!(error["data"]["retry_after_ms"].as_u64().unwrap() > 0, "{error}");
}
