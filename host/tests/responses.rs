//! What the settings `headers` and `cors` of an app do to responses: those of the app, and those of the host.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod browser;
mod installed;
mod support;

use browser::Chromium;
use serde_json::{Value, json};
use support::{Call, Host, Launch, Reply, library, wait_until};

/// A page's origin.
const PAGE: &str = "https://page.example";

/// The app `probe`, and one without a library, with these settings.
fn apps(settings: &Value) -> Value {
    let app = |name: &str, path: &str| {
        let mut app = json!({ "name": name, "path": path });
        app.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        app
    };
    json!([app("probe", "libprobe.so"), app("broken", "libbroken.so")])
}

fn start(settings: &Value) -> Host {
    Launch::serve(apps(settings)).library("probe").start()
}

/// A request of a page.
fn of_page(call: Call) -> Call {
    call.header("origin", PAGE)
}

/// What a browser asks before it sends a request of a page.
fn preflight(path: &str, method: &str, headers: &str) -> Call {
    let call = of_page(Call::new("OPTIONS", path)).header("access-control-request-method", method);
    if headers.is_empty() { call } else { call.header("access-control-request-headers", headers) }
}

/// A request that the app answers with these headers.
fn answered_with(headers: &Value) -> Call {
    Call::get("/apps/probe/answer").header("x-answer", json!({ "headers": headers }).to_string())
}

