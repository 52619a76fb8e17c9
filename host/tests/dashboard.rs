//! The dashboard, in a real browser.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod browser;
mod installed;
mod support;

use browser::{Browser, Chromium};
use fantoccini::key::Key;
use serde_json::{Value, json};
use support::{Call, Connection, Host, Launch, Reply, Server, library, versioned, wait_until};

/// A host with the dashboard.
fn launch(apps: Value) -> Launch {
    Launch::serve(apps).args(["--admin", "127.0.0.1:0"])
}

fn hello_and_bad() -> Value {
    json!([
        { "name": "hello", "path": library("hello") },
        { "name": "bad", "path": library("probe"), "queue": 7, "env": { "SECRET": "s3cret" } },
    ])
}

fn page(host: &Host, route: &str) -> String {
    format!("http://{}/{route}", host.admin())
}

fn ask(host: &Host, call: &Call) -> Reply {
    Connection::open(host.admin()).unwrap().call(call).unwrap()
}

/// An expression: the row of this app.
fn row(app: &str) -> String {
    format!(
        "[...document.querySelectorAll('.apps tbody tr')].find((row) => row.cells[0].innerText.trim() === '{app}')"
    )
}

#[test]
fn a_request_is_seen_as_it_happens() {
    let Some(chromium) = Chromium::installed() else { return };
    let host = launch(hello_and_bad()).start();
    chromium.drive(async |browser| {
        browser.goto(&page(&host, "")).await;
        browser.until(&format!("{}?.innerText.includes('cold')", row("hello"))).await;
        browser.says("#link", "live").await;
        assert_eq!(host.get("/apps/hello/greet/ada").status, 200);
        browser.until(&format!("{}?.innerText.includes('serving')", row("hello"))).await;
        browser.until(&format!("/✓ served/.test({}?.innerText)", row("hello"))).await;
        browser.until(&format!("{}.cells[5].innerText.includes(' ms')", row("hello"))).await;
        browser.says(".figures", "1 in total").await;
        browser
            .until("/requests\\/s: .* now, between/.test(document.querySelector('.chart svg').ariaLabel)")
            .await;
        host.get("/apps/bad/panic");
        browser.until(&format!("{}.cells[7].innerText.trim() === '1'", row("bad"))).await;
    });
}

#[test]
fn charts_begin_with_what_the_host_has_kept() {
    let Some(chromium) = Chromium::installed() else { return };
    let host = launch(hello_and_bad()).start();
    for _ in 0..50 {
        assert_eq!(host.get("/apps/hello/greet/ada").status, 200);
    }
    // In a point of five seconds, they are ten a second.
    let rate = |path: &str| {
        let history = ask(&host, &Call::get(path)).json();
        assert_eq!(history["step_ms"], 5000);
        let points = history["points"].as_array().unwrap().clone();
        points.iter().map(|point| point["per_second"].as_f64().unwrap()).fold(0.0, f64::max)
    };
    wait_until("the host has kept a point", || rate("/api/v1/apps/hello/stats") > 1.0);
    assert!(rate("/api/v1/stats/history") > 1.0);
    assert_eq!(rate("/api/v1/apps/bad/stats"), 0.0);
    ask(&host, &Call::get("/api/v1/apps/nobody/stats")).problem(404, "unknown-app");
    chromium.drive(async |browser| {
        for route in ["", "#/apps/hello"] {
            browser.goto(&page(&host, route)).await;
            let label = "document.querySelector('.chart svg')?.ariaLabel";
            browser.until(&format!("/requests\\/s: 0 now, between 0 and [1-9]/.test({label})")).await;
        }
    });
}

#[test]
fn the_page_is_reached_and_used_by_keyboard() {
    let Some(chromium) = Chromium::installed() else { return };
    let host = launch(hello_and_bad()).start();
    chromium.drive(async |browser| {
        browser.goto(&page(&host, "")).await;
        browser.until(&row("hello")).await;
        // The apps are sorted by name: the first link of the table is that of the first one.
        for _ in 0..40 {
            browser.press(Key::Tab).await;
            if browser.run("return document.activeElement.matches('.apps tbody a')").await == true {
                break;
            }
        }
        assert_eq!(browser.run("return document.activeElement.innerText").await, "bad");
        browser.press(Key::Enter).await;
        browser.until("location.hash === '#/apps/bad'").await;
        browser.until("document.activeElement.matches('h1')").await;
        assert_eq!(browser.text("h1").await, "bad");
        assert_eq!(browser.run("return document.title").await, "bad · Atoll");
    });
}

