//! Shared libraries beside an app's library: found, loaded, reloaded and deployed with it.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod crates;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crates::{dev, wait_for_answer};
use serde_json::{Value, json};
use support::{Host, Launch, Load, atoll, compile, library, patched, wait_until, workspace};

const FIXTURE: &str = "beside";

/// Both libraries, of these numbers.
fn compile_both(folder: &Path, number: u8, inner: u8) {
    compile(folder, "inner", inner, &[]);
    compile(folder, "number", number, &["-latoll_inner"]);
}

/// Apps of these names, each with its library in the folder of its name.
fn launch(apps: &[&str], settings: &Value) -> Launch {
    let app = |name: &&str| json!({ "name": name, "path": format!("{name}/libapp.so") });
    let list: Vec<Value> = apps.iter().map(app).collect();
    let launch = Launch::serve(json!({ "defaults": settings, "apps": list }));
    for name in apps {
        fs::create_dir_all(launch.folder().join(name)).unwrap();
    }
    apps.iter()
        .fold(launch, |launch, name| launch.write(&format!("{name}/libapp.so"), patched(FIXTURE, name)))
}

/// Two apps, with libraries of other content in the folder of their run path, and beside theirs.
fn two_apps(settings: &Value) -> Host {
    let launch = launch(&["a", "b"], settings);
    compile_both(&launch.folder().join("a/lib"), 1, 2);
    compile_both(&launch.folder().join("b"), 3, 4);
    launch.start()
}

#[track_caller]
fn both_answer(host: &Host) {
    let answers = ["a", "b"].map(|app| host.get(&format!("/apps/{app}/")).text());
    assert_eq!(answers, ["a 12", "b 34"], "{}", host.log());
}

