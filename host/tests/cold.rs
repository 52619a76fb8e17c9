//! Apps that are not loaded: their libraries are copied ahead of the first call, and only what is on disk is run.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::{Host, Launch, versioned, wait_until};

/// A registry with these apps, each with a library of its own.
fn apps(names: &[&str], settings: &Value) -> Value {
    let app = |name: &&str| {
        let mut app = json!({ "name": name, "path": format!("lib{name}.so") });
        app.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        app
    };
    names.iter().map(app).collect()
}

/// A host with these apps, all of which answer 1, when their libraries have been copied.
fn prepared(names: &[&str], settings: &Value) -> Host {
    let mut launch = Launch::serve(apps(names, settings)).env("RUST_LOG", "atoll_host=debug");
    for name in names {
        launch = launch.write(&format!("lib{name}.so"), versioned(1));
    }
    let host = launch.start();
    for name in names {
        host.wait_for_log(&[&format!("{name}: "), "is preloaded"]);
    }
    host
}

#[track_caller]
fn used_the_copy(host: &Host, generation: &str) {
    host.wait_for_log(&[&format!("{generation} staged"), "staged before"]);
}

#[test]
fn the_first_call_starts_the_copy_that_is_there() {
    let host = prepared(&["v"], &json!({}));
    assert_eq!((host.staged().len(), host.mapped().len()), (1, 0));
    let copy = host.staged();
    assert_eq!(host.get("/apps/v/").text(), "1");
    assert_eq!(host.mapped(), copy);
    used_the_copy(&host, "v#1");
    host.wait_for_log(&["v#1 inspected: versioned "]);
}

#[test]
fn a_library_that_is_replaced_before_the_first_call_is_what_answers() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let host = prepared(&names, &json!({}));
    for (number, name) in names.iter().enumerate() {
        let (file, version) = (format!("lib{name}.so"), number + 2);
        if number % 2 == 0 {
            host.replace(&file, versioned(version));
        } else {
            fs::write(host.folder().join(&file), versioned(version)).unwrap();
        }
        assert_eq!(host.get(&format!("/apps/{name}/")).text(), version.to_string());
    }
    wait_until("the copies before are deleted", || host.staged().len() == names.len());
    assert_eq!(host.staged(), host.mapped());
}

#[test]
fn a_library_that_is_gone_is_not_run() {
    let host = prepared(&["v"], &json!({}));
    fs::remove_file(host.folder().join("libv.so")).unwrap();
    host.get("/apps/v/").problem(503, "unavailable");
    host.replace("libv.so", versioned(2));
    wait_until("the library that is there answers", || host.get("/apps/v/").text() == "2");
}

#[test]
fn an_app_that_was_idle_starts_again_from_its_copy() {
    // Without libraries for a rollback, which would be second names of the same copy.
    let host = prepared(&["v"], &json!({ "idle_timeout_ms": 40, "keep": 0 }));
    let copy = host.staged();
    for generation in 1..=5 {
        assert_eq!(host.get("/apps/v/").text(), "1");
        used_the_copy(&host, &format!("v#{generation}"));
        host.wait_for_log(&[&format!("v#{generation} unloaded")]);
        assert_eq!((host.staged(), host.mapped()), (copy.clone(), vec![]));
    }
    host.replace("libv.so", versioned(2));
    assert_eq!(host.get("/apps/v/").text(), "2");
    host.wait_for_log(&["v#6 unloaded"]);
    wait_until("one copy is left", || host.staged().len() == 1 && host.staged() != copy);
    assert_eq!(host.get("/apps/v/").text(), "2");
}

#[test]
fn what_someone_asks_for_is_not_the_copy() {
    let host = prepared(&["v"], &json!({ "idle_timeout_ms": 200 }));
    let ask = |command: &str| {
        let config = host.path("apps.json");
        let launch = Launch::command(command).args(["v", "--config", &config]);
        let ended = launch.env("TMPDIR", host.folder().join("tmp")).run();
        assert!(ended.status.success(), "{}", ended.stderr);
        let generation = ended.stdout.split_whitespace().find(|word| word.starts_with("v#"));
        generation.unwrap().to_owned()
    };
    let line = host.wait_for_log(&[&format!("{} staged", ask("reload"))]);
    assert!(!line.contains("staged before"), "{line}");

    host.replace("libv.so", versioned(2));
    wait_until("version 2 answers", || host.get("/apps/v/").text() == "2");
    let rolled_back = ask("rollback");
    // When it was idle, the library on disk is what is called.
    host.wait_for_log(&[&format!("{rolled_back} unloaded")]);
    assert_eq!(host.get("/apps/v/").text(), "2");
}

#[test]
fn replaced_libraries_of_a_cold_app_do_not_pile_up() {
    let host = prepared(&["v"], &json!({}));
    let mut most = 0;
    for version in 2..=50 {
        host.replace("libv.so", versioned(version));
        most = most.max(host.staged().len());
    }
    // What is dropped while it is being copied goes when that is done.
    assert!(most <= 3, "there were {most} copies");
    wait_until("the last one is preloaded, and it alone", || {
        host.staged().len() == 1 && fs::read(&host.staged()[0]).is_ok_and(|copy| copy == versioned(50))
    });
    assert_eq!(host.get("/apps/v/").text(), "50");
    used_the_copy(&host, "v#1");
}

#[test]
fn what_was_not_needed_is_deleted() {
    let host = prepared(&["stays", "goes"], &json!({}));
    assert_eq!(host.staged().len(), 2);
    host.replace("apps.json", apps(&["stays"], &json!({})).to_string());
    wait_until("the copy of the app that went is deleted", || host.staged().len() == 1);
    let ended = host.stop();
    assert_eq!(ended.status.code(), Some(0));
    let left = ended.temporary_files();
    assert!(left.iter().all(|file| file.ends_with(".lock")), "{left:?}");
}
