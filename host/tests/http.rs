//! HTTP through the host to apps and back.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Call, Connection, Host, Launch, Reply, library, wait_for, wait_until};

/// The app `probe` with these settings, on one worker unless they say otherwise.
fn launch(settings: Value) -> Launch {
    let mut app = json!({ "name": "probe", "path": "libprobe.so" });
    app.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    Launch::serve(json!([app])).library("probe")
}

fn probe(settings: Value) -> Host {
    launch(settings).start()
}

/// How many handlers of the app wait.
fn waiting(host: &Host) -> usize {
    host.get("/apps/probe/waiting").text().parse().unwrap()
}

/// How many handlers of the app were dropped before they had finished.
fn dropped(host: &Host) -> usize {
    host.get("/apps/probe/dropped").text().parse().unwrap()
}

fn touch(path: &str) {
    std::fs::write(path, "").unwrap();
}

/// All bytes that there are, several times.
fn binary(length: usize) -> Vec<u8> {
    (0..=255).cycle().take(length).collect()
}

#[test]
fn hello_answers_its_routes() {
    let host = Host::start(json!([{ "id": "0", "name": "hello", "path": library("hello") }]), &[]);
    let reply = host.get("/apps/hello/greet/tobe");
    assert_eq!((reply.status, reply.text()), (200, r#"{"name":"tobe"}"#.to_owned()));
    assert_eq!(reply.header("content-type").as_deref(), Some("application/json"));
    for path in ["/apps/hello/nonexistent_route", "/apps/hello/", "/apps/hello/?x=1"] {
        let reply = host.get(path);
        assert_eq!((reply.status, reply.json()), (200, json!({ "hello": "serverless world!" })), "{path}");
    }
}

#[test]
fn every_method_brings_its_body_and_takes_one_back() {
    let host = probe(json!({}));
    let mut connection = host.connect();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PROPFIND"] {
        for body in [Vec::new(), binary(256), binary(1 << 20)] {
            for chunk in [None, Some(60_000)] {
                let mut call = Call::new(method, "/apps/probe/echo").body(body.clone());
                if let Some(size) = chunk {
                    call = call.chunked(size);
                }
                let reply = connection.call(&call).unwrap();
                assert_eq!(reply.status, 200, "{method}");
                assert_eq!(reply.header("x-method").as_deref(), Some(method));
                // A HEAD without a body does not say that its GET has none.
                let length = (method != "HEAD" || !body.is_empty()).then(|| body.len().to_string());
                assert_eq!(reply.header("content-length"), length, "{method}");
                let expected = if method == "HEAD" { Vec::new() } else { body.clone() };
                assert!(reply.body == expected, "{method} {} bytes, chunks {chunk:?}", body.len());
            }
        }
        let reply = connection.call(&Call::new(method, "/apps/probe/echo")).unwrap();
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{method} without a body");
    }
}

#[test]
fn path_and_query_reach_the_app_as_sent() {
    let host = probe(json!({}));
    let path = "/seen/a%20b%2Fc/%C3%A9//x/.../y/%7E~;v=1/@:!$&'()*+,=/";
    let query = "q=1&q=2&plus=a+b&amp=%26&nul=%00&empty=&flag&a?b/c=d";
    let seen = host.get(&format!("/apps/probe{path}?{query}")).json();
    assert_eq!((&seen["path"], &seen["query"]), (&json!(path), &json!(query)));
    assert_eq!((&seen["prefix"], &seen["method"]), (&json!("/apps/probe"), &json!("GET")));
    let seen = host.get("/apps/probe/seen/%zz?%zz").json();
    assert_eq!((&seen["path"], &seen["query"]), (&json!("/seen/%zz"), &json!("%zz")));
    let long = format!("/seen/{}", "long/".repeat(4000));
    assert_eq!(host.get(&format!("/apps/probe{long}")).json()["path"], json!(long));
}

#[test]
fn all_headers_reach_the_app() {
    let host = probe(json!({}));
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let call = Call::get("/apps/probe/seen/")
        .header("X-Many", "one")
        .header("x-bytes", b"caf\xe9 \x80\xff")
        .header("X-MANY", "two, three")
        .header("x-empty", "")
        .header("x-request-id", "request-7")
        .header("traceparent", traceparent);
    let seen = host.call(&call).json();
    let values = |name: &str| -> Vec<String> {
        let headers = seen["headers"].as_array().unwrap().iter();
        let same = headers.filter(|header| header[0] == name);
        same.map(|header| header[1].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(values("x-many"), ["one", "two, three"]);
    assert_eq!(values("x-empty"), [""]);
    assert_eq!(values("host"), ["localhost"]);
    let mut names: Vec<_> =
        seen["headers"].as_array().unwrap().iter().map(|header| header[0].clone()).collect();
    names.sort_by_key(|name| name.to_string());
    let expected = json!([
        "host",
        "traceparent",
        "x-bytes",
        "x-empty",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-many",
        "x-many",
        "x-request-id"
    ]);
    assert_eq!(Value::from(names), expected);
    assert_eq!(seen["bytes"], json!(b"caf\xe9 \x80\xff"));
    assert_eq!(
        (&seen["request_id"], values("x-request-id")),
        (&json!("request-7"), vec!["request-7".into()])
    );
    assert!(seen["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{seen}");
    assert_eq!(seen["deadline"], true, "the app knows how long the host waits");

    let first = host.get("/apps/probe/seen/").json()["request_id"].clone();
    let second = host.get("/apps/probe/seen/").json()["request_id"].clone();
    assert!(first.as_str().is_some_and(|id| !id.is_empty()) && first != second, "{first} {second}");
}

#[test]
fn all_headers_of_the_app_reach_the_client() {
    let host = probe(json!({}));
    let reply = host.get("/apps/probe/headers");
    assert_eq!(reply.header_bytes("set-cookie"), [b"a=1; Path=/apps/probe".as_slice(), b"b=2; HttpOnly"]);
    assert_eq!(reply.header_bytes("x-eight-bit"), ["café".as_bytes()]);
    assert_eq!(reply.header_bytes("x-empty"), [b""]);
    assert_eq!(reply.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
}

#[test]
fn headers_of_the_connection_are_the_hosts() {
    let host = probe(json!({}));
    let mut connection = host.connect();
    for _ in 0..2 {
        let reply = connection.call(&Call::get("/apps/probe/hop-by-hop")).unwrap();
        assert_eq!((reply.status, reply.text()), (200, "four".to_owned()));
        assert_eq!(reply.header_bytes("content-length"), [b"4"]);
        assert_eq!((reply.header("connection"), reply.header("keep-alive")), (None, None));
    }
}

#[test]
fn an_unknown_app_is_a_problem_document_or_a_page() {
    let host = probe(json!({}));
    let problem = host.get("/apps/prob/x").problem(404, "unknown-app");
    assert_eq!(problem["detail"], "Unknown app `prob`. Did you mean `probe`?");
    let problem = host
        .call(&Call::get("/apps/nothing").header("x-request-id", "mine").header("accept", "application/json"))
        .problem(404, "unknown-app");
    assert_eq!(problem["request_id"], "mine");
    host.get("/nothing").problem(404, "not-found");
    host.get("/").problem(404, "not-found");
    host.get("/apps/").problem(404, "not-found");

    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let page = host.call(&Call::get("/apps/a&b").header("accept", accept));
    assert_eq!(page.status, 404);
    assert_eq!(page.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("Unknown app"), "{}", page.text());
    assert!(page.text().contains("a&amp;b") && !page.text().contains("a&b"), "{}", page.text());
}

#[test]
fn what_the_app_does_not_answer_is_404_and_405() {
    let host = probe(json!({}));
    let problem = host.get("/apps/probe/missing").problem(404, "app-error");
    assert_eq!(problem["detail"], "no route for GET /missing");

    let reply = host.post("/apps/probe/get-only", "x");
    assert_eq!(reply.status, 405);
    assert_eq!(reply.header("allow").as_deref(), Some("GET, HEAD"));
    assert_eq!(reply.header("content-type").as_deref(), Some("application/problem+json"));
}

#[test]
fn a_handlers_error_has_its_status_and_only_a_clients_its_message() {
    let host = probe(json!({}));
    for status in [400, 404, 409, 422, 451] {
        let problem = host.get(&format!("/apps/probe/error/{status}")).problem(status, "app-error");
        assert_eq!(problem["detail"], "the error's message", "{status}");
    }
    for status in [500, 503, 599] {
        let call =
            Call::get(&format!("/apps/probe/error/{status}")).header("x-request-id", format!("r{status}"));
        let problem = host.call(&call).problem(status, "app-error");
        assert_eq!(problem["detail"], "A handler of the app `probe` failed; see its log.");
        host.wait_for_log(&["ERROR", "probe#1", &format!("r{status}"), "the error's message"]);
    }
    // Not a number: the error of a `?`.
    host.get("/apps/probe/error/x").problem(500, "app-error");
}

#[test]
fn a_panic_is_500_and_the_worker_goes_on() {
    let host = probe(json!({}));
    let thread = host.get("/apps/probe/thread").text();
    for (path, text) in [("/panic", "this handler panics"), ("/panic-later", "this handler panics later")] {
        let problem = host.get(&format!("/apps/probe{path}")).problem(500, "app-panicked");
        assert_eq!(problem["detail"], "A handler of the app `probe` panicked; see its log.");
        host.wait_for_log(&["ERROR", "panicked at", "probe/src/lib.rs", text]);
        assert_eq!(host.get("/apps/probe/thread").text(), thread);
    }
    assert_eq!(host.get("/apps/probe/start").json()["generation"], 1);
}

#[test]
fn panics_and_what_follows_them_are_logged_in_order_also_when_the_app_ends() {
    let host = probe(json!({}));
    for number in 0..3 {
        host.post("/apps/probe/panic", format!("panic {number}")).problem(500, "app-panicked");
        assert_eq!(host.post("/apps/probe/log", format!("record {number}")).text(), "logged");
    }
    // The first backtrace takes longer than all of this.
    let log = host.stop().stderr;
    let records: Vec<_> = log.split("ERROR probe] ").skip(1).collect();
    assert_eq!(records.len(), 6, "{log}");
    for (number, pair) in records.chunks(2).enumerate() {
        let (head, backtrace) = pair[0].split_once('\n').unwrap();
        assert!(head.starts_with("panicked at") && head.ends_with(&format!("panic {number}")), "{head}");
        assert!(backtrace.contains("probe::app::{{closure}}"), "{backtrace}");
        assert!(pair[1].starts_with(&format!("record {number} ")), "{}", pair[1]);
    }
    assert!(!log.contains("pinned"), "{log}");
}

#[test]
fn a_panics_backtrace_begins_and_ends_in_the_app() {
    let host = probe(json!({}));
    // Also in libraries that were loaded after the first panic.
    for generation in 1..=3 {
        host.get("/apps/probe/panic").problem(500, "app-panicked");
        host.wait_for_log(&[&format!("app=probe generation={generation}")]);
        let closures = || {
            let log = host.log();
            log.matches("probe::app::{{closure}}").count() + log.matches("probe::app::{closure").count()
        };
        wait_until("the backtrace is in the log", || closures() >= generation);
        let log = host.log();
        assert_eq!(closures(), generation, "{log}");
        for word in ["core::panicking", "std::panicking", "rust_begin_unwind", "atoll_host::library"] {
            assert!(!log.contains(word), "{word} in {log}");
        }
        // Other bytes at the end of the file are another library.
        let mut bytes = std::fs::read(host.folder().join("libprobe.so")).unwrap();
        bytes.push(0);
        host.replace("libprobe.so", bytes);
        host.wait_for_log(&[&format!("probe#{} is serving", generation + 1)]);
    }
}

#[test]
fn a_panic_leaves_other_requests_alone() {
    let host = probe(json!({}));
    let mut other = host.connect();
    other.send(&Call::get("/apps/probe/wait/a")).unwrap();
    wait_until("a handler waits", || waiting(&host) == 1);
    host.get("/apps/probe/panic").problem(500, "app-panicked");
    host.get("/apps/probe/panic-later").problem(500, "app-panicked");
    host.post("/apps/probe/give/a", "still here");
    assert_eq!(other.receive("GET").unwrap().text(), "still here");
}

#[test]
fn a_body_past_the_limit_is_413() {
    let host = probe(json!({ "body_limit": "1KiB" }));
    let largest = Call::post("/apps/probe/echo", binary(1024));
    assert_eq!(host.call(&largest).body.len(), 1024);
    assert_eq!(host.call(&largest.chunked(100)).body.len(), 1024);

    let too_large = Call::post("/apps/probe/echo", binary(1025));
    for call in [&too_large, &too_large.clone().chunked(100)] {
        let problem = host.call(call).problem(413, "body-too-large");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("`probe`") && detail.contains("body_limit = 1024"), "{detail}");
    }
    // It is refused by what it says of itself, before it is sent.
    let mut connection = host.connect();
    connection
        .write(b"POST /apps/probe/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n")
        .unwrap();
    connection.receive("POST").unwrap().problem(413, "body-too-large");
    assert_eq!(host.get("/apps/probe/get-only").text(), "got");
}

#[test]
fn a_late_answer_is_504_and_its_handler_is_dropped() {
    let host = probe(json!({ "deadline_ms": 300 }));
    let begun = Instant::now();
    let problem = host.get("/apps/probe/wait/x").problem(504, "deadline-exceeded");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(problem["detail"].as_str().unwrap().contains("deadline_ms = 300"), "{problem}");
    wait_until("the handler is dropped", || dropped(&host) == 1);
    assert_eq!(waiting(&host), 0);
    assert_eq!(host.log_lines(&["waits for no answer"]), [""; 0], "a late answer is nothing to log");
}

#[test]
fn a_client_that_leaves_has_its_handler_dropped() {
    let host = probe(json!({ "deadline_ms": 600_000 }));
    let mut client = host.connect();
    client.send(&Call::get("/apps/probe/wait/x")).unwrap();
    wait_until("the handler waits", || waiting(&host) == 1);
    drop(client);
    wait_until("the handler is dropped", || dropped(&host) == 1);
    assert_eq!(waiting(&host), 0);
}

#[test]
fn a_full_inbox_is_503_at_once() {
    let host = probe(json!({ "queue": 2 }));
    let (file, entered) = (host.path("go"), host.path("entered"));
    let mut blocked = host.connect();
    blocked.send(&Call::get(&format!("/apps/probe/block?file={file}&entered={entered}"))).unwrap();
    wait_until("the worker is blocked", || std::fs::exists(&entered).unwrap());

    let (told, replies) = std::sync::mpsc::channel();
    let address = host.address();
    for _ in 0..6 {
        let told = told.clone();
        std::thread::spawn(move || {
            let call = Call::get("/apps/probe/get-only");
            told.send(Connection::open(address).unwrap().call(&call).unwrap()).unwrap();
        });
    }
    let refused: Vec<Reply> = (0..4).map(|_| replies.recv_timeout(support::LIMIT).unwrap()).collect();
    for reply in refused {
        let problem = reply.problem(503, "overloaded");
        assert_eq!(reply.header("retry-after").as_deref(), Some("1"));
        assert!(problem["detail"].as_str().unwrap().contains("queue = 2"), "{problem}");
    }
    touch(&file);
    assert_eq!(blocked.receive("GET").unwrap().status, 200);
    for _ in 0..2 {
        assert_eq!(replies.recv_timeout(support::LIMIT).unwrap().text(), "got");
    }
    assert_eq!(host.get("/apps/probe/get-only").text(), "got");
}

#[test]
fn many_requests_are_in_flight_on_one_worker() {
    let host = probe(json!({}));
    let mut connections: Vec<_> = (0..50).map(|_| host.connect()).collect();
    for (number, connection) in connections.iter_mut().enumerate() {
        connection.send(&Call::get(&format!("/apps/probe/wait/{number}"))).unwrap();
    }
    wait_until("all handlers wait", || waiting(&host) == 50);
    for number in (0..50).rev() {
        host.post(&format!("/apps/probe/give/{number}"), format!("for {number}"));
        assert_eq!(connections[number].receive("GET").unwrap().text(), format!("for {number}"));
    }
    assert_eq!((waiting(&host), dropped(&host)), (0, 0));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let host = probe(json!({}));
    let mut connection = host.connect();
    let calls = ["/apps/probe/get-only", "/apps/probe/missing", "/nothing", "/apps/probe/thread", "/healthz"];
    calls.iter().for_each(|path| connection.send(&Call::get(path)).unwrap());
    let statuses = calls.map(|_| connection.receive("GET").unwrap().status);
    assert_eq!(statuses, [200, 404, 404, 200, 200]);
}

#[test]
fn a_thousand_first_calls_start_an_app_once() {
    support::allow_many_files();
    let launch = Launch::serve("[]").library("probe");
    let (go, note) = (launch.folder().join("go"), launch.folder().join("note"));
    let config = json!({ "start_until": go, "note": note });
    let apps = json!([{ "name": "probe", "path": "libprobe.so", "config": config }]);
    let host = launch.write("apps.json", apps.to_string()).start();

    // A connection that says nothing for 5 s is closed, so each one sends at once.
    let mut connections: Vec<_> = (0..1000)
        .map(|_| {
            let mut connection = host.connect();
            connection.send(&Call::get("/apps/probe/start")).unwrap();
            connection
        })
        .collect();
    touch(&host.path("go"));
    for connection in &mut connections {
        let reply = connection.receive("GET").unwrap();
        assert_eq!((reply.status, &reply.json()["generation"]), (200, &json!(1)));
    }
    assert_eq!(std::fs::read_to_string(host.path("note")).unwrap(), "probe 1 0\n");
    host.wait_for_log(&["probe#1 is serving"]);
    assert_eq!(host.log_lines(&["is serving"]).len(), 1);
}

#[test]
fn an_app_has_as_many_threads_as_workers() {
    let host = probe(json!({ "workers": 4 }));
    let mut connection = host.connect();
    let mut threads = HashSet::new();
    let mut workers = HashSet::new();
    for _ in 0..16 {
        threads.insert(connection.call(&Call::get("/apps/probe/thread")).unwrap().text());
    }
    for _ in 0..16 {
        workers.insert(connection.call(&Call::get("/apps/probe/start")).unwrap().json()["worker"].as_u64());
    }
    assert_eq!((threads.len(), workers.len()), (4, 4));
    let names: Vec<_> = host.threads().into_iter().filter(|name| name.starts_with("probe#1.")).collect();
    assert_eq!(names, ["probe#1.0", "probe#1.1", "probe#1.2", "probe#1.3"]);
}

#[test]
fn a_blocked_worker_does_not_hold_up_the_others() {
    let host = probe(json!({ "workers": 2, "queue": 1 }));
    let (file, entered) = (host.path("go"), host.path("entered"));
    let mut blocked = host.connect();
    blocked.send(&Call::get(&format!("/apps/probe/block?file={file}&entered={entered}"))).unwrap();
    wait_until("a worker is blocked", || std::fs::exists(&entered).unwrap());
    // One request may wait for the blocked worker; all others are answered by the free one.
    let mut waits = None;
    let answered = wait_for("ten answers", || {
        let mut count = 0;
        while count < 10 {
            let mut connection = host.connect();
            connection.set_patience(Duration::from_secs(1));
            match connection.call(&Call::get("/apps/probe/get-only")) {
                Ok(reply) => {
                    assert_eq!(reply.status, 200);
                    count += 1;
                }
                Err(_) if waits.is_none() => {
                    connection.set_patience(support::LIMIT);
                    waits = Some(connection);
                }
                Err(error) => panic!("a second request waits: {error}"),
            }
        }
        Some(count)
    });
    assert_eq!(answered, 10);
    touch(&file);
    assert_eq!(blocked.receive("GET").unwrap().status, 200);
    if let Some(mut connection) = waits {
        assert_eq!(connection.receive("GET").unwrap().status, 200);
    }
}

#[test]
fn an_app_gets_its_settings() {
    let host = probe(
        json!({ "env": { "COLOUR": "blue" }, "inherit": [], "config": { "deep": [1, { "x": null }] } }),
    );
    let start = host.get("/apps/probe/start").json();
    assert_eq!(start["env"], json!({ "COLOUR": "blue" }));
    assert_eq!(start["config"], json!({ "deep": [1, { "x": null }] }));
    assert_eq!(
        (&start["app"], &start["generation"], &start["worker"]),
        (&json!("probe"), &json!(1), &json!(0))
    );
}

#[test]
fn health_checks_say_what_is() {
    let launch = Launch::serve("[]").library("probe");
    let config = json!({ "start_until": launch.folder().join("go") });
    let apps = json!([
        { "name": "cold", "path": "libprobe.so" },
        { "name": "early", "path": "libprobe.so", "preload": true, "config": config },
        { "name": "slow", "path": "libprobe.so", "config": { "start_until": launch.folder().join("never") } },
        { "name": "idle", "path": "libprobe.so", "preload": true, "idle_timeout_ms": 100 },
    ]);
    let host = launch.write("apps.json", apps.to_string()).start();
    let health = host.get("/healthz");
    assert_eq!((health.status, health.text()), (200, "ok\n".to_owned()));
    wait_until("the host is not ready", || {
        let ready = host.get("/readyz");
        ready.status == 503 && ready.text() == "early: starting\n"
    });
    touch(&host.path("go"));
    wait_until("the host is ready", || host.get("/readyz").status == 200);
    // A client has one started that does not start with the host.
    let mut client = host.connect();
    client.send(&Call::get("/apps/slow/start")).unwrap();
    host.wait_for_log(&["idle#1", "idle"]);
    for _ in 0..20 {
        assert_eq!(host.get("/readyz").text(), "ready\n");
    }
    assert_eq!(host.log_lines(&["slow#1 is serving"]), [""; 0]);
    assert_eq!(host.log_lines(&["cold#1"]), [""; 0], "a cold app is no reason not to be ready");
}

#[test]
fn an_app_that_cannot_start_is_503_and_not_ready() {
    let launch = Launch::serve(json!([{ "name": "none", "path": "libnone.so", "preload": true }]));
    let host = launch.start();
    let reply = host.get("/apps/none/");
    let problem = reply.problem(503, "unavailable");
    assert!(reply.header("retry-after").is_some());
    assert!(!problem.to_string().contains("libnone.so"), "no path of the host's is shown: {problem}");
    host.wait_for_log(&["ERROR", "none", "libnone.so"]);
    assert_eq!(host.get("/readyz").text(), "none: failed\n");
}

#[test]
fn a_hundred_apps_that_are_not_ready_are_named() {
    let apps = |count| {
        let app = |n| json!({ "name": format!("none-{n:03}"), "path": "libnone.so", "preload": true });
        json!((0..count).map(app).collect::<Vec<_>>())
    };
    let names = |count| (0..count).map(|n| format!("none-{n:03}: failed\n")).collect::<String>();
    let host = Host::start(apps(103), &[]);
    wait_until("all have failed", || host.get("/readyz").text() == names(100) + "and 3 more\n");
    host.replace("apps.json", apps(100).to_string());
    wait_until("three are removed", || host.get("/readyz").text() == names(100));
}

#[test]
fn an_apps_log_is_in_the_hosts() {
    let host = probe(json!({}));
    host.post("/apps/probe/log", "by default");
    for level in ["ERROR", "WARN", "INFO"] {
        host.wait_for_log(&[level, "probe", "by default", "app=probe", "generation=1"]);
    }
    host.wait_for_log(&["INFO", "probe_other", "by default"]);
    assert_eq!(host.log_lines(&["by default"]).len(), 4, "no debug and no trace");
}

#[test]
fn an_apps_log_is_filtered_as_the_hosts() {
    let host = launch(json!({})).env("RUST_LOG", "warn,probe=trace,probe_other=off").start();
    host.post("/apps/probe/log", "filtered");
    for level in ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"] {
        host.wait_for_log(&[level, "probe", "filtered"]);
    }
    assert_eq!(host.log_lines(&["filtered"]).len(), 5);

    let host = launch(json!({})).env("RUST_LOG", "off").start();
    host.post("/apps/probe/log", "nothing");
    assert_eq!(host.stop().stderr, "");
}

#[test]
fn a_signal_lets_requests_finish_and_ends_with_success() {
    for (signal, name) in [(libc::SIGTERM, "SIGTERM"), (libc::SIGINT, "SIGINT")] {
        let mut host = probe(json!({}));
        let (file, address) = (host.path("go"), host.address());
        let mut slow = host.connect();
        slow.send(&Call::get(&format!("/apps/probe/until?file={file}"))).unwrap();
        wait_until("the handler waits", || waiting(&host) == 1);
        // One that is kept open without a request does not hold up the end.
        let mut idle = host.connect();
        assert_eq!(idle.call(&Call::get("/healthz")).unwrap().status, 200);

        host.signal(signal);
        host.wait_for_log(&[name, "finishing the requests in flight"]);
        wait_until("no connection is taken", || {
            TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        });
        touch(&file);
        assert_eq!(slow.receive("GET").unwrap().text(), "it is there");
        let begun = Instant::now();
        let ended = host.ended();
        assert!(begun.elapsed() < Duration::from_secs(10), "{name}: it waits for nobody");
        assert_eq!(ended.status.code(), Some(0), "{name}: {}", ended.stderr);
        assert_eq!(ended.stderr.matches("ERROR").count(), 0, "{}", ended.stderr);
        let left = ended.temporary_files();
        assert!(left.iter().all(|file| file.ends_with(".lock")), "{name}: staged copies are left: {left:?}");
    }
}