/// The values of a header, one after another.
fn all(reply: &Reply, name: &str) -> Vec<String> {
    reply.header_bytes(name).into_iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

/// Checks that no change has started another generation of these apps: the next one is the second.
#[track_caller]
fn check_generations(host: &Host, apps: &[&str]) {
    for app in apps {
        let reload = Launch::command("reload").args([app, "--config", &host.path("apps.json")]);
        let reload = reload.env("TMPDIR", host.folder().join("tmp")).run();
        assert!(reload.status.success(), "{}", reload.stderr);
        assert_eq!(host.get(&format!("/apps/{app}/start")).json()["generation"], 2, "{app}");
    }
}

fn allowed(reply: &Reply) -> Vec<String> {
    all(reply, "access-control-allow-origin")
}

#[test]
fn the_host_answers_preflights_and_no_app_sees_them() {
    let host = start(
        &json!({ "rate": 1, "cors": { "origins": [PAGE], "headers": ["X-Own", "content-type"], "methods": ["PUT"] } }),
    );
    // Also where there is no app that could.
    for path in ["/apps/probe/seen/x", "/apps/probe", "/rpc/probe", "/apps/broken/x", "/rpc/broken"] {
        for _ in 0..3 {
            let reply = host.call(&preflight(path, "PUT", "x-own"));
            assert_eq!((reply.status, reply.body.len()), (204, 0), "{path}");
            assert_eq!(allowed(&reply), [PAGE]);
            assert_eq!(all(&reply, "access-control-allow-methods"), ["PUT"]);
            assert_eq!(all(&reply, "access-control-allow-headers"), ["x-own,content-type"]);
            assert_eq!(all(&reply, "access-control-max-age"), ["600"]);
            assert_eq!(all(&reply, "access-control-allow-credentials"), [""; 0]);
            assert_eq!(all(&reply, "vary"), ["origin"]);
        }
    }
    assert_eq!(host.log_lines(&["probe#1"]), [""; 0], "no request has started it");
    // Any other OPTIONS is the app's.
    let reply = host.call(&of_page(Call::new("OPTIONS", "/apps/probe/seen/x")));
    assert_eq!((reply.status, &reply.json()["path"]), (200, &json!("/seen/x")));
    assert_eq!(allowed(&reply), [PAGE]);
}

#[test]
fn a_page_can_read_whatever_the_host_answers() {
    let host = start(&json!({
        "deadline_ms": 300, "body_limit": 10,
        "cors": { "origins": ["https://other.example", PAGE], "credentials": true, "expose_headers": ["retry-after"] },
    }));
    let json = |path: &str, body: &str| Call::post(path, body).header("content-type", "application/json");
    let method = r#"{"jsonrpc":"2.0","method":"no","id":1}"#;
    let long = format!("/apps/probe/{}", "x".repeat(40_000));
    for (call, status) in [
        (Call::get("/apps/probe/get-only"), 200),
        (Call::get("/apps/probe/none"), 404),
        (Call::get("/apps/probe"), 308),
        (Call::post("/apps/probe/get-only", ""), 405),
        (Call::post("/apps/probe/echo", "more than is taken"), 413),
        (Call::get("/apps/probe/error/418"), 418),
        (Call::get("/apps/probe/panic"), 500),
        (Call::get("/apps/probe/wait/for-ever"), 504),
        (Call::get(&long), 414),
        (Call::get("/apps/broken/"), 503),
        (Call::get("/rpc/probe"), 405),
        (Call::post("/rpc/probe", method), 415),
        (json("/rpc/probe", method), 413),
        (json("/rpc/broken", "[]"), 200),
    ] {
        let (target, sent) = (call.target().chars().take(60).collect::<String>(), of_page(call.clone()));
        let reply = host.call(&sent);
        assert_eq!((reply.status, allowed(&reply)), (status, vec![PAGE.to_owned()]), "{target}");
        assert_eq!(all(&reply, "access-control-allow-credentials"), ["true"], "{target}");
        assert_eq!(all(&reply, "access-control-expose-headers"), ["retry-after"], "{target}");
        assert_eq!(all(&reply, "vary"), ["origin"], "{target}");
        // What a cache has of no page, or of one that may not read it, is not for others.
        for call in [call.clone(), call.header("origin", "https://page.example.evil")] {
            let reply = host.call(&call);
            assert_eq!((reply.status, allowed(&reply)), (status, vec![]), "{target}");
            assert_eq!(all(&reply, "vary"), ["origin"], "{target}");
        }
    }
    assert_eq!(allowed(&host.call(&of_page(Call::get("/apps/none/")))), [""; 0], "no app has this name");
}

#[test]
fn the_setting_replaces_what_the_app_says_of_cors() {
    let own = json!([
        ["access-control-allow-origin", "https://own.example"],
        ["access-control-allow-credentials", "true"],
        ["access-control-expose-headers", "x-own"],
        ["vary", "accept, Origin"],
    ]);
    let call = of_page(answered_with(&own));
    let host = start(&json!({}));
    let reply = host.call(&call);
    assert_eq!(allowed(&reply), ["https://own.example"]);
    assert_eq!(all(&reply, "vary"), ["accept, Origin"]);
    // Without it, the app has the preflights, and nobody reads what the host says.
    let reply = host.call(&preflight("/apps/probe/seen/x", "PUT", ""));
    assert_eq!((reply.status, &reply.json()["path"]), (200, &json!("/seen/x")));
    let reply = host.call(&preflight("/rpc/probe", "POST", "content-type"));
    assert_eq!((reply.status, reply.header("allow").as_deref()), (204, Some("POST, OPTIONS")));
    for path in ["/apps/broken/", "/rpc/probe", "/rpc/broken"] {
        let reply = host.call(&of_page(Call::get(path)));
        assert_eq!((allowed(&reply), all(&reply, "vary")), (vec![], vec![]), "{path}");
    }

    host.replace("apps.json", apps(&json!({ "cors": { "origins": [PAGE] } })).to_string());
    wait_until("the setting is in force", || allowed(&host.call(&call)) == [PAGE]);
    let reply = host.call(&call);
    assert_eq!(all(&reply, "access-control-allow-credentials"), [""; 0]);
    assert_eq!(all(&reply, "access-control-expose-headers"), [""; 0]);
    assert_eq!(all(&reply, "vary"), ["accept, Origin"], "it says so already");
    let foreign = answered_with(&own).header("origin", "https://own.example");
    assert_eq!(allowed(&host.call(&foreign)), [""; 0]);

    host.replace("apps.json", apps(&json!({ "cors": { "origins": "*" } })).to_string());
    wait_until("the setting is in force", || allowed(&host.call(&call)) == ["*"]);
    let reply = host.call(&of_page(Call::get("/apps/probe/get-only")));
    assert_eq!(
        (allowed(&reply), all(&reply, "vary")),
        (vec!["*".to_owned()], vec![]),
        "it is the same for all"
    );
    assert_eq!(allowed(&host.get("/apps/broken/")), ["*"]);
    assert_eq!(host.log_lines(&["probe#2"]), [""; 0], "nothing was started anew");
}

#[test]
fn a_browser_agrees() {
    let Some(chromium) = Chromium::installed() else { return };
    let host = start(&json!({ "deadline_ms": 300 }));
    let port = host.address().port();
    let cors = json!({ "origins": [format!("http://localhost:{port}")], "methods": ["GET", "PUT", "POST"], "credentials": true });
    chromium.drive(async |browser| {
        browser.goto(&format!("http://localhost:{port}/apps/probe/get-only")).await;
        // To the same host by another name, which is another origin.
        let fetch = async |path: &str, options: &Value| {
            let script = format!(
                "return fetch('http://127.0.0.1:{port}{path}', {options}).then(got => got.status, () => 'unreadable')"
            );
            browser.run(&script).await
        };
        let asked = [
            ("/apps/probe/get-only", json!({}), json!(200)),
            ("/apps/probe/echo", json!({ "method": "PUT", "body": "x", "credentials": "include" }), json!(200)),
            ("/apps/probe/echo", json!({ "method": "PATCH", "body": "x" }), json!("unreadable")),
            ("/apps/probe/wait/for-ever", json!({}), json!(504)),
            ("/apps/broken/", json!({ "headers": { "authorization": "Bearer x" } }), json!(503)),
            ("/apps/broken/", json!({ "headers": { "x-other": "x" } }), json!("unreadable")),
            (
                "/rpc/probe",
                json!({ "method": "POST", "headers": { "content-type": "application/json" }, "body": "[]" }),
                json!(200),
            ),
        ];
        for (path, options, _) in &asked {
            assert_eq!(fetch(path, options).await, "unreadable", "{path} {options}");
        }
        host.replace("apps.json", apps(&json!({ "deadline_ms": 300, "cors": cors })).to_string());
        host.wait_for_log(&["changed"]);
        for (path, options, expected) in asked {
            assert_eq!(fetch(path, &options).await, expected, "{path} {options}");
        }
        // What it could not read it says in its console.
        browser.log("browser");
    });
}

#[test]
fn headers_are_set_added_and_removed_in_all_responses_for_an_app() {
    let host = start(&json!({
        "headers": { "X-Frame-Options": "DENY", "?cache-control": "no-store", "x-powered-by": null, "x-request-id": null },
        "cors": { "origins": [PAGE] },
    }));
    let own = answered_with(&json!([
        ["x-frame-options", "ALLOWALL"],
        ["X-Frame-Options", "SAMEORIGIN"],
        ["cache-control", "max-age=60"],
        ["x-powered-by", "an app"],
    ]));
    for (call, status, cache) in [
        (own, 200, "max-age=60"),
        (Call::get("/apps/probe/get-only"), 200, "no-store"),
        (Call::get("/apps/probe"), 308, "no-store"),
        (Call::get("/apps/probe/none"), 404, "no-store"),
        (Call::get("/apps/broken/"), 503, "no-store"),
        (Call::get("/rpc/probe"), 405, "no-store"),
        (preflight("/apps/broken/", "PUT", ""), 204, "no-store"),
    ] {
        let reply = host.call(&call);
        let target = call.target();
        assert_eq!(reply.status, status, "{target}");
        assert_eq!(all(&reply, "x-frame-options"), ["DENY"], "{target}");
        assert_eq!(all(&reply, "cache-control"), [cache], "{target}");
        assert_eq!((all(&reply, "x-powered-by"), all(&reply, "x-request-id")), (vec![], vec![]), "{target}");
    }
    for path in ["/healthz", "/", "/apps/none/"] {
        assert_eq!(host.get(path).header("x-frame-options"), None, "{path} is for no app");
    }
}

#[test]
fn the_headers_of_defaults_are_for_all_apps_and_changes_start_nothing_again() {
    let file = |defaults: Value, own: Value| {
        let app =
            |name: &str, headers: &Value| json!({ "name": name, "path": "libprobe.so", "headers": headers });
        json!({ "defaults": { "headers": defaults }, "apps": [app("one", &own), app("two", &json!({}))] })
    };
    let baseline = json!({ "Strict-Transport-Security": "max-age=31536000", "Content-Security-Policy": "default-src 'self'" });
    let own = json!({ "?content-security-policy": "default-src 'none'", "strict-transport-security": null });
    let host = Launch::serve(file(baseline, own)).library("probe").start();
    let answer = |app: &str, own: &Value| {
        let call = Call::get(&format!("/apps/{app}/answer"))
            .header("x-answer", json!({ "headers": own }).to_string());
        let reply = host.call(&call);
        assert_eq!(reply.status, 200);
        ["content-security-policy", "strict-transport-security"].map(|name| all(&reply, name).join(" and "))
    };
    let policy = json!([["content-security-policy", "img-src *"]]);
    assert_eq!(answer("one", &policy), ["img-src *", ""]);
    assert_eq!(answer("one", &json!([])), ["default-src 'none'", ""]);
    assert_eq!(answer("two", &policy), ["default-src 'self'", "max-age=31536000"]);

    host.replace("apps.json", file(json!({}), json!({})).to_string());
    wait_until("the settings are in force", || answer("two", &json!([])) == ["", ""]);
    assert_eq!(answer("one", &policy), ["img-src *", ""]);
    check_generations(&host, &["one", "two"]);
}

#[test]
fn the_head_before_another_protocol_stays_as_it_is() {
    let app = json!({
        "name": "streams", "path": library("streams"), "headers": { "x-own": "1", "sec-websocket-accept": null },
        "cors": { "origins": [PAGE] },
    });
    let host = Host::start(json!([app]), &[]);
    let mut connection = host.connect();
    connection
        .write(
            format!(
                "GET /apps/streams/ws HTTP/1.1\r\nHost: a\r\nOrigin: {PAGE}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            .as_bytes(),
        )
        .unwrap();
    let reply = connection.head().unwrap();
    assert_eq!((reply.status, reply.header("x-own"), allowed(&reply)), (101, None, vec![]));
    assert_eq!(reply.header("sec-websocket-accept").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}
