//! `atoll check`: whether a host would run a library.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;

use serde_json::{Value, json};
use support::{Ended, Launch, library};

/// The staged copies that are left; only the lock of the folder that hosts share stays.
fn staged_copies(ended: &Ended) -> Vec<PathBuf> {
    let mut files = ended.temporary_files();
    files.retain(|file| !file.ends_with(".lock"));
    files
}

fn check(arguments: &[&str]) -> Ended {
    Launch::command("check").args(arguments).run()
}

#[test]
fn a_good_library_is_described() {
    let path = library("probe");
    let ended = check(&[path.to_str().unwrap()]);
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    let size = std::fs::metadata(&path).unwrap().len();
    for expected in
        ["probe: ok\n", "probe 0.1.0\n", "rustc 1.", "x86_64", &format!("({size} bytes)"), "hash  "]
    {
        assert!(ended.stdout.contains(expected), "{expected:?} in {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("warning"), "{}", ended.stdout);
    assert_eq!(staged_copies(&ended), Vec::<PathBuf>::new());
}

#[test]
fn a_bad_library_is_refused_with_what_to_do() {
    let stampless = check(&[library("stampless").to_str().unwrap()]);
    assert_eq!(stampless.status.code(), Some(1));
    assert!(stampless.stdout.contains("add `atoll_plugin::export_app!(app);`"), "{}", stampless.stdout);
    assert_eq!(stampless.stderr, "atoll: it would not run");

    let text = Launch::command("check").arg("page.so").write("page.so", "<html>").run();
    assert_eq!(text.status.code(), Some(1));
    assert!(text.stdout.contains("needed an ELF shared object"), "{}", text.stdout);

    let missing = check(&["nothing"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(missing.stdout.contains("no such path"), "{}", missing.stdout);
}

#[test]
fn a_registry_is_checked_with_all_its_apps() {
    let good = json!({ "name": "good", "path": library("probe") });
    let bad = json!({ "name": "bad", "path": library("stampless") });
    let both = Launch::command("check").write("apps.json", json!([good, bad]).to_string()).run();
    assert_eq!((both.status.code(), both.stderr.as_str()), (Some(1), "atoll: 1 of 2 apps would not run"));
    assert!(both.stdout.contains("good: ok\n") && both.stdout.contains("bad: refused\n"), "{}", both.stdout);

    let both = Launch::command("check")
        .args(["--format", "json"])
        .write("apps.json", json!([good, bad]).to_string());
    let both = both.run();
    let list: Value = serde_json::from_str(&both.stdout).unwrap();
    assert_eq!((both.status.code(), &list[0]["ok"], &list[1]["ok"]), (Some(1), &json!(true), &json!(false)));
    assert_eq!((&list[0]["package"], &list[0]["version"]), (&json!("probe"), &json!("0.1.0")));
    assert!(list[1]["reason"].as_str().unwrap().contains("export_app!"), "{list}");

    let one = Launch::command("check")
        .args(["--config", "my.json"])
        .write("my.json", json!([good]).to_string())
        .run();
    assert_eq!(one.status.code(), Some(0), "{}", one.stderr);

    let wrong = r#"[{ "name": "a b", "path": "x" }, { "name": "c", "wokers": 2 }]"#;
    let wrong = Launch::command("check").write("apps.json", wrong).run();
    assert_eq!(wrong.status.code(), Some(1));
    for expected in ["apps[0].name", "apps[1].path", "apps[1].wokers"] {
        assert!(wrong.stderr.contains(expected), "{expected} in {}", wrong.stderr);
    }

    let none = check(&[]);
    assert_eq!(none.status.code(), Some(1));
    assert!(none.stderr.contains("apps.json: no such file"), "{}", none.stderr);
}