#[test]
fn rows_are_filtered_and_sorted() {
    let Some(chromium) = Chromium::installed() else { return };
    let apps: Vec<Value> =
        (0..1000).map(|n| json!({ "name": format!("app-{n:03}"), "path": library("hello") })).collect();
    let host = launch(Value::Array(apps)).start();
    chromium.drive(async |browser| {
        browser.goto(&page(&host, "")).await;
        browser.until("document.querySelectorAll('.apps tbody tr').length === 1000").await;
        assert_eq!(host.get("/apps/app-500/").status, 200);
        browser.fill("#filter", "serving").await;
        browser.says(".shown", "1 of 1000 apps").await;
        browser.until("document.querySelector('.apps tbody').innerText.includes('app-500')").await;
        browser.fill("#filter", "app-00").await;
        browser.until("document.querySelectorAll('.apps tbody tr').length === 10").await;
        browser.click(".apps thead th:first-child button").await;
        browser.until("document.querySelector('.apps thead th').ariaSort === 'descending'").await;
        browser.until("document.querySelector('.apps tbody tr').innerText.includes('app-009')").await;
    });
}

#[test]
fn an_app_shows_its_generations_panics_log_and_settings() {
    let Some(chromium) = Chromium::installed() else { return };
    let host = launch(hello_and_bad()).start();
    chromium.drive(async |browser| {
        browser.goto(&page(&host, "#/apps/bad")).await;
        browser.says(".phase", "cold").await;
        assert_eq!(host.get("/apps/bad/panic").status, 500);
        browser.says(".faults", "this handler panics").await;
        browser.until("[...document.querySelectorAll('.backtrace li')].some((frame) => frame.innerText.includes('probe'))").await;
        browser.says(".page", "GET /apps/bad/panic").await;
        host.post("/apps/bad/log", "<b>what the app says</b>");
        browser.says(".log", "<b>what the app says</b>").await;
        let settings = browser.text(".settings").await;
        assert!(settings.contains("queue 7 app") && settings.contains("***"), "{settings}");
        assert!(!settings.contains("s3cret"));
        browser.says(".usage", "GiB·h").await;
        browser.click("#do-reload").await;
        browser.says("#done", "Generation 2 is serving").await;
        browser.says("[data-generation='2']", "serving").await;
        browser.says("[data-generation='1']", "unloaded").await;
    });
}

#[test]
fn a_fault_that_ended_the_host_is_shown_with_its_request() {
    let Some(chromium) = Chromium::installed() else { return };
    let host = launch(json!([{ "name": "bad", "path": library("faults") }])).start();
    // Without its client the request may be cancelled before.
    let mut client = host.connect();
    client.send(&Call::get("/apps/bad/now/null")).unwrap();
    let host = host.ended().serve_again().args(["--admin", "127.0.0.1:0"]).start();
    chromium.drive(async |browser| {
        for route in ["", "#/apps/bad"] {
            browser.goto(&page(&host, route)).await;
            browser.says(".faults", "SIGSEGV: null pointer dereference").await;
            browser.says(".faults", "GET /apps/bad/now/null").await;
            browser.says(".faults", "worker 0").await;
            let names_it = "[...document.querySelectorAll('.faults .backtrace li')].some((frame) => frame.textContent.includes('read_null'))";
            browser.until(names_it).await;
        }
    });
}

#[test]
fn the_buttons_change_an_app() {
    let Some(chromium) = Chromium::installed() else { return };
    let host = launch(hello_and_bad()).start();
    host.get("/apps/hello/");
    let phase = || ask(&host, &Call::get("/api/v1/apps/hello")).json()["phase"].clone();
    chromium.drive(async |browser| {
        browser.goto(&page(&host, "#/apps/hello")).await;
        browser.until("!document.querySelector('#do-stop').ariaDisabled").await;
        browser.click("#do-stop").await;
        browser.says("dialog h2", "Stop hello?").await;
        assert_eq!(browser.run("return document.activeElement.innerText").await, "Cancel");
        browser.press(Key::Escape).await;
        browser.until("!document.querySelector('dialog')").await;
        assert_eq!(browser.run("return document.activeElement.id").await, "do-stop");
        assert_eq!(phase(), "serving", "what is not agreed to is not done");
        browser.click("#do-stop").await;
        browser.click("dialog .danger").await;
        browser.says("#done", "hello stopped").await;
        assert_eq!(phase(), "cold");
        browser.until("!document.querySelector('#do-start').ariaDisabled").await;
        browser.click("#do-start").await;
        browser.says("#done", "Generation 2 is serving").await;
        browser.click("#do-disable").await;
        browser.click("dialog .danger").await;
        browser.says("#done", "hello disabled").await;
        browser.says(".phase", "disabled").await;
        host.get("/apps/hello/").problem(503, "unavailable");
        browser.until("!document.querySelector('#do-enable').ariaDisabled").await;
        browser.click("#do-enable").await;
        browser.says("#done", "hello enabled").await;
        assert_eq!(host.get("/apps/hello/").status, 200);
        browser.run("const level = document.querySelector('.level select'); level.value = 'debug'; level.dispatchEvent(new Event('change'))").await;
        browser.says("#done", "set to debug").await;
        assert_eq!(ask(&host, &Call::get("/api/v1/apps/hello")).json()["log_level"], "debug");
    });
}

