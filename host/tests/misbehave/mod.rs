//! The app `bad`, which misbehaves, beside the app `good`.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use serde_json::{Value, json};

use super::support::{Call, Connection, Host, Launch, patched, versioned, wait_until};

/// The app `bad`, with this mark and these settings, beside the app `good`.
pub fn launch(mark: &str, settings: &Value) -> Launch {
    Launch::serve(apps(settings))
        .write("libbad.so", patched("misbehave", mark))
        .write("libgood.so", versioned("good"))
}

pub fn apps(settings: &Value) -> Value {
    let mut bad = json!({ "name": "bad", "path": "libbad.so" });
    bad.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    json!([bad, { "name": "good", "path": "libgood.so" }])
}

pub fn start(mark: &str, settings: &Value) -> Host {
    launch(mark, settings).start()
}

pub fn touch(path: &str) {
    std::fs::write(path, "").unwrap();
}

#[track_caller]
pub fn others_are_fine(host: &Host) {
    assert_eq!(host.get("/apps/good/").text(), "good");
}

/// The staged copies of the app `bad` that are mapped.
pub fn mapped(host: &Host) -> usize {
    let is_bad = |name: &str| name.starts_with("bad-");
    host.mapped()
        .iter()
        .filter(|path| path.file_name().is_some_and(|name| is_bad(&name.to_string_lossy())))
        .count()
}

/// Waits until the app `bad` answers: its start is no part of the next request's deadline, beyond which nothing is handed
/// to it.
pub fn start_app(host: &Host) {
    wait_until("the app answers", || host.get("/apps/bad/").status == 200);
}

/// Blocks the app's only worker in a handler, until the file that is returned exists.
pub fn block(host: &Host, connection: &mut Connection) -> String {
    start_app(host);
    let (file, entered) = (host.path("unblock"), host.path("entered"));
    connection.send(&Call::get(&format!("/apps/bad/block?file={file}&entered={entered}"))).unwrap();
    wait_until("the worker is blocked", || std::fs::exists(&entered).unwrap());
    file
}
