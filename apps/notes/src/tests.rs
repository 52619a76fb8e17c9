use atoll_plugin::test::TestApp;
use atoll_plugin::{Fetched, Request};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// The app with a database of its own.
struct App {
    app: TestApp,
    folder: TempDir,
}

impl App {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a folder/notes.db").display().to_string();
        Self { app: TestApp::builder(router).env("NOTES_DB", path).start().unwrap(), folder }
    }

    fn send(&self, method: &str, path: &str, body: &str) -> Fetched {
        let request = Request::builder().method(method).path(path).header("content-type", "application/json");
        self.app.send(request.body(body))
    }

    fn json(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.send(method, path, &body);
        (response.status(), response.json().unwrap_or_default())
    }
}

#[test]
fn a_note_is_created_read_changed_and_deleted() {
    let app = App::new();
    let (status, made) = app.json("POST", "/notes", json!({ "title": " shells ", "text": "white" }));
    assert_eq!((status, &made["id"], &made["title"]), (201, &json!(1), &json!("shells")));
    assert_eq!(app.json("GET", "/notes/1", Value::Null), (200, made));
    let (status, changed) = app.json("PUT", "/notes/1", json!({ "title": "corals" }));
    assert_eq!((status, &changed["title"], &changed["text"]), (200, &json!("corals"), &json!("")));
    assert_eq!(app.json("DELETE", "/notes/1", Value::Null).0, 204);
    for (method, body) in [("GET", Value::Null), ("DELETE", Value::Null), ("PUT", json!({ "title": "gone" }))]
    {
        let (status, problem) = app.json(method, "/notes/1", body);
        assert_eq!((status, &problem["detail"]), (404, &json!("there is no note 1")), "{method}");
    }
    // Its number is not given again.
    assert_eq!(app.json("POST", "/notes", json!({ "title": "next" })).1["id"], 2);
}

#[test]
fn a_list_has_pages() {
    let app = App::new();
    for number in 1..=5 {
        app.json("POST", "/notes", json!({ "title": format!("note {number}") }));
    }
    let (_, page) = app.json("GET", "/notes?page=2&per_page=2", Value::Null);
    let titles: Vec<_> = page["notes"].as_array().unwrap().iter().map(|note| &note["title"]).collect();
    assert_eq!(titles, ["note 3", "note 2"]);
    assert_eq!((&page["total"], &page["pages"]), (&json!(5), &json!(3)));
    assert_eq!(page["links"]["next"], "?page=3&per_page=2");
}

#[test]
fn what_is_wrong_is_said() {
    let app = App::new();
    let response = app.send("POST", "/notes", r#"{"title": "  "}"#);
    assert_eq!(response.header("content-type").as_deref(), Some("application/problem+json"));
    let long = "é".repeat(201);
    for (method, path, body, status, named) in [
        ("POST", "/notes", json!({ "title": "  " }), 422, "errors.title"),
        ("POST", "/notes", json!({ "title": long }), 422, "errors.title"),
        ("POST", "/notes", json!({ "title": "a", "text": "a".repeat(10_001) }), 422, "errors.text"),
        ("POST", "/notes", json!({ "title": "a", "colour": "red" }), 422, "detail"),
        ("POST", "/notes", json!({}), 422, "detail"),
        ("POST", "/notes", Value::Null, 400, "detail"),
        ("GET", "/notes?page=0&per_page=101", Value::Null, 422, "errors.per_page"),
        ("GET", "/notes?page=x", Value::Null, 400, "detail"),
        ("GET", "/notes/x", Value::Null, 400, "detail"),
        ("GET", "/nowhere", Value::Null, 404, "detail"),
        ("PATCH", "/notes", Value::Null, 405, "detail"),
    ] {
        let (found, problem) = app.json(method, path, body);
        let pointer = format!("/{}", named.replace('.', "/"));
        assert_eq!(found, status, "{method} {path}: {problem}");
        assert!(problem.pointer(&pointer).is_some(), "{method} {path}: {problem}");
    }
}

#[test]
fn notes_are_there_after_a_reload() {
    let App { app, folder } = App::new();
    let send = |app: &TestApp, request| app.send(request).json::<Value>().unwrap();
    let made = send(&app, Request::post("/notes").json(json!({ "title": "shells" })));
    let app = app.reload();
    assert_eq!(send(&app, Request::get("/notes/1")), made);
    assert!(app.get("/").text().starts_with("<!"), "the page");
    drop((app, folder));
}

#[test]
fn a_database_that_cannot_be_opened_is_no_start() {
    let error = TestApp::builder(router).env("NOTES_DB", "/dev/null/notes.db").start().unwrap_err();
    assert!(error.message().starts_with("cannot open /dev/null/notes.db: "), "{error}");
}

#[test]
fn the_database_is_where_the_settings_say() {
    let start = |env: &[(&str, &str)]| {
        let env: Value = env.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        serde_json::from_value(json!({ "app": "notes", "generation": 1, "worker": 0, "env": env })).unwrap()
    };
    let path = |env: &[(&str, &str)]| database(&start(env)).unwrap().display().to_string();
    assert_eq!(path(&[("NOTES_DB", "/srv/n.db"), ("HOME", "/h")]), "/srv/n.db");
    assert_eq!(path(&[("XDG_DATA_HOME", "/data")]), "/data/atoll/notes.db");
    assert_eq!(path(&[("XDG_DATA_HOME", "relative"), ("HOME", "/h")]), "/h/.local/share/atoll/notes.db");
}
