//! Pages that follow their app, as `atoll dev` has them.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod browser;
mod crates;
mod installed;
mod support;

use browser::{Browser, Chromium};
use crates::{answers, dev, save, wait_for_answer};
use serde_json::Value;
use support::{Call, Connection, Host, Reply, wait_until};

/// The source of an app with pages of many kinds; `text` is what its first one says.
fn pages(text: &str) -> String {
    format!(
        r##"use atoll_plugin::prelude::*;
        const PAGE: &str = "<!doctype html><title>Live</title><h1>{text}</h1><input id=typed>";
        fn app() -> Application {{
            Application::new()
                .get("/", |_: Request| Response::html(PAGE).header("etag", "\"1\"").header("cache-control", "max-age=600"))
                .get("/strict", |_: Request| Response::html(PAGE).header("content-security-policy", "default-src 'none'"))
                .get("/sandbox", |_: Request| Response::html(PAGE).header("content-security-policy", "sandbox"))
                .get("/encoded", |_: Request| Response::html(PAGE).header("content-encoding", "x-own"))
                .get("/echo", |req: Request| Response::text(format!("{{:?}}", req.header("accept-encoding"))))
                .get("/text", |_: Request| "<h1>text</h1>")
                .get("/missing", |_: Request| Response::html("<h1>nothing</h1>").status(404))
        }}
        atoll_plugin::export_app!(app);"##
    )
}

const MARK: &str = "/.atoll/live?app=";

/// As a browser asks for a page.
fn navigate(host: &Host, path: &str) -> Reply {
    let call = Call::get(path)
        .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
        .header("accept-encoding", "gzip, br")
        .header("sec-fetch-dest", "document");
    host.call(&call)
}

