//! Routes: apps by host and path.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use serde_json::{Value, json};
use support::{Host, Launch, Reply, wait_until};

fn app(name: &str, route: Value) -> Value {
    json!({ "name": name, "path": "libprobe.so", "route": route })
}

fn start(apps: Value) -> Host {
    Launch::serve(apps).library("probe").start()
}

/// What `atoll ls` shows.
fn ls(host: &Host, args: &[&str]) -> String {
    let launch = Launch::command("ls").args(args).args(["--config", &host.path("apps.json")]);
    launch.env("TMPDIR", host.folder().join("tmp")).run().stdout
}

fn name(reply: &Reply) -> String {
    reply.json()["app"].as_str().unwrap().to_owned()
}

#[test]
fn a_route_takes_its_prefix_off() {
    let host = start(json!([app("one", json!({ "path_prefix": "/v1/deep" }))]));
    let seen = host.get("/v1/deep/seen/a%20b//c?q").json();
    assert_eq!((&seen["prefix"], &seen["path"]), (&json!("/v1/deep"), &json!("/seen/a%20b//c")));
    assert_eq!(seen["query"], "q");
    let headers = seen["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-forwarded-prefix", "/v1/deep"])), "{seen}");
    // The app's own answers, with the path `/`.
    host.get("/v1/deep/").problem(404, "app-error");
    // A page's links are relative to the URL that the browser has.
    let moved = host.get("/v1/deep?x=1");
    assert_eq!((moved.status, moved.header("location").as_deref()), (308, Some("/v1/deep/?x=1")));
    host.post("/v1/deep", "").problem(404, "app-error");
    for path in ["/", "/v1", "/v1/deeper/start", "/V1/deep/start"] {
        host.get(path).problem(404, "not-found");
    }
    assert_eq!(name(&host.get("/apps/one/start")), "one");
}

#[test]
fn a_host_and_the_longest_prefix_choose_the_app() {
    let host = start(json!([
        app("api", json!({ "host": "api.example.com" })),
        app("v2", json!([{ "host": "API.example.com", "path_prefix": "/v2" }, { "path_prefix": "/two" }])),
        app("tenant", json!({ "host": "*.example.com" })),
        app("rest", json!({ "path_prefix": "/" })),
    ]));
    // `Host: localhost` is sent with all of them; another one is in the target.
    for (target, expected) in [
        ("http://api.example.com/start", "api"),
        ("http://Api.Example.Com:81/v2/start", "v2"),
        ("http://some.example.com/start", "tenant"),
        ("http://example.com/start", "rest"),
        ("http://api.example.com/apps/tenant/start", "tenant"),
        ("/two/start", "v2"),
        ("/start", "rest"),
    ] {
        assert_eq!(name(&host.get(target)), expected, "{target}");
    }
    let seen = host.get("http://api.example.com:81/seen/x").json();
    assert_eq!((&seen["prefix"], &seen["path"]), (&json!(""), &json!("/seen/x")));
    let headers = seen["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["host", "api.example.com:81"])), "{seen}");
    assert!(headers.iter().all(|header| header[0] != "x-forwarded-prefix"), "nothing is taken off: {seen}");
    // What is the host's stays so.
    assert_eq!(host.get("http://api.example.com/healthz").text(), "ok\n");
    host.get("/apps/none/start").problem(404, "unknown-app");
    host.get("http://api.example.com/rpc/api").problem(405, "method-not-allowed");
    host.get("/readyz/start").problem(404, "unknown-app");
    for path in ["/apps", "/rpc", "/rpc/api/start", "/readyz/api/start"] {
        host.get(path).problem(404, "not-found");
    }
}

#[test]
fn routes_follow_the_file_and_start_nothing_anew() {
    let host = start(json!([app("one", json!({ "path_prefix": "/a" })), app("two", json!([]))]));
    assert_eq!(name(&host.get("/a/start")), "one");
    host.replace(
        "apps.json",
        json!([app("one", json!([])), app("two", json!({ "path_prefix": "/a" }))]).to_string(),
    );
    wait_until("the route is another's", || name(&host.get("/a/start")) == "two");
    assert_eq!(host.get("/apps/one/start").json()["generation"], 1);
    host.wait_for_log(&["changed one, two"]);

    host.replace("apps.json", json!([app("one", json!({ "path_prefix": "/a" }))]).to_string());
    wait_until("the route is back", || name(&host.get("/a/start")) == "one");
    assert_eq!(host.log_lines(&["one#2"]), [""; 0]);
}

#[test]
fn a_route_that_is_taken_changes_nothing() {
    let host = start(json!([app("one", json!({ "path_prefix": "/a" }))]));
    let both =
        json!([app("one", json!({ "path_prefix": "/a" })), app("two", json!({ "path_prefix": "/a" }))]);
    host.replace("apps.json", both.to_string());
    host.wait_for_log(&["apps[1].route", "duplicate route \"/a\" of the app `two` (first used by `one`)"]);
    assert_eq!(name(&host.get("/a/start")), "one");
    host.get("/apps/two/start").problem(404, "unknown-app");
}

#[test]
fn routes_are_shown() {
    let routes = json!([{ "path_prefix": "/a" }, { "host": "*.example.com", "path_prefix": "/b" }]);
    let host = start(json!([app("one", routes), app("two", json!([]))]));
    let base = format!("http://{}", host.address());
    let expected = format!("{base}/apps/one/, {base}/a, *.example.com/b\n");
    assert!(host.stdout().contains(&expected), "{}", host.stdout());
    let listed = ls(&host, &[]);
    assert!(listed.contains("ROUTES") && listed.contains("/a, *.example.com/b"), "{listed}");
    let json: Value = serde_json::from_str(&ls(&host, &["--format", "json"])).unwrap();
    assert_eq!(json["apps"][0]["routes"], json!(["/a", "*.example.com/b"]));
}