#[test]
fn the_versions_of_an_app_are_listed_and_one_is_promoted() {
    let Some(chromium) = Chromium::installed() else { return };
    let host = launch(json!([{ "name": "v", "path": "v.so" }])).write("v.so", versioned(1)).start();
    assert_eq!(host.get("/apps/v/").text(), "1");
    let states =
        "[...document.querySelectorAll('.versions tbody .phase')].map((state) => state.innerText).join()";
    chromium.drive(async |browser| {
        browser.goto(&page(&host, "#/apps/v")).await;
        browser.until(&format!("{states} === 'current'")).await;
        host.replace("v.so", versioned(2));
        browser.until(&format!("{states} === 'current,previous'")).await;
        assert_eq!(host.get("/apps/v/").text(), "2");
        browser.click("[aria-label^='Promote ']").await;
        browser.click("dialog .danger").await;
        browser.says("#done", "is serving").await;
        browser.until(&format!("{states} === 'previous,current'")).await;
    });
    assert_eq!(host.get("/apps/v/").text(), "1");
}

#[test]
fn a_request_is_sent_by_hand() {
    let Some(chromium) = Chromium::installed() else { return };
    let host = launch(hello_and_bad()).start();
    chromium.drive(async |browser| {
        browser.goto(&page(&host, "#/apps/hello")).await;
        browser.fill("[name='path']", "/greet/ada").await;
        browser.click(".invoke .primary").await;
        browser.says(".answer .status", "200").await;
        browser.says(".answer .body", "\"name\": \"ada\"").await;
        browser.fill("[name='headers']", "no colon").await;
        browser.click(".invoke .primary").await;
        browser.says(".answer", "has no colon").await;
    });
}

#[test]
fn the_token_is_asked_for_once() {
    let Some(chromium) = Chromium::installed() else { return };
    let host =
        launch(hello_and_bad()).write("token", "the-token\n").args(["--admin-token-file", "token"]).start();
    chromium.drive(async |browser| {
        browser.goto(&page(&host, "#/apps/hello")).await;
        browser.until("!document.querySelector('#do-start').ariaDisabled").await;
        browser.click("#do-start").await;
        browser.says("dialog h2", "Admin token").await;
        browser.fill("#token", "wrong").await;
        browser.press(Key::Enter).await;
        browser.says("dialog", "Invalid token").await;
        browser.fill("#token", "the-token").await;
        browser.press(Key::Enter).await;
        browser.says("#done", "Generation 1 is serving").await;
        browser.click("#do-reload").await;
        browser.says("#done", "Generation 2 is serving").await;
        // The browser itself writes down each refusal.
        let refused = browser.log("browser");
        assert!(
            refused.iter().all(|entry| entry["message"].as_str().unwrap().contains("401")),
            "{refused:?}"
        );
    });
}

#[test]
fn a_host_that_is_gone_is_missed_and_found_again() {
    let Some(chromium) = Chromium::installed() else { return };
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let launch = || Launch::serve(hello_and_bad()).args(["--admin", &address.to_string()]).start();
    let host = launch();
    let mut again = None;
    chromium.drive(async |browser| {
        browser.goto(&page(&host, "")).await;
        browser.says("#link", "live").await;
        host.stop();
        browser.says("#lost", "Cannot reach the host").await;
        again = Some(launch());
        browser.says("#link", "live").await;
        browser.until("document.querySelector('#lost').innerText === ''").await;
        // The browser itself writes down each connection that fails.
        browser.log("browser");
    });
    drop(again);
}