/// `atoll` for the apps of a host.
fn command(host: &Host, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(atoll())
        .args(arguments)
        .current_dir(host.folder())
        .env("TMPDIR", host.folder().join("tmp"))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn two_apps_have_libraries_of_one_name() {
    for preflight in [true, false] {
        let host = two_apps(&json!({ "preflight": preflight }));
        both_answer(&host);
        assert_eq!(host.mapped().len(), 6, "{:?}", host.mapped());
    }
}

#[test]
fn apps_in_processes_have_them_in_every_sandbox() {
    // SAFETY: no preconditions.
    let is_root = unsafe { libc::geteuid() } == 0;
    let sandboxes = [json!(null), json!("standard"), json!("strict"), json!({ "user": "65534" })];
    for sandbox in sandboxes.into_iter().take(if is_root { 4 } else { 3 }) {
        both_answer(&two_apps(&json!({ "isolation": "process", "sandbox": sandbox })));
    }
}

#[test]
fn a_changed_library_brings_a_new_generation_without_losing_a_request() {
    let host = two_apps(&json!({ "stop_timeout_ms": 2000 }));
    both_answer(&host);
    let load = Load::start(host.address(), &["/apps/a/", "/apps/b/"]);
    for (number, inner) in [(1, 5), (1, 6), (7, 6), (1, 2)] {
        compile_both(&host.folder().join("a/lib"), number, inner);
        let text = format!("a {number}{inner}");
        wait_until("the new library answers", || host.get("/apps/a/").text() == text);
    }
    let [of_a, of_b] = load.stop().try_into().unwrap();
    assert!(of_a.iter().chain(&of_b).all(|reply| reply.status == 200));
    assert!(of_b.iter().all(|reply| reply.text() == "b 34"));
    wait_until("the libraries that were replaced are gone", || host.mapped().len() == 6);
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
    both_answer(&host);
}

#[test]
fn an_overwritten_library_does_not_reach_what_is_loaded() {
    let launch = launch(&["a"], &json!({ "keep": 0 }));
    let lib = launch.folder().join("a/lib");
    compile_both(&lib, 1, 2);
    let host = launch.start();
    assert_eq!(host.get("/apps/a/").text(), "a 12");
    fs::write(lib.join("libatoll_inner.so"), "not a library").unwrap();
    host.wait_for_log(&["generation 1 keeps serving", "libatoll_inner.so"]);
    assert_eq!(host.get("/apps/a/").text(), "a 12");
    compile_both(&lib, 3, 4);
    wait_until("the new library answers", || host.get("/apps/a/").text() == "a 34");
}

#[test]
fn a_rollback_brings_the_libraries_back_that_were_loaded_with_it() {
    for isolation in ["thread", "process"] {
        let host = two_apps(&json!({ "isolation": isolation }));
        both_answer(&host);
        compile(&host.folder().join("a/lib"), "inner", 9, &[]);
        wait_until("the new library answers", || host.get("/apps/a/").text() == "a 19");
        fs::remove_dir_all(host.folder().join("a/lib")).unwrap();
        let (is_done, text) = command(&host, &["rollback", "a"]);
        assert!(is_done, "{text}");
        both_answer(&host);
    }
}

#[test]
fn a_library_that_stays_is_mapped_once_for_each_content() {
    let launch = launch(&["a"], &json!({ "keep": 0 }));
    let lib = launch.folder().join("a/lib");
    compile(&lib, "inner", 2, &["-Wl,-z,nodelete"]);
    compile(&lib, "number", 1, &["-latoll_inner", "-Wl,-z,nodelete"]);
    let host = launch.start();
    for mark in ["a", "a2", "a3"] {
        host.replace("a/libapp.so", patched(FIXTURE, mark));
        wait_until("the new library answers", || host.get("/apps/a/").text() == format!("{mark} 12"));
    }
    // Then the files of the copies are deleted, and others are made.
    command(&host, &["stop", "a"]).0.then_some(()).unwrap();
    wait_until("the app is unloaded", || host.mapped().len() == 2);
    command(&host, &["start", "a"]).0.then_some(()).unwrap();
    assert_eq!(host.get("/apps/a/").text(), "a3 12");
    assert_eq!(host.mapped().len(), 3, "{:?}", host.mapped());
}

#[test]
fn a_missing_library_is_named_with_where_it_was_looked_for() {
    for isolation in ["thread", "process"] {
        let launch = launch(&["a"], &json!({ "isolation": isolation }));
        let lib = launch.folder().join("a/lib");
        fs::create_dir_all(&lib).unwrap();
        let host = launch.start();
        assert_eq!(host.get("/apps/a/").status, 503);
        let line = host.wait_for_log(&["libatoll_number.so: cannot open shared object file"]);
        let looked = format!("Atoll has looked in {}, {}", lib.display(), host.path("a"));
        assert!(line.contains(&looked), "{line}");
        let (is_good, text) = command(&host, &["check"]);
        assert!(!is_good && text.contains("needs the shared library libatoll_number.so"), "{text}");
        assert!(text.contains(&looked), "{text}");

        // The app starts when it comes, with what it needs in its turn.
        let (made, place) = (host.folder().join("made"), host.folder().join("a"));
        compile_both(&made, 1, 2);
        let install = |name: &str| fs::rename(made.join(name), place.join(name)).unwrap();
        install("libatoll_number.so");
        let words = "cannot open libatoll_number.so, which the library needs: libatoll_inner.so: cannot open";
        wait_until("the other one is missing", || {
            host.get("/apps/a/").status == 503 && !host.log_lines(&[words]).is_empty()
        });
        install("libatoll_inner.so");
        wait_until("the app answers", || host.get("/apps/a/").text() == "a 12");
        let (is_good, text) = command(&host, &["check"]);
        assert!(is_good && text.contains(&format!("libatoll_number.so from {}", host.path("a"))), "{text}");
    }
}

#[test]
fn a_library_above_the_limit_is_refused() {
    let launch = launch(&["a"], &json!({}));
    let limit = fs::metadata(launch.folder().join("a/libapp.so")).unwrap().len();
    let apps = json!([{ "name": "a", "path": "a/libapp.so", "library_limit": limit }]);
    let launch = launch.write("apps.json", apps.to_string());
    let folder = launch.folder().join("a");
    compile_both(&folder, 1, 2);
    let library = folder.join("libatoll_inner.so");
    let file = fs::File::options().append(true).open(&library).unwrap();
    file.set_len(limit + 1).unwrap();
    drop(file);
    let host = launch.start();
    assert_eq!(host.get("/apps/a/").status, 503);
    host.wait_for_log(&["libatoll_inner.so is too large", "the setting `library_limit`"]);
}

#[test]
fn what_a_build_script_has_made_is_found() {
    // Where cargo has built it: its libraries are in the folder of the build script.
    let folder = workspace().join("host/tests/fixtures/beside");
    let built = library(FIXTURE);
    let target = built.ancestors().nth(2).unwrap();
    let apps = json!([{ "name": "a", "path": built }, { "name": "crate", "path": folder }]);
    let host = Launch::serve(apps).env("CARGO_TARGET_DIR", target).start();
    assert_eq!(["a", "crate"].map(|app| host.get(&format!("/apps/{app}/")).text()), [" 11", " 11"]);
}

/// The source of an app that answers with the number of a library.
const SOURCE: &str = "use atoll_plugin::prelude::*;\n\
    unsafe extern \"C\" { fn dev_beside() -> i32; }\n\
    fn app() -> Application {\n\
        Application::new().all(\"/{*path}\", |_: Request| unsafe { dev_beside() }.to_string())\n\
    }\n\
    atoll_plugin::export_app!(app);\n";

/// A build script that makes the library of `native.c`.
const SCRIPT: &str = "fn main() {\n\
    let out = std::env::var(\"OUT_DIR\").unwrap();\n\
    println!(\"cargo::rerun-if-changed=native.c\");\n\
    let file = format!(\"{out}/libdev_beside.so\");\n\
    let made = std::process::Command::new(\"cc\").args([\"-shared\", \"-fPIC\", \"-o\", &file, \"native.c\"]).status();\n\
    assert!(made.unwrap().success());\n\
    println!(\"cargo::rustc-link-search={out}\");\n\
    println!(\"cargo::rustc-link-lib=dylib=dev_beside\");\n\
    }";

fn native(number: u8) -> String {
    format!("int dev_beside(void) {{ return {number}; }}\n")
}

#[test]
fn a_build_script_s_library_is_built_and_reloaded_in_development() {
    let name = "dev-beside";
    // Before there is a limit on the time, as it uses the same target folder.
    library(FIXTURE);
    let launch = dev(&[(name, SOURCE)]);
    let folder = launch.folder().join(name);
    fs::write(folder.join("build.rs"), SCRIPT).unwrap();
    fs::write(folder.join("native.c"), native(1)).unwrap();
    let host = launch.start();
    assert_eq!(host.get("/apps/dev-beside/").text(), "1", "{}", host.log());
    let load = Load::start(host.address(), &["/apps/dev-beside/"]);
    for number in [2, 3] {
        fs::write(folder.join("native.c"), native(number)).unwrap();
        wait_for_answer(&host, name, &number.to_string());
    }
    assert!(load.stop().iter().flatten().all(|reply| reply.status == 200));
}

#[test]
fn a_built_folder_has_them_and_can_be_moved() {
    let launch = launch(&["a", "b"], &json!({}));
    compile_both(&launch.folder().join("a/lib"), 1, 2);
    compile_both(&launch.folder().join("b"), 3, 4);
    let host = launch.start();
    let names = |path: PathBuf| {
        let entries = fs::read_dir(path).unwrap().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let out = host.folder().join("deploy");
    let build = || {
        let (is_built, text) = command(&host, &["build"]);
        assert!(is_built, "{text}");
        text
    };
    let text = build();
    assert!(text.contains("a needs libatoll_inner.so, libatoll_number.so in a.libs\n"), "{text}");
    assert_eq!(names(out.clone()), ["a.libs", "a.so", "apps.json", "b.libs", "b.so"]);
    let [bundle] = names(out.join("a.libs")).try_into().unwrap();
    assert_eq!(names(out.join("a.libs").join(&bundle)), ["libatoll_inner.so", "libatoll_number.so"]);
    let lines = |text: &str, end: &str| text.lines().filter(|line| line.ends_with(end)).count();
    assert_eq!(lines(&build(), "  unchanged"), 2);
    let serve = |folder: &Path| {
        let registry = folder.join("apps.json");
        Launch::command("serve").args(["--listen", "127.0.0.1:0", "--config"]).arg(registry).start()
    };
    let server = serve(&out);
    let load = Load::start(server.address(), &["/apps/b/"]);
    compile_both(&host.folder().join("b"), 5, 6);
    let text = build();
    assert_eq!((lines(&text, "  changed"), lines(&text, "  unchanged")), (1, 1), "{text}");
    wait_until("the new libraries answer", || server.get("/apps/b/").text() == "b 56");
    // Both come into force in one step.
    let [replies] = load.stop().try_into().unwrap();
    let mut answers: Vec<String> = replies.iter().map(|reply| reply.text()).collect();
    answers.dedup();
    assert_eq!(answers, ["b 34", "b 56"]);
    assert_eq!(names(out.join("b.libs")).len(), 1);
    drop(server);

    let moved = host.folder().join("moved");
    fs::rename(&out, &moved).unwrap();
    for folder in ["a", "b"] {
        fs::remove_dir_all(host.folder().join(folder)).unwrap();
    }
    let server = serve(&moved);
    assert_eq!(["a", "b"].map(|app| server.get(&format!("/apps/{app}/")).text()), ["a 12", "b 56"]);

    // An app that is gone leaves nothing.
    let apps = json!([{ "name": "a", "path": "moved/a.so" }]);
    host.replace("apps.json", apps.to_string());
    let (is_built, text) = command(&host, &["build", "--out", "moved"]);
    assert!(is_built, "{text}");
    assert_eq!(names(moved), ["a.libs", "a.so", "apps.json"]);
}
