//! What HTTP asks of something that stands between a client and an app (RFC 9110).

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use serde_json::{Value, json};
use support::{Call, Host, Launch, Reply};

fn launch() -> Launch {
    Launch::serve(json!([{ "name": "probe", "path": "libprobe.so" }])).library("probe")
}

/// What the app sees of a call to `/seen/`.
fn seen(host: &Host, call: impl FnOnce(Call) -> Call) -> Seen {
    Seen(host.call(&call(Call::get("/apps/probe/seen/"))).json())
}

struct Seen(Value);

impl Seen {
    /// All values of a header.
    fn values(&self, name: &str) -> Vec<&str> {
        let headers = self.0["headers"].as_array().unwrap().iter();
        headers.filter(|header| header[0] == name).map(|header| header[1].as_str().unwrap()).collect()
    }
}

/// A call that the app answers like this.
fn answered(method: &str, answer: Value) -> Call {
    Call::new(method, "/apps/probe/answer").header("x-answer", answer.to_string())
}

/// Sends it twice on one connection: the first answer leaves nothing behind.
fn twice(host: &Host, call: &Call) -> Reply {
    let mut connection = host.connect();
    connection.call(call).unwrap();
    connection.call(call).unwrap()
}

#[test]
fn headers_of_the_connection_do_not_reach_the_app() {
    let host = launch().start();
    let seen = seen(&host, |call| {
        call.header("Connection", "X-One, keep-alive")
            .header("connection", "x-two,host")
            .header("x-one", "1")
            .header("X-Two", "2")
            .header("x-three", "3")
            .header("keep-alive", "timeout=5")
            .header("proxy-connection", "keep-alive")
            .header("te", "gzip, trailers;q=1")
            .header("trailer", "x-late")
            .header("upgrade", "h2c")
            .header("forwarded", "for=10.0.0.1")
    });
    let gone = ["connection", "x-one", "x-two", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"];
    for name in gone {
        assert_eq!(seen.values(name), [""; 0], "{name}");
    }
    assert_eq!((seen.values("host"), seen.values("x-three")), (vec!["localhost"], vec!["3"]));
    assert_eq!(seen.values("forwarded"), ["for=10.0.0.1"]);

    let chunked = Call::post("/apps/probe/seen/", "body").chunked(2).header("te", "gzip, Trailers");
    let seen = Seen(host.call(&chunked).json());
    assert_eq!((seen.values("transfer-encoding"), seen.values("te")), (vec![], vec!["trailers"]));
}

#[test]
fn a_request_for_a_websocket_keeps_its_headers() {
    let host = launch().start();
    let seen = seen(&host, |call| {
        call.header("Connection", "keep-alive, Upgrade")
            .header("Upgrade", "WebSocket")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Version", "13")
    });
    assert_eq!((seen.values("connection"), seen.values("upgrade")), (vec!["upgrade"], vec!["websocket"]));
    assert_eq!(seen.values("sec-websocket-key"), ["dGhlIHNhbXBsZSBub25jZQ=="]);
    assert_eq!(seen.values("sec-websocket-version"), ["13"]);
}

#[test]
fn a_request_that_only_names_a_websocket_is_refused_and_ends_the_connection() {
    let host = launch().start();
    let upgrade = |call: Call| call.header("upgrade", "websocket").header("connection", "upgrade");
    for call in [
        Call::get("/apps/probe/seen/").header("upgrade", "websocket"),
        upgrade(Call::post("/apps/probe/echo", "a body that has an end")),
        upgrade(Call::get("/apps/probe/seen/").body("x")),
    ] {
        let mut connection = host.connect();
        let reply = connection.call(&call).unwrap();
        reply.problem(400, "bad-request");
        assert_eq!(reply.header("connection").as_deref(), Some("close"));
        assert!(connection.is_closed());
    }
}

#[test]
fn the_app_is_told_of_the_clients_connection() {
    let host = launch().start();
    // What a stranger claims is replaced.
    let seen = seen(&host, |call| {
        call.header("x-forwarded-for", "10.0.0.1")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "bank.example")
            .header("x-forwarded-prefix", "/evil")
    });
    assert_eq!(seen.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.values("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.values("x-forwarded-host"), ["localhost"]);
    assert_eq!(seen.values("x-forwarded-prefix"), ["/apps/probe"]);
}

#[test]
fn a_trusted_proxy_is_believed() {
    let host = launch().args(["--trusted-proxy", "10.0.0.1", "--trusted-proxy", "127.0.0.0/8"]).start();
    let seen = seen(&host, |call| {
        call.header("x-forwarded-for", "10.0.0.1, 10.0.0.2")
            .header("x-forwarded-for", "10.0.0.3")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "bank.example")
            .header("x-forwarded-prefix", "/outer/")
    });
    assert_eq!(seen.values("x-forwarded-for"), ["10.0.0.1, 10.0.0.2, 10.0.0.3, 127.0.0.1"]);
    assert_eq!(seen.values("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.values("x-forwarded-host"), ["bank.example"]);
    assert_eq!(seen.values("x-forwarded-prefix"), ["/outer/apps/probe"]);

    let bad = launch().args(["--trusted-proxy", "10.0.0.0/33"]).run();
    let expected = "expected an address, a network such as 10.0.0.0/8, or `unix`";
    assert!(bad.stderr.contains(expected), "{}", bad.stderr);
}

#[test]
fn the_host_in_the_target_comes_before_the_header() {
    let host = launch().start();
    let call = Call::get("http://example.com:81/apps/probe/seen/x");
    let seen = Seen(host.call(&call).json());
    assert_eq!(seen.values("host"), ["example.com:81"]);
    assert_eq!(
        (seen.values("x-forwarded-host"), &seen.0["path"]),
        (vec!["example.com:81"], &json!("/seen/x"))
    );
}

#[test]
fn every_response_has_the_requests_id() {
    let host = launch().start();
    for path in ["/apps/probe/get-only", "/apps/probe/panic", "/apps/none", "/none", "/healthz", "/readyz"] {
        let reply = host.call(&Call::get(path).header("x-request-id", "mine-7"));
        assert_eq!(reply.header_bytes("x-request-id"), [b"mine-7"], "{path}");
        let made = host.get(path).header("x-request-id").unwrap();
        assert!(!made.is_empty() && made != host.get(path).header("x-request-id").unwrap(), "{path}");
    }
    let own = host.call(
        &answered("GET", json!({ "headers": [["x-request-id", "the app's"]] }))
            .header("x-request-id", "mine"),
    );
    assert_eq!(own.header_bytes("x-request-id"), [b"mine"]);

    let long = "x".repeat(129);
    for bad in ["", "a b", "caf\u{e9}", &long] {
        let seen = seen(&host, |call| call.header("x-request-id", bad));
        let id = seen.0["request_id"].as_str().unwrap();
        assert!(!id.is_empty() && id != bad, "{id:?}");
        assert_eq!(seen.values("x-request-id"), [id], "the app's header and its field are the same");
    }
}

#[test]
fn a_trace_goes_on_with_a_parent_of_the_hosts() {
    let host = launch().start();
    let (begin, span) = ("00-0af7651916cd43dd8448eb211c80319c-", "b7ad6b7169203331");
    let traced = seen(&host, |call| {
        call.header("traceparent", format!("{begin}{span}-01"))
            .header("tracestate", "a=1")
            .header("tracestate", "b=2")
    });
    let traceparent = traced.0["traceparent"].as_str().unwrap();
    assert_eq!(traced.values("traceparent"), [traceparent]);
    assert_eq!(traced.values("tracestate"), ["a=1", "b=2"]);
    assert!(traceparent.starts_with(begin) && traceparent.ends_with("-01"), "{traceparent}");
    assert!(traceparent.len() == 55 && !traceparent.contains(span), "{traceparent}");

    for bad in ["", "00-0-0-0", &format!("{begin}{span}")] {
        let untraced = seen(&host, |call| call.header("traceparent", bad).header("tracestate", "a=1"));
        assert_eq!(untraced.0["traceparent"], Value::Null);
        assert_eq!(
            (untraced.values("traceparent"), untraced.values("tracestate")),
            (vec![], vec![]),
            "{bad:?}"
        );
    }
    let valid = format!("{begin}{span}-00");
    let two = seen(&host, |call| call.header("traceparent", &valid).header("traceparent", &valid));
    assert_eq!((&two.0["traceparent"], two.values("traceparent")), (&Value::Null, vec![]));
}

#[test]
fn a_head_is_that_of_the_get_without_its_body() {
    let host = launch().start();
    let reply = twice(&host, &answered("HEAD", json!({ "body": "four" })));
    assert_eq!((reply.status, reply.header("content-length").as_deref()), (200, Some("4")));
    let reply = twice(&host, &answered("HEAD", json!({ "headers": [["Content-Length", "1234567"]] })));
    assert_eq!((reply.status, reply.header_bytes("content-length")), (200, vec![&b"1234567"[..]]));
    // An answer without a body may be one whose GET has a body of a length that nobody knows.
    let reply = twice(&host, &answered("HEAD", json!({})));
    assert_eq!((reply.status, reply.header("content-length")), (200, None));
    // A GET's length is its body's, whatever the app says.
    let reply =
        twice(&host, &answered("GET", json!({ "headers": [["content-length", "9"]], "body": "four" })));
    assert_eq!((reply.text(), reply.header_bytes("content-length")), ("four".to_owned(), vec![&b"4"[..]]));

    let reply = twice(&host, &Call::new("HEAD", "/apps/none"));
    assert_eq!(reply.status, 404);
    assert!(reply.header("content-length").unwrap().parse::<usize>().unwrap() > 50);
    assert_eq!(twice(&host, &Call::new("HEAD", "/healthz")).header("content-length").as_deref(), Some("3"));
}

#[test]
fn a_status_without_a_body_has_none() {
    let host = launch().start();
    for method in ["GET", "HEAD"] {
        let reply = twice(&host, &answered(method, json!({ "status": 204, "body": "x" })));
        assert_eq!((reply.status, reply.header("content-length")), (204, None), "{method}");
        let headers = json!([["etag", "\"7\""], ["content-length", "123"]]);
        let reply =
            twice(&host, &answered(method, json!({ "status": 304, "body": "x", "headers": headers })));
        assert_eq!((reply.status, reply.header("etag").as_deref()), (304, Some("\"7\"")), "{method}");
        assert_eq!(reply.header_bytes("content-length"), [b"123"], "{method}: what a 200 would have");
        // A framework sets this one for the empty body.
        let empty = json!({ "status": 304, "headers": [["content-length", "0"]] });
        let reply = twice(&host, &answered(method, empty));
        assert_eq!((reply.status, reply.header("content-length")), (304, None), "{method}");
        let reply = twice(&host, &answered(method, json!({ "status": 304, "body": "x" })));
        assert_eq!((reply.status, reply.header("content-length")), (304, None), "{method}");
        let reply = twice(&host, &answered(method, json!({ "status": 205, "body": "x" })));
        assert_eq!((reply.status, reply.header("content-length").as_deref()), (205, Some("0")), "{method}");
    }
}

#[test]
fn a_status_that_is_no_answer_is_refused() {
    let host = launch().start();
    for status in [0, 99, 100, 101, 103, 600, 700, 999, 1000] {
        assert_eq!(host.call(&answered("GET", json!({ "status": status }))).status, 500, "{status}");
    }
}

#[test]
fn headers_of_the_connection_do_not_come_from_the_app() {
    let host = launch().start();
    let headers = json!([
        ["connection", "close, X-Hop"],
        ["x-hop", "1"],
        ["x-stays", "2"],
        ["keep-alive", "timeout=5"],
        ["proxy-connection", "close"],
        ["transfer-encoding", "chunked"],
        ["te", "trailers"],
        ["trailer", "x-late"],
        ["upgrade", "h2c"],
        ["date", "Thu, 01 Jan 1970 00:00:00 GMT"],
        ["server", "the app"],
        ["set-cookie", "a=1"],
        ["set-cookie", "b=2"]
    ]);
    let reply = twice(&host, &answered("GET", json!({ "headers": headers, "body": "four" })));
    assert_eq!(reply.text(), "four");
    for name in [
        "connection",
        "x-hop",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
    ] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    assert_eq!(reply.header("x-stays").as_deref(), Some("2"));
    assert_eq!(reply.header_bytes("date"), [b"Thu, 01 Jan 1970 00:00:00 GMT"]);
    assert_eq!(reply.header_bytes("server"), [b"the app"]);
    assert_eq!(reply.header_bytes("set-cookie"), [b"a=1", b"b=2"]);
    assert_eq!(host.get("/apps/probe/get-only").header_bytes("date").len(), 1, "the host's own");

    let reply = host.call(&answered("GET", json!({ "status": 426, "headers": [["upgrade", "websocket"]] })));
    assert_eq!((reply.status, reply.header("upgrade").as_deref()), (426, Some("websocket")));
    assert_eq!(reply.header("connection").as_deref(), Some("upgrade"));
}

#[test]
fn what_answered_and_how_long_it_took_is_said_when_asked_for() {
    let apps = json!({
        "defaults": { "server_timing": true },
        "apps": [
            { "name": "both", "path": "libprobe.so", "app_header": true },
            { "name": "one", "path": "libprobe.so", "server_timing": false, "app_header": true },
            { "name": "other", "path": "libprobe.so" }
        ]
    });
    let host = Launch::serve(apps).library("probe").start();
    let answer = json!({ "headers": [["server-timing", "db;dur=3"], ["x-atoll-app", "forged"]] }).to_string();
    let call = |app: &str| host.call(&Call::get(&format!("/apps/{app}/answer")).header("x-answer", &answer));
    let both = call("both");
    assert_eq!(both.header("x-atoll-app").as_deref(), Some("both/0.1.0#1"));
    let [own, hosts] = both.header_bytes("server-timing")[..] else { panic!("{:?}", both.headers) };
    assert_eq!(own, b"db;dur=3");
    let times = std::str::from_utf8(hosts).unwrap();
    let (queue, app) = times.strip_prefix("queue;dur=").unwrap().split_once(", app;dur=").unwrap();
    // The first request waits for the app's start.
    assert!(queue.parse::<f64>().unwrap() > 0.0 && app.parse::<f64>().unwrap() > 0.0, "{times}");

    let one = call("one");
    assert_eq!(
        (one.header("x-atoll-app").as_deref(), one.header_bytes("server-timing").len()),
        (Some("one/0.1.0#1"), 1)
    );
    let other = call("other");
    assert_eq!(other.header_bytes("server-timing").len(), 2);
}

#[test]
fn options_are_the_apps_and_of_the_host_the_hosts() {
    let host = launch().start();
    let options = answered("OPTIONS", json!({ "status": 204, "headers": [["allow", "GET"]] }));
    assert_eq!(host.call(&options).header("allow").as_deref(), Some("GET"));
    let reply = twice(&host, &Call::new("OPTIONS", "*"));
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("allow").as_deref(), Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    host.call(&Call::get("*")).problem(404, "not-found");
    let reply = twice(&host, &Call::new("OPTIONS", "/healthz"));
    assert_eq!(reply.header("allow").as_deref(), Some("GET, HEAD, OPTIONS"));
    let problem = host.post("/readyz", "x").problem(405, "method-not-allowed");
    assert_eq!(problem["detail"], "Use GET or HEAD here, not POST.");
    let reply = host.call(&Call::new("CONNECT", "example.com:443"));
    reply.problem(405, "method-not-allowed");
    assert_eq!(reply.header("connection").as_deref(), Some("close"));
}

#[test]
fn segments_of_dots_are_not_routed() {
    let apps = ["probe", "other"].map(|name| json!({ "name": name, "path": "libprobe.so" }));
    let host = Launch::serve(json!(apps)).library("probe").start();
    for path in [
        "/apps/probe/x/../../other/seen/",
        "/apps/probe/./seen/",
        "/apps/probe/seen/..",
        "/apps/probe/%2e%2e/other/seen/",
        "/apps/probe/%2E%2e/other/seen/",
        "/apps/probe/.%2e/other/seen/",
        "/apps/probe/..%2fother/seen/",
        "/apps/probe/x%2F..%2f..%2fother/seen/",
        "/apps/probe/..\\other/seen/",
        "/apps/probe%5c..%5Cother/seen/",
        "/rpc/../apps/other/seen/",
        "/./healthz",
    ] {
        for method in ["GET", "POST"] {
            let problem = host.call(&Call::new(method, path)).problem(400, "bad-request");
            assert!(problem["detail"].as_str().unwrap().contains("`..`"), "{path}: {problem}");
        }
    }
    for path in ["/seen/.../x", "/seen/.well-known", "/seen/a%2Fb", "/seen/a..b/..c/d..", "/seen/%252e%252e/"]
    {
        assert_eq!(host.get(&format!("/apps/probe{path}")).json()["path"], path);
    }
    assert_eq!(host.get("/apps/probe/seen/?to=/../x").json()["query"], "to=/../x");
}

/// What is answered to a request with this text as the value of `Host`.
fn with_host(host: &Host, value: &[u8]) -> Reply {
    let mut connection = host.connect();
    connection.write(&[b"GET /apps/probe/seen/ HTTP/1.1\r\nhost: ", value, b"\r\n\r\n"].concat()).unwrap();
    connection.receive("GET").unwrap()
}

#[test]
fn a_host_that_is_none_is_refused() {
    let host = launch().start();
    for bad in [
        &b"a b"[..],
        b"a/b",
        b"a@b",
        b"a:b@c",
        b"[::1",
        b"::1",
        b"[::1]x",
        b"[g::]",
        b"a:99999",
        b"a:65536",
        b"a:x",
        b"a:-1",
        b"a%2",
        b"a?b",
        b"a#b",
        b"a\\b",
        b"<a>",
        b"a\"b",
        b"caf\xe9",
        b"caf\xc3\xa9",
        b"http://a",
        b":80",
        b"a, b",
    ] {
        let reply = with_host(&host, bad);
        reply.problem(400, "bad-request");
    }
    for good in [
        &b"a"[..],
        b"A.Example.:80",
        b"a_b.c-d",
        b"127.0.0.1:65535",
        b"[::1]",
        b"[::ffff:1.2.3.4]:80",
        b"a:",
        b"xn--bcher-kva.de",
        b"a%20b",
        b"",
    ] {
        assert_eq!(with_host(&host, good).status, 200, "{}", good.escape_ascii());
    }
    for target in ["http://a@b/apps/probe/seen/", "http://a:99999/apps/probe/seen/"] {
        assert_eq!(host.get(target).status, 400, "{target}");
    }
    let mut twice = host.connect();
    twice.write(b"GET /apps/probe/seen/ HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n").unwrap();
    assert_eq!(twice.receive("GET").unwrap().status, 400);
}

#[test]
fn a_page_without_its_slash_is_elsewhere() {
    let apps = json!([{ "name": "probe", "path": "libprobe.so" }]);
    let host = Launch::serve(apps).library("probe").args(["--trusted-proxy", "127.0.0.1"]).start();
    for (method, target, to) in [
        ("GET", "/apps/probe", "/apps/probe/"),
        ("HEAD", "/apps/probe", "/apps/probe/"),
        ("GET", "/apps/probe?a=/b&c=%20", "/apps/probe/?a=/b&c=%20"),
        ("GET", "http://a.example/apps/probe?", "/apps/probe/?"),
    ] {
        let reply = host.call(&Call::new(method, target));
        assert_eq!((reply.status, reply.header("location").as_deref()), (308, Some(to)), "{method} {target}");
    }
    for (outer, to) in
        [("/outer", "/outer/apps/probe/"), ("/a/b/", "/a/b/apps/probe/"), ("//evil.example", "/apps/probe/")]
    {
        let reply = host.call(&Call::get("/apps/probe").header("x-forwarded-prefix", outer));
        assert_eq!(reply.header("location").as_deref(), Some(to), "{outer}");
    }
    host.post("/apps/probe", "").problem(404, "app-error");
    host.get("/apps/nobody").problem(404, "unknown-app");
}

#[test]
fn a_long_name_of_no_app_costs_nothing() {
    let apps: Vec<_> = (0..1_000).map(|n| json!({ "name": format!("app-{n}"), "path": "none.so" })).collect();
    let host = Host::start(json!(apps), &[]);
    for path in ["apps", "rpc"] {
        let begun = std::time::Instant::now();
        for _ in 0..20 {
            let target = format!("/{path}/{}{}", "a".repeat(30_000), if path == "apps" { "/" } else { "" });
            let problem = host.get(&target).problem(404, "unknown-app");
            assert!(problem["detail"].as_str().unwrap().contains("30000 bytes"));
        }
        // One of them took 6 s in an optimised build.
        assert!(begun.elapsed() < std::time::Duration::from_secs(6), "{:?}", begun.elapsed());
    }
    let problem = host.get("/apps/app-1x/").problem(404, "unknown-app");
    assert!(problem["detail"].as_str().unwrap().contains("Did you mean `app-1`?"), "{problem}");
    assert_eq!(host.get(&format!("/apps/{}/", "a".repeat(64))).status, 404);
}

#[test]
fn any_number_of_options_of_a_connection_is_read() {
    let host = launch().start();
    let seen = seen(&host, |call| {
        let options = "x,y,".repeat(15_000) + "a1";
        let call = call.header("connection", options);
        (0..80).fold(call, |call, n| call.header(&format!("a{n}"), "1"))
    });
    assert_eq!((seen.values("a0"), seen.values("a1")), (vec!["1"], vec![]));
}

#[test]
fn no_client_is_told_to_send_what_nobody_reads() {
    let host = launch().start();
    let head = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n")
            .into_bytes()
    };
    for path in ["/apps/none/x", "/none", "/apps/probe/../none", "/readyz"] {
        let mut connection = host.connect();
        connection.write(&head(path)).unwrap();
        let first = connection.head().unwrap();
        assert!((400..500).contains(&first.status), "{path}: {}", first.status);
    }
    let mut connection = host.connect();
    connection.write(&head("/apps/probe/echo")).unwrap();
    assert_eq!(connection.head().unwrap().status, 100);
    connection.write(b"body").unwrap();
    assert_eq!(connection.receive("POST").unwrap().text(), "body");
}