#[test]
fn a_script_is_added_to_pages_and_to_nothing_else() {
    let name = "live-pages";
    let host = dev(&[(name, &pages("first"))]).start();
    let at = |path: &str| format!("/apps/{name}{path}");

    let page = navigate(&host, &at("/"));
    assert!(page.text().starts_with("<!doctype html><title>Live</title><h1>first</h1>"), "{}", page.text());
    assert!(page.text().contains(MARK), "{}", page.text());
    assert_eq!(page.header("content-length").unwrap(), page.body.len().to_string());
    assert_eq!(page.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(page.header("etag"), None);
    assert!(navigate(&host, &at("/missing")).text().contains(MARK));
    assert_eq!(navigate(&host, &at("/missing")).status, 404);
    // Also one of the host's own.
    let unknown = navigate(&host, &at("/no/such/route"));
    assert!(unknown.status == 404 && unknown.text().contains(MARK), "{}", unknown.text());

    assert!(!navigate(&host, &at("/text")).text().contains(MARK));
    assert!(!navigate(&host, &at("/encoded")).text().contains(MARK));
    assert_eq!(navigate(&host, &at("/echo")).text(), "None", "a page is not to be compressed");
    let plain = host.get(&at("/"));
    assert!(!plain.text().contains(MARK));
    assert_eq!(plain.header("etag").as_deref(), Some("\"1\""), "what is no page is as the app says");
    let fetched = Call::get(&at("/")).header("accept", "text/html").header("sec-fetch-dest", "empty");
    assert!(!host.call(&fetched).text().contains(MARK));
    let head = Call::new("HEAD", &at("/")).header("accept", "text/html");
    assert_eq!(host.call(&head).header("etag").as_deref(), Some("\"1\""));

    let strict = navigate(&host, &at("/strict"));
    let policy = strict.header("content-security-policy").unwrap();
    let (_, nonce) = policy.split_once("'nonce-").unwrap();
    let nonce = nonce.split('\'').next().unwrap();
    assert_eq!(
        policy,
        format!("default-src 'none'; script-src-elem 'nonce-{nonce}'; connect-src localhost/.atoll/live")
    );
    assert!(strict.text().contains(&format!("<script nonce=\"{nonce}\">")), "{}", strict.text());
    let sandbox = navigate(&host, &at("/sandbox"));
    assert!(!sandbox.text().contains(MARK));
    assert_eq!(sandbox.header("content-security-policy").as_deref(), Some("sandbox"));
}

/// The next thing that a page is told.
fn next_state(stream: &mut Connection) -> Value {
    loop {
        let chunk = String::from_utf8(stream.chunk().unwrap().unwrap()).unwrap();
        if let Some(data) = chunk.strip_prefix("event: state\ndata: ") {
            return serde_json::from_str(data).unwrap();
        }
    }
}

#[test]
fn pages_are_told_of_versions_and_failures() {
    let name = "live-stream";
    let host = dev(&[(name, &answers("one"))]).start();
    let mut stream = host.connect();
    stream.send(&Call::get(&format!("{MARK}{name}"))).unwrap();
    assert_eq!(stream.head().unwrap().header("content-type").as_deref(), Some("text/event-stream"));
    let first = next_state(&mut stream);
    assert!(first["version"].is_string() && first["failure"].is_null(), "{first}");

    // That it starts is no other version; that another library waits for its start is.
    assert_eq!(host.get(&format!("/apps/{name}/")).text(), "one");
    save(&host, name, &answers("two"));
    let second = next_state(&mut stream);
    assert_ne!(second["version"], first["version"]);
    wait_for_answer(&host, name, "two");

    save(&host, name, "compile_error!(\"<b>not</b> finished\");");
    let failed = next_state(&mut stream);
    assert_eq!(failed["version"], second["version"]);
    assert_eq!(failed["failure"]["title"], "live-stream failed to build");
    let pieces = failed["failure"]["text"].as_array().unwrap();
    assert_eq!((pieces[0]["text"].as_str(), pieces[0]["bold"].as_bool()), (Some("error"), Some(true)));
    assert!(pieces[0]["color"].as_str().unwrap().starts_with('#'), "{failed}");
    wait_until("the error is in the log, without colours where is no terminal", || {
        host.log().contains("\nerror: <b>not</b> finished\n")
    });

    save(&host, name, &answers("two"));
    let mended = next_state(&mut stream);
    assert_eq!((&mended["version"], mended["failure"].is_null()), (&second["version"], true));

    // One that does not start is a failure, too; the version before goes on.
    save(
        &host,
        name,
        &answers("three").replace("Application::new()", "panic!(\"no start\"); Application::new()"),
    );
    let refused = next_state(&mut stream);
    assert_eq!(refused["failure"]["title"], "live-stream failed to start");
    assert_eq!(host.get(&format!("/apps/{name}/")).text(), "two");

    // The host does not wait for those who follow.
    let ended = host.stop();
    assert!(ended.status.success(), "{}", ended.status);
    while let Ok(Some(_)) = stream.chunk() {}
}

/// What the overlay says.
const OVERLAY: &str = "document.querySelector('atoll-failure')?.shadowRoot.textContent";

/// Waits until the page was loaded another time, which what was written into `window` does not outlive.
async fn until_reloaded(browser: &Browser, text: &str) {
    browser.until(&format!("document.querySelector('h1')?.innerText === '{text}' && !window.seen")).await;
    browser.run("window.seen = true").await;
}

#[test]
fn a_page_reloads_itself_and_shows_what_does_not_compile() {
    let Some(chromium) = Chromium::installed() else { return };
    let name = "live-browser";
    let launch = dev(&[(name, "compile_error!(\"not begun\");")]);
    let host = launch.start();
    let address = host.address();
    host.wait_for_log(&["live-browser: the build failed"]);
    chromium.drive(async |browser| {
        // Without a version before, the host's own page, with the compiler's words in colour over it.
        browser.goto(&format!("http://{address}/apps/{name}/")).await;
        browser.until(&format!("{OVERLAY}?.includes('error: not begun')")).await;
        save(&host, name, &pages("first"));
        until_reloaded(browser, "first").await;
        assert_eq!(browser.run(&format!("return {OVERLAY}")).await, Value::Null);

        save(&host, name, &pages("second"));
        until_reloaded(browser, "second").await;

        save(
            &host,
            name,
            &pages("third").replace("Application::new()", "Application::<script>alert(1)</script>new()"),
        );
        browser.until(&format!("{OVERLAY}?.includes('<script>alert(1)')")).await;
        let color = "getComputedStyle(document.querySelector('atoll-failure').shadowRoot.querySelector('pre span')).color";
        assert_eq!(browser.run(&format!("return {color}")).await, "rgb(255, 128, 128)");
        // The page is still there below it.
        assert_eq!(browser.run("return window.seen").await, true);
        save(&host, name, &pages("second"));
        browser.until("!document.querySelector('atoll-failure')").await;
        assert_eq!(
            browser.run("return window.seen").await,
            true,
            "it is the same version: nothing to reload"
        );

        // A strict policy does not stop it.
        browser.goto(&format!("http://{address}/apps/{name}/strict")).await;
        browser.run("window.seen = true").await;
        save(&host, name, &pages("fourth"));
        until_reloaded(browser, "fourth").await;

        // The browser itself writes down answers such as 503.
        let entries = browser.log("browser");
        assert!(
            entries
                .iter()
                .all(|entry| entry["message"].as_str().unwrap().contains("Failed to load resource")),
            "{entries:?}"
        );
    });
    // With the page still open: the host does not wait for it.
    wait_until("the host has told", || host.log().contains("reloaded in"));
}
