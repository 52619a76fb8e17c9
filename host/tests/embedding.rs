//! A host in a program of somebody else's: the example.

mod support;

use serde_json::json;
use support::{Call, Launch, example, library};

fn launch(apps: &serde_json::Value) -> Launch {
    Launch::program(example("embedding"))
        .write("apps.json", apps.to_string())
        .args(["apps.json", "127.0.0.1:0"])
}

#[test]
fn the_programs_pages_and_the_apps_answer_side_by_side() {
    let hello = json!({ "name": "hello", "path": library("hello"), "route": { "path_prefix": "/hi" } });
    let host = launch(&json!([hello])).start();
    assert_eq!(host.get("/").text(), "a page of the program's own\n");
    assert_eq!(host.get("/apps/hello/greet/tobe").json(), json!({ "name": "tobe" }));
    assert_eq!(host.get("/hi/greet/ada").json(), json!({ "name": "ada" }));
    assert_eq!(host.get("/readyz").status, 200);
    host.get("/apps/nothing/").problem(404, "unknown-app");
    let body = vec![b'x'; 3 << 20];
    assert_eq!(
        host.call(&Call::post("/apps/hello/greet/tobe", body)).status,
        405,
        "large bodies come as far as the app"
    );

    // The file is followed, and commands reach it.
    host.replace("apps.json", json!([hello, { "name": "counter", "path": library("counter") }]).to_string());
    host.wait_for_log(&["added counter"]);
    let ls = Launch::command("ls")
        .args(["--config".as_ref(), host.folder().join("apps.json").as_os_str()])
        .env("TMPDIR", host.folder().join("tmp"))
        .run();
    assert!(ls.stdout.contains("counter") && ls.status.success(), "{} {}", ls.stdout, ls.stderr);

    let ended = host.stop();
    assert_eq!(ended.status.code(), Some(0));
    let left = ended.temporary_files();
    assert!(left.iter().all(|file| file.ends_with(".lock")), "{left:?}");
}

#[test]
fn what_is_wrong_is_the_programs_error() {
    let ended = launch(&json!([{ "name": "a b", "path": "x" }])).run();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("a b"), "{}", ended.stderr);
}
