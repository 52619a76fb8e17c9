//! The admin listener: what it says, what it changes, and whom it refuses.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod openapi;
mod support;

use std::net::SocketAddr;

use openapi::{Answers, FLEET};
use serde_json::{Value, json};
use support::{Call, Connection, Host, Launch, Reply, library, wait_until};

/// A host with an admin listener on TCP.
struct Watched {
    host: Host,
    admin: SocketAddr,
}

impl Watched {
    fn start(launch: Launch) -> Self {
        let host = launch.args(["--admin", "127.0.0.1:0"]).start();
        let admin = host.admin();
        Self { host, admin }
    }

    fn with(apps: Value) -> Self {
        Self::start(Launch::serve(apps))
    }

    fn ask(&self, call: &Call) -> Reply {
        Connection::open(self.admin).unwrap().call(call).unwrap()
    }

    fn get(&self, path: &str) -> Reply {
        self.ask(&Call::get(path))
    }

    fn post(&self, path: &str) -> Reply {
        self.ask(&Call::post(path, ""))
    }

    fn app(&self, name: &str) -> Value {
        self.get(&format!("/api/v1/apps/{name}")).json()
    }

    /// Holds all that can be read of the host, with its app `bad`, against the document; how many answers.
    fn check_answers(&self, document: &Value) -> usize {
        let mut checked = 0;
        for path in document["paths"].as_object().unwrap().keys() {
            let Some(answers) = Answers::of(document, path) else { continue };
            if path == FLEET {
                // Only a host of a fleet has an answer.
                self.get(path).problem(404, "not-found");
                continue;
            }
            let filled = path.replace("{hash}", &"0".repeat(64)).replace("{app}", "bad");
            answers.check(&self.ask(&Call::get(&filled).header("authorization", "Bearer the-token")).json());
            checked += 1;
            // A file may belong to an app that is yet to come.
            if path.contains("{app}") && !path.contains("/files/") {
                self.get(&path.replace("{app}", "nobody")).problem(404, "unknown-app");
            }
        }
        checked
    }

    /// The value of a metric, whose labels are as they stand in the text.
    fn metric(&self, name: &str) -> Option<f64> {
        let text = self.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.parse().ok()
    }
}

fn probe() -> Value {
    json!({ "name": "probe", "path": library("probe"), "env": { "SECRET": "s3cret" }, "queue": 7 })
}

#[test]
fn an_app_is_started_stopped_disabled_and_enabled() {
    let watched = Watched::with(json!([probe()]));
    assert_eq!(watched.app("probe")["phase"], "cold");
    assert_eq!(watched.post("/api/v1/apps/probe/start").json(), json!({ "generation": 1 }));
    assert_eq!(watched.app("probe")["phase"], "serving");

    assert_eq!(watched.post("/api/v1/apps/probe/stop").status, 204);
    assert_eq!(watched.app("probe")["phase"], "cold");
    assert!(watched.host.mapped().is_empty(), "it is stopped when that is answered");
    assert_eq!(watched.host.get("/apps/probe/start").status, 200);

    assert_eq!(watched.post("/api/v1/apps/probe/disable").status, 204);
    assert_eq!(watched.app("probe")["phase"], "disabled");
    watched.host.get("/apps/probe/start").problem(503, "unavailable");
    assert_eq!(watched.host.get("/readyz").status, 200, "one that is switched off is not awaited");
    for action in ["start", "reload"] {
        let refused = watched.post(&format!("/api/v1/apps/probe/{action}")).problem(409, "conflict");
        assert!(refused["detail"].as_str().unwrap().contains("atoll enable"), "{refused}");
    }
    assert_eq!(watched.post("/api/v1/apps/probe/enable").status, 204);
    assert_eq!(watched.host.get("/apps/probe/start").status, 200);
    assert_eq!(watched.app("probe")["serving"]["number"], 3);
}