#[test]
fn it_fits_a_phone_and_the_dark() {
    let Some(chromium) = Chromium::installed() else { return };
    let host = launch(hello_and_bad()).start();
    host.get("/apps/bad/panic");
    chromium.drive(async |browser| {
        let metrics = json!({ "width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": true });
        browser.devtools("Emulation.setDeviceMetricsOverride", &metrics);
        for (route, there) in [("", ".apps tbody tr"), ("#/apps/bad", ".backtrace")] {
            browser.goto("about:blank").await;
            browser.goto(&page(&host, route)).await;
            browser.until(&format!("document.querySelector('{there}')")).await;
            let fits = "return [innerWidth, document.documentElement.scrollWidth]";
            assert_eq!(browser.run(fits).await, json!([320, 320]), "{route}");
        }
        let back = "return getComputedStyle(document.body).backgroundColor";
        let mut backs = Vec::new();
        for scheme in ["light", "dark"] {
            let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            browser.devtools("Emulation.setEmulatedMedia", &media);
            backs.push(browser.run(back).await);
        }
        assert_eq!(backs, [json!("rgb(246, 247, 248)"), json!("rgb(15, 20, 24)")]);
    });
}

#[test]
fn the_page_comes_with_a_strict_policy_and_nothing_beside_it() {
    let host = launch(hello_and_bad()).start();
    let reply = ask(&host, &Call::get("/"));
    assert_eq!(reply.header("content-type").as_deref(), Some("text/html; charset=utf-8"));
    let policy = reply.header("content-security-policy").unwrap();
    assert_eq!(
        policy,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let tag = reply.header("etag").unwrap();
    let again = ask(&host, &Call::get("/").header("if-none-match", &tag));
    assert_eq!((again.status, again.body.len()), (304, 0));
    for path in ["/dashboard/", "/dashboard/..%2fadmin.rs", "/dashboard/nothing.js", "/style.css"] {
        ask(&host, &Call::get(path)).problem(404, "not-found");
    }
}

#[test]
fn nothing_leaves_the_host_and_nothing_foreign_runs() {
    let Some(chromium) = Chromium::installed() else { return };
    let host = launch(hello_and_bad()).start();
    chromium.drive(async |browser| {
        let asked = async |browser: &Browser, route: &str, there: &str| {
            browser.goto(&page(&host, route)).await;
            browser.until(&format!("document.querySelector('{there}')")).await;
            browser.requested()
        };
        let mut requested = asked(browser, "", ".apps tbody tr").await;
        requested.extend(asked(browser, "#/apps/hello", ".settings").await);
        assert!(requested.len() > 10, "{requested:?}");
        let own = page(&host, "");
        let foreign: Vec<_> = requested.iter().filter(|url| !url.starts_with(&own)).collect();
        assert!(foreign.is_empty(), "{foreign:?}");
        // A script in the page's own text does not run.
        browser.run("const script = document.createElement('script'); script.textContent = 'window.foreign = 1'; document.body.append(script)").await;
        assert_eq!(browser.run("return window.foreign === undefined").await, true);
        let refused = browser.log("browser");
        assert!(refused[0]["message"].as_str().unwrap().contains("Content Security Policy"), "{refused:?}");
    });
}

#[test]
fn an_app_shows_its_versions_with_their_traffic() {
    let Some(chromium) = Chromium::installed() else { return };
    let server = Server::start();
    server.pushed(json!({}), versioned(1));
    assert!(server.push(json!({}), versioned(2)).arg("--no-promote").run().status.success());
    let id = server.versions()[0]["id"].as_str().unwrap().to_owned();
    chromium.drive(async |browser| {
        browser.goto(&page(&server.host, "#/apps/app")).await;
        browser.says(".versions", "staged").await;
        assert!(server.run("traffic", &["app", "new=25", "--preview"]).status.success());
        browser.says(".versions", "beside: serving").await;
        browser.says(".versions", "75 %").await;
        browser.says(".versions", &format!("preview at /apps/app@{id}/")).await;
        browser.goto(&page(&server.host, "")).await;
        browser.until(&format!("{}?.innerText.includes('{id} (25 %)')", row("app"))).await;
    });
}

#[test]
fn a_rollout_is_shown_with_what_its_verdict_is_made_of() {
    let Some(chromium) = Chromium::installed() else { return };
    let server = Server::start();
    let settings = json!({ "rollout": { "steps": [30] } });
    server.pushed(settings.clone(), versioned(1));
    let push = server.push(settings, versioned(2)).spawn();
    chromium.drive(async |browser| {
        browser.goto(&page(&server.host, "#/apps/app")).await;
        browser.says(".rollout", "step 1 of 1, 30 % of the clients").await;
        browser.says(".rollout", "no verdict yet").await;
        browser.says(".page", "Evidence, 1 aborts").await;
        assert!(server.run("traffic", &["app", "--end"]).status.success());
        browser.says(".rollout", "aborted: it was ended by hand").await;
    });
    assert_eq!(push.ended().status.code(), Some(4));
}