#[test]
fn an_app_shows_its_settings_and_where_they_come_from_and_no_secret() {
    let watched = Watched::with(json!({ "defaults": { "keep": 1 }, "apps": [probe()] }));
    let app = watched.app("probe");
    let settings = &app["settings"];
    assert_eq!(settings["queue"], json!({ "value": 7, "origin": "app" }));
    assert_eq!(settings["keep"], json!({ "value": 1, "origin": "defaults" }));
    assert_eq!(settings["workers"], json!({ "value": 1, "origin": "built-in" }));
    assert_eq!(settings["env"]["value"], json!({ "SECRET": "***" }));
    let config = watched.get("/api/v1/config");
    assert_eq!(config.json()["apps"][0]["settings"], *settings);
    assert!(!config.text().contains("s3cret"));
}

#[test]
fn panics_failures_and_log_records_are_kept() {
    let watched = Watched::with(json!([{ "name": "bad", "path": library("probe") }]));
    assert_eq!(watched.host.get("/apps/bad/panic").status, 500);
    // The response does not wait for the backtrace.
    wait_until("the panic is kept", || watched.app("bad")["panics"] != json!([]));
    let app = watched.app("bad");
    assert_eq!(app["panic_count"], app["panics"].as_array().unwrap().len());
    let panic = &app["panics"][0];
    assert!(panic["location"].as_str().unwrap().contains("lib.rs:"), "{panic}");
    let functions = panic["backtrace"].as_array().unwrap();
    assert!(functions.iter().any(|frame| frame["function"].as_str().unwrap().contains("probe")), "{panic}");
    assert_eq!(app["failures"][0]["status"], 500);
    assert_eq!(app["failures"][0]["request"], "GET /apps/bad/panic");
    let log = watched.get("/api/v1/apps/bad/log?limit=5").json();
    assert!(log.as_array().unwrap().iter().any(|record| record["level"] == "error"), "{log}");
    wait_until("the panic is counted", || {
        watched.metric(r#"atoll_app_panics_total{app="bad"}"#) >= Some(1.0)
    });
    watched.get("/api/v1/apps/bad/log?limit=many").problem(400, "bad-request");
}

#[test]
fn the_level_of_one_app_is_changed_while_it_runs() {
    let watched = Watched::with(json!([probe()]));
    let say = |text: &str| {
        assert_eq!(watched.host.post("/apps/probe/log", text).status, 200);
    };
    let heard = |text: &str| {
        let log = watched.get("/api/v1/apps/probe/log").json();
        let kept = log
            .as_array()
            .unwrap()
            .iter()
            .any(|record| record["level"] == "debug" && record["message"] == text);
        kept && !watched.host.log_lines(&["DEBUG", text]).is_empty()
    };
    say("before");
    let put = |level: Value| {
        let body = json!({ "level": level }).to_string();
        let call =
            Call::new("PUT", "/api/v1/apps/probe/log-level").header("content-type", "application/json");
        watched.ask(&call.body(body))
    };
    assert_eq!(put(json!("debug")).status, 204);
    assert_eq!(watched.app("probe")["log_level"], "debug");
    wait_until("the app follows", || {
        say("after");
        !watched.host.log_lines(&["DEBUG", "after"]).is_empty()
    });
    assert!(!heard("before"));
    // A generation that comes later follows, too.
    assert_eq!(watched.post("/api/v1/apps/probe/reload").json(), json!({ "generation": 2 }));
    say("again");
    wait_until("the next generation follows", || heard("again"));
    assert_eq!(
        put(json!("loud")).problem(400, "bad-request")["detail"],
        "invalid level \"loud\": expected off, error, warn, info, debug, trace or null."
    );
    assert_eq!(put(Value::Null).status, 204);
    assert_eq!(watched.app("probe")["log_level"], Value::Null);
}

#[test]
fn a_log_is_followed_as_it_grows() {
    let watched = Watched::with(json!([probe()]));
    watched.host.post("/apps/probe/log", "one");
    let mut stream = Connection::open(watched.admin).unwrap();
    stream.send(&Call::get("/api/v1/apps/probe/log/stream")).unwrap();
    assert_eq!(stream.head().unwrap().header("content-type").as_deref(), Some("text/event-stream"));
    let mut read = String::new();
    let mut until = |text: &str| {
        while !read.contains(text) {
            read.push_str(&String::from_utf8(stream.chunk().unwrap().unwrap()).unwrap());
        }
    };
    until(r#""message":"one""#);
    watched.host.post("/apps/probe/log", "two");
    until(r#""message":"two""#);
}

#[test]
fn events_tell_of_a_reload_and_of_a_failure() {
    let watched = Watched::with(json!([{ "name": "bad", "path": library("probe") }]));
    let mut stream = Connection::open(watched.admin).unwrap();
    stream.send(&Call::get("/api/v1/events")).unwrap();
    stream.head().unwrap();
    let mut read = String::new();
    let mut until = |text: &str| {
        while !read.contains(text) {
            read.push_str(&String::from_utf8(stream.chunk().unwrap().unwrap()).unwrap());
        }
    };
    until(":\n\n");
    watched.host.get("/apps/bad/panic");
    until(r#""state":"serving""#);
    until(r#""type":"panic""#);
    until(r#""type":"failure""#);
    watched.post("/api/v1/apps/bad/reload");
    until(r#""generation":2,"state":"serving""#);
}

#[test]
fn an_invocation_shows_what_an_app_answers() {
    let watched = Watched::with(json!([{ "name": "hello", "path": library("hello") }]));
    let invoke = |body: Value| {
        let call = Call::post("/api/v1/apps/hello/invoke", body.to_string());
        watched.ask(&call.header("content-type", "application/json"))
    };
    let answer = invoke(json!({ "path": "/greet/ada" })).json();
    assert_eq!((&answer["status"], &answer["body"]), (&json!(200), &json!(r#"{"name":"ada"}"#)));
    assert_eq!(answer["truncated"], false);
    let refused = |body| invoke(body).problem(400, "bad-request")["detail"].clone();
    let no_path = "invalid path \"greet\": expected a path such as /greet/ada?x=1.";
    assert_eq!(refused(json!({ "path": "greet" })), no_path);
    assert_eq!(refused(json!({ "path": "/", "method": "a b" })), "invalid HTTP method \"a b\".");
    let unknown = refused(json!({ "path": "/", "bdy": "" }));
    assert!(unknown.as_str().unwrap().contains("unknown field `bdy`"), "{unknown}");
}

#[test]
fn the_list_tells_what_came_of_the_last_load() {
    let watched = Watched::with(json!([probe(), { "name": "gone", "path": "nothing.so" }]));
    watched.post("/api/v1/apps/probe/start");
    watched.host.get("/apps/gone/").problem(503, "unavailable");
    let apps = watched.get("/api/v1/apps?history=1").json();
    for (app, state) in [("probe", "serving"), ("gone", "refused")] {
        let found = apps.as_array().unwrap().iter().find(|found| found["name"] == app).unwrap();
        assert_eq!(found["last_load"]["state"], state, "{found}");
        assert_eq!(found["history"], json!([found["last_load"]]));
    }
    assert_eq!(watched.get("/api/v1/status?history=0").json()["apps"][0]["history"], json!([]));
    watched.get("/api/v1/apps?history=all").problem(400, "bad-request");
}

#[test]
fn a_reading_tells_of_all_apps_together() {
    let watched = Watched::with(json!([probe(), { "name": "hello", "path": library("hello") }]));
    let mut stream = Connection::open(watched.admin).unwrap();
    stream.send(&Call::get("/api/v1/stats")).unwrap();
    stream.head().unwrap();
    let mut read = String::new();
    let mut next = || {
        loop {
            if let Some((event, rest)) = read.split_once("\n\n").map(|(e, r)| (e.to_owned(), r.to_owned())) {
                read = rest;
                let data = event.split_once("data: ").unwrap().1;
                return serde_json::from_str::<Value>(data).unwrap();
            }
            read.push_str(&String::from_utf8(stream.chunk().unwrap().unwrap()).unwrap());
        }
    };
    let first = next();
    assert_eq!((&first["apps"], &first["host"]["p50_ms"]), (&json!([]), &Value::Null));
    watched.host.get("/apps/probe/start");
    watched.host.get("/apps/hello/");
    wait_until("both are read", || {
        let reading = next();
        let (host, apps) = (&reading["host"], reading["apps"].as_array().unwrap());
        let rates: f64 = apps.iter().map(|app| app["per_second"].as_f64().unwrap()).sum();
        assert!((host["per_second"].as_f64().unwrap() - rates).abs() < 1e-9, "{reading}");
        assert_eq!(host["p99_ms"].is_null(), rates == 0.0, "{reading}");
        apps.len() == 2 && apps.iter().all(|app| app["requests"] == 1)
    });
}

#[test]
fn requests_are_counted() {
    let watched = Watched::with(json!([probe(), { "name": "idle", "path": library("hello") }]));
    for _ in 0..3 {
        watched.host.get("/apps/probe/start");
    }
    watched.host.get("/apps/probe/nothing-here");
    watched.host.post("/apps/probe/echo", "12345");
    let ok = r#"atoll_app_requests_total{app="probe",status="2xx"}"#;
    let text = watched.get("/metrics").text();
    assert!(text.contains("# TYPE atoll_app_requests_total counter\n"), "{text}");
    let newer =
        watched.ask(&Call::get("/metrics").header("accept", "application/openmetrics-text;version=1.0.0"));
    assert!(newer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(newer.text().ends_with("# EOF\n"), "{}", newer.text());
    assert!(watched.metric(ok) >= Some(3.0), "{text}");
    assert_eq!(watched.metric(r#"atoll_app_received_bytes_total{app="probe"}"#), Some(5.0));
    for duration in ["request", "queue", "handler"] {
        let count = format!(r#"atoll_app_{duration}_duration_seconds_count{{app="probe"}}"#);
        assert_eq!(watched.metric(&count), Some(5.0), "{text}");
    }
    assert_eq!(watched.metric(r#"atoll_app_cold_starts_total{app="probe"}"#), Some(1.0));
    assert_eq!(watched.metric(r#"atoll_app_phase{app="idle",phase="cold"}"#), Some(1.0));
    assert!(!text.contains(r#"requests_total{app="idle""#), "what was never called takes no lines: {text}");
    assert!(watched.metric("process_resident_memory_bytes") > Some(1e6));
    let method = r#"{"jsonrpc":"2.0","method":"no-such-method","id":1}"#;
    watched.host.call(&Call::post("/rpc/probe", method).header("content-type", "application/json"));
    let taken = watched.metric(r#"atoll_app_handler_duration_seconds_count{app="probe"}"#);
    assert_eq!(taken, Some(6.0), "methods are counted like paths");
    watched.post("/api/v1/apps/probe/reload");
    assert_eq!(watched.metric(r#"atoll_app_reloads_total{app="probe",outcome="ok"}"#), Some(1.0));
}

#[test]
fn a_method_that_a_path_has_not_is_refused_with_those_that_it_has() {
    let watched = Watched::with(json!([probe()]));
    for (method, path, allowed) in [
        ("TRACE", "/metrics", "GET"),
        ("GET", "/api/v1/apps/probe/reload", "POST"),
        ("DELETE", "/api/v1/apps/probe/log-level", "PUT"),
    ] {
        let refused = watched.ask(&Call::new(method, path));
        assert_eq!(refused.header("allow").as_deref(), Some(allowed), "{method} {path}");
        refused.problem(405, "method-not-allowed");
    }
    watched.get("/api/v1/nothing").problem(404, "not-found");
}

#[test]
fn the_answers_are_what_the_openapi_document_says() {
    let launch =
        Launch::serve(json!([{ "name": "bad", "path": library("probe") }])).write("token", "the-token");
    let watched = Watched::start(launch.args(["--admin-token-file", "token"]));
    watched.host.get("/apps/bad/panic");
    let document = watched.get("/api/v1/openapi.json").json();
    let checked = watched.check_answers(&document);
    assert!(checked >= 6, "{checked} answers were checked");
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["post", "put", "delete"].into_iter().filter(|method| item.get(method).is_some()) {
            let security = &item[method]["security"];
            let expected = match path.starts_with("/api/v1/tokens") {
                true => json!([{ "token": [] }]),
                false => json!([{}, { "token": [] }]),
            };
            assert_eq!(*security, expected, "{method} {path} takes a token where there is one");
        }
    }
}

#[test]
fn a_fault_that_ended_the_host_is_as_the_openapi_document_says() {
    let host = Launch::serve(json!([{ "name": "bad", "path": library("faults") }])).start();
    // Without its client the request may be cancelled before.
    let mut client = host.connect();
    client.send(&Call::get("/apps/bad/now/null")).unwrap();
    let again = host.ended().serve_again().write("token", "the-token");
    let watched = Watched::start(again.args(["--admin-token-file", "token"]));
    let document = watched.get("/api/v1/openapi.json").json();
    assert!(watched.check_answers(&document) >= 6);
    let fault = &watched.app("bad")["faults"][0];
    assert_eq!(fault["request"]["request"], "GET /apps/bad/now/null");
    assert_eq!(&watched.get("/api/v1/status").json()["fault"], fault);
    let schema = &document["components"]["schemas"]["FaultEntry"]["properties"];
    let [mut said, mut written] =
        [fault, schema].map(|all| all.as_object().unwrap().keys().collect::<Vec<_>>());
    said.sort();
    written.sort();
    assert_eq!(said, written);
}

#[test]
fn a_token_is_asked_for_and_is_not_shown() {
    let launch = Launch::serve(json!([probe()])).write("token", "the-token\n");
    let watched = Watched::start(launch.args(["--admin-token-file", "token"]).env("RUST_LOG", "trace"));
    let start = Call::post("/api/v1/apps/probe/start", "");
    assert_eq!(watched.get("/api/v1/status").status, 200);
    for call in [start.clone(), start.clone().header("authorization", "Bearer the-tokem")] {
        let refused = watched.ask(&call);
        refused.problem(401, "unauthorized");
        assert_eq!(refused.header("www-authenticate").as_deref(), Some("Bearer"));
    }
    assert_eq!(watched.app("probe")["phase"], "cold", "what is refused is not done");
    assert_eq!(watched.ask(&start.header("authorization", "Bearer the-token")).status, 200);
    assert!(!watched.host.log().contains("the-token"));
}

#[test]
fn pages_of_other_sites_and_strange_paths_are_refused() {
    let watched = Watched::with(json!([probe()]));
    let start = Call::post("/api/v1/apps/probe/start", "");
    for header in [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        watched.ask(&start.clone().header(header.0, header.1)).problem(403, "forbidden");
    }
    assert_eq!(watched.app("probe")["phase"], "cold", "what is refused is not done");
    for path in [
        "/../../etc/passwd",
        "/api/v1/apps/..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
    ] {
        assert_eq!(watched.get(path).status, 404, "{path}");
    }
    // Nor is a page of this machine's apps let in, whose name the browser takes for its own.
    let mut rebound = Connection::open(watched.admin).unwrap();
    rebound.write(b"GET /api/v1/status HTTP/1.1\r\nhost: evil.example\r\n\r\n").unwrap();
    rebound.receive("GET").unwrap().problem(403, "forbidden");
}

#[test]
fn a_log_for_programs_is_json_and_each_request_is_a_line() {
    let args = ["--log-format", "json", "--access-log"];
    let host = Launch::serve(json!([{ "name": "hello", "path": library("hello") }])).args(args).start();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let call =
        Call::get("/apps/hello/greet/ada").header("traceparent", traceparent).header("x-request-id", "seven");
    assert_eq!(host.call(&call).status, 200);
    let line = host.wait_for_log(&["\"access\""]);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["message"], "GET /apps/hello/greet/ada");
    assert_eq!(
        (&line["app"], &line["generation"], &line["status"]),
        (&json!("hello"), &json!(1), &json!(200))
    );
    assert_eq!((&line["request_id"], &line["bytes"]), (&json!("seven"), &json!(14)));
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    let [total, queue, handler] =
        ["total_ms", "queue_ms", "handler_ms"].map(|name| line[name].as_f64().unwrap());
    assert!(queue > 0.0 && handler > 0.0 && total >= queue + handler, "{line}");
    for line in host.log().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert!(record["time"].is_string() && record["level"].is_string(), "{record}");
    }
}

#[test]
fn the_line_of_a_request_that_failed_says_who_had_it_and_for_how_long() {
    let apps = json!([
        { "name": "probe", "path": library("probe"), "deadline_ms": 300 },
        { "name": "rpc", "path": library("rpc") },
    ]);
    let host = Launch::serve(apps).args(["--log-format", "json", "--access-log"]).start();
    let reload = |app: &str| {
        let launch = Launch::command("reload").args([app, "--config", &host.path("apps.json")]);
        assert!(launch.env("TMPDIR", host.folder().join("tmp")).run().status.success());
    };
    host.get("/apps/probe/start");
    reload("probe");
    let line = |target: &str| -> Value {
        let lines = host.wait_for_log(&["\"access\"", &format!("{target}\"")]);
        serde_json::from_str(&lines).unwrap()
    };
    for (path, status) in
        [("panic", 500), ("error/503", 503), ("error/404", 404), ("no-route", 404), ("wait/nobody", 504)]
    {
        assert_eq!(host.get(&format!("/apps/probe/{path}")).status, status);
        let line = line(&format!("/apps/probe/{path}"));
        assert_eq!((&line["status"], &line["generation"]), (&json!(status), &json!(2)), "{line}");
        let [total, queue, handler] =
            ["total_ms", "queue_ms", "handler_ms"].map(|name| line[name].as_f64().unwrap());
        assert!(queue > 0.0 && handler > 0.0 && total >= queue + handler, "{line}");
        assert!(status != 504 || handler > 200.0, "{line}");
    }
    let call = json!({ "jsonrpc": "2.0", "method": "subtract", "params": [3, 1], "id": 1 });
    let call = Call::post("/rpc/rpc", call.to_string()).header("content-type", "application/json");
    assert_eq!(host.call(&call).json()["result"], 2);
    let line = line("/rpc/rpc");
    assert!(line["generation"] == 1 && line["handler_ms"].as_f64().unwrap() > 0.0, "{line}");
}

#[test]
fn what_is_sent_by_hand_could_have_come_by_http() {
    let watched = Watched::with(json!([probe()]));
    let send = |name: &str, value: &str| {
        let body = json!({ "path": "/seen/", "headers": [[name, value]] }).to_string();
        let call = Call::post("/api/v1/apps/probe/invoke", body).header("content-type", "application/json");
        watched.ask(&call)
    };
    for (name, value) in [
        ("x\r\nevil", "1"),
        ("x\nevil: 1\r\n\r\n", "1"),
        ("", "1"),
        ("a b", "1"),
        ("é", "1"),
        ("x:", "1"),
        ("x", "1\r\nevil: 1"),
        ("x", "\0"),
    ] {
        send(name, value).problem(400, "bad-request");
    }
    for (name, value) in [("X-Bytes", "café"), ("x!#$%&'*+.^_`|~", "a\tb")] {
        let answer = send(name, value).json();
        assert_eq!(answer["status"], 200, "{answer}");
        let seen: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        assert!(
            seen["headers"].as_array().unwrap().iter().any(|header| header[0] == name.to_lowercase()),
            "{seen}"
        );
    }
}

#[test]
fn no_number_of_the_openapi_document_is_larger_than_its_format() {
    fn check(path: &str, value: &Value) {
        match value {
            Value::Object(members) => {
                let limit = match members.get("format").and_then(Value::as_str) {
                    Some("int32") => i64::from(i32::MAX),
                    _ => i64::MAX,
                };
                for name in ["maximum", "exclusiveMaximum", "default", "minimum"] {
                    if let Some(number) = members.get(name).and_then(Value::as_u64) {
                        assert!(number <= limit as u64, "{path}: {name} = {number}");
                    }
                }
                members.iter().for_each(|(name, value)| check(&format!("{path}/{name}"), value));
            }
            Value::Array(items) => items.iter().for_each(|item| check(path, item)),
            _ => {}
        }
    }
    let watched = Watched::with(json!([]));
    let document = watched.get("/api/v1/openapi.json").json();
    check("", &document);
    let history = &document["paths"]["/api/v1/apps"]["get"]["parameters"][0];
    assert_eq!((&history["name"], &history["required"]), (&json!("history"), &json!(false)), "{history}");
    assert_eq!(watched.get("/api/v1/apps?history=4294967295").status, 200);
}
