//! Edits of `apps.json` while the host runs.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use serde_json::{Value, json};
use support::{Call, Host, Launch, versioned, wait_until};

fn generation(host: &Host, app: &str) -> Value {
    host.get(&format!("/apps/{app}/start")).json()["generation"].clone()
}

fn entry(name: &str, config: Value) -> Value {
    json!({ "name": name, "path": "libprobe.so", "config": config })
}

fn apps(names: &[&str]) -> String {
    Value::from_iter(names.iter().map(|name| entry(name, Value::Null))).to_string()
}

/// A request to `keep` that is in flight while the registry changes: its worker is never stopped.
struct Witness(support::Connection, String);

impl Witness {
    fn new(host: &Host) -> Self {
        let (mut connection, file) = (host.connect(), host.path("go"));
        connection.send(&Call::get(&format!("/apps/keep/until?file={file}"))).unwrap();
        wait_until("the witness waits", || host.get("/apps/keep/waiting").text() == "1");
        Self(connection, file)
    }

    #[track_caller]
    fn check(mut self, host: &Host) {
        assert_eq!(generation(host, "keep"), 1, "the app that was not edited is what it was");
        assert_eq!(host.get("/apps/keep/waiting").text(), "1");
        std::fs::write(self.1, "").unwrap();
        assert_eq!(self.0.receive("GET").unwrap().text(), "it is there");
    }
}

#[test]
fn an_app_is_added_changed_and_removed() {
    let host = Launch::serve(apps(&["keep"])).library("probe").start();
    let witness = Witness::new(&host);
    assert_eq!(host.get("/apps/new/start").status, 404);

    host.replace("apps.json", json!([entry("keep", Value::Null), entry("new", json!("first"))]).to_string());
    wait_until("the new app answers", || host.get("/apps/new/start").status == 200);
    host.wait_for_log(&["apps.json", "added new"]);
    let start = host.get("/apps/new/start").json();
    assert_eq!((&start["config"], &start["generation"]), (&json!("first"), &json!(1)));

    host.replace("apps.json", json!([entry("new", json!("second")), entry("keep", Value::Null)]).to_string());
    wait_until("the new config is there", || host.get("/apps/new/start").json()["config"] == "second");
    host.wait_for_log(&["apps.json", "changed new"]);
    assert_eq!(generation(&host, "new"), 2);

    host.replace("apps.json", apps(&["keep"]));
    wait_until("the app is gone", || host.get("/apps/new/start").status == 404);
    host.get("/apps/new/start").problem(404, "unknown-app");
    host.wait_for_log(&["apps.json", "removed new"]);
    wait_until("its library is gone", || host.mapped().len() == 1);
    wait_until("its thread is gone", || host.threads().iter().all(|name| !name.starts_with("new#")));

    host.replace("apps.json", apps(&["keep", "new"]));
    wait_until("the app is back", || host.get("/apps/new/start").status == 200);
    witness.check(&host);
    assert_eq!(host.log_lines(&["ERROR"]), [""; 0]);
}

#[test]
fn the_last_app_may_go_and_the_first_one_come() {
    let host = Launch::serve("[]").library("probe").start();
    assert!(host.stdout().contains("no apps registered yet"), "{}", host.stdout());
    host.replace("apps.json", apps(&["a", "b"]));
    wait_until("the first app answers", || host.get("/apps/a/start").status == 200);
    assert_eq!(generation(&host, "b"), 1);
    host.replace("apps.json", "[]");
    wait_until("both apps are gone", || {
        ["a", "b"].iter().all(|app| host.get(&format!("/apps/{app}/start")).status == 404)
    });
    wait_until("their libraries are gone", || host.mapped().is_empty());
}

#[test]
fn another_path_is_another_library() {
    let of = |path: &str| json!([{ "name": "v", "path": path }]).to_string();
    let launch = Launch::serve(of("one.so")).write("one.so", versioned(1)).write("two.so", versioned(2));
    let host = launch.start();
    assert_eq!(host.get("/apps/v/").text(), "1");
    host.replace("apps.json", of("two.so"));
    wait_until("the other library answers", || host.get("/apps/v/").text() == "2");
    // It is the other file that is watched now.
    host.replace("one.so", versioned(3));
    host.replace("two.so", versioned(4));
    wait_until("the other library's next version answers", || host.get("/apps/v/").text() == "4");
    wait_until("one library is left", || host.mapped().len() == 1);
}

#[test]
fn a_broken_file_changes_nothing_and_is_explained() {
    let host = Launch::serve(apps(&["keep"])).library("probe").start();
    let witness = Witness::new(&host);
    let broken = [
        ("[\n  { \"name\": \"keep\", \"path\": ", "apps.json:2:"),
        (
            "[\n  { \"name\": \"keep\", \"path\": \"libprobe.so\" },\n  { \"name\": \"new\" }\n]",
            "apps.json:3:3: apps[1].path",
        ),
        (
            "[\n  { \"name\": \"keep\",\n    \"path\": \"libprobe.so\", \"wokers\": 2 }\n]",
            "apps.json:3:28: apps[0].wokers",
        ),
        (
            "[\n  { \"name\": \"keep\", \"path\": \"libprobe.so\", \"workers\": 0 }\n]",
            "apps.json:2:55: apps[0].workers",
        ),
        ("", "apps.json:1:1"),
        ("{}", "apps.json:1:1"),
    ];
    for (number, (text, place)) in broken.into_iter().enumerate() {
        host.replace("apps.json", text);
        wait_until("the log says so", || {
            host.log_lines(&["ERROR", "keeping the current apps"]).len() > number
        });
        host.wait_for_log(&[place]);
        assert_eq!(generation(&host, "keep"), 1, "{text}");
        assert_eq!(host.get("/apps/new/start").status, 404, "{text}");
    }
    assert_eq!(host.log_lines(&["keeping the current apps"]).len(), broken.len(), "each error is said once");
    assert!(host.log().contains("`workers`"), "an unknown field comes with the nearest known one");

    std::fs::remove_file(host.folder().join("apps.json")).unwrap();
    host.wait_for_log(&["WARN", "apps.json was removed; the apps keep running"]);
    assert_eq!(generation(&host, "keep"), 1);

    host.replace("apps.json", apps(&["keep", "new"]));
    wait_until("the mended file takes effect", || host.get("/apps/new/start").status == 200);
    witness.check(&host);
}

#[test]
fn a_file_written_in_place_takes_effect_as_well() {
    let host = Launch::serve(apps(&["keep"])).library("probe").start();
    let witness = Witness::new(&host);
    for name in ["one", "two", "three"] {
        std::fs::write(host.folder().join("apps.json"), apps(&["keep", name])).unwrap();
        wait_until("the app is there", || host.get(&format!("/apps/{name}/start")).status == 200);
    }
    wait_until("the apps before are gone", || host.mapped().len() == 2);
    witness.check(&host);
}

#[test]
fn defaults_are_settings_of_all_apps() {
    let file = |colour: &str| {
        let defaults = json!({
            "workers": 2, "env": { "COLOUR": colour, "SIZE": "big" }, "inherit": [], "config": "of all", "body_limit": 10,
        });
        let own = json!({
            "name": "own", "path": "libprobe.so", "workers": 1, "env": { "COLOUR": "red" }, "config": "its own",
        });
        let apps = json!([own, { "name": "other", "path": "libprobe.so" }]);
        json!({ "$schema": "apps.schema.json", "defaults": defaults, "apps": apps }).to_string()
    };
    let host = Launch::serve(file("blue")).library("probe").start();
    let own = host.get("/apps/own/start").json();
    assert_eq!(own["env"], json!({ "COLOUR": "red", "SIZE": "big" }));
    assert_eq!(own["config"], "its own");
    let other = host.get("/apps/other/start").json();
    assert_eq!(other["env"], json!({ "COLOUR": "blue", "SIZE": "big" }));
    assert_eq!(other["config"], "of all");
    let threads = host.threads();
    assert_eq!(threads.iter().filter(|name| name.starts_with("own#")).count(), 1);
    assert_eq!(threads.iter().filter(|name| name.starts_with("other#")).count(), 2);
    host.post("/apps/own/echo", "eleven byte").problem(413, "body-too-large");

    host.replace("apps.json", file("green"));
    wait_until("the other default is there", || {
        host.get("/apps/other/start").json()["env"] == json!({ "COLOUR": "green", "SIZE": "big" })
    });
    assert_eq!(generation(&host, "own"), 1, "nothing is different for this one");
}

#[test]
fn the_long_form_and_the_short_one_say_the_same() {
    let host = Launch::serve(apps(&["keep"])).library("probe").start();
    let witness = Witness::new(&host);
    host.replace("apps.json", json!({ "apps": [entry("keep", Value::Null)] }).to_string());
    host.wait_for_log(&["apps.json", "nothing changed"]);
    host.replace(
        "apps.json",
        json!({ "apps": [entry("keep", Value::Null), entry("new", Value::Null)] }).to_string(),
    );
    wait_until("the new app answers", || host.get("/apps/new/start").status == 200);
    witness.check(&host);
}

#[test]
fn a_setting_changes_for_the_next_requests() {
    let of = |limit: &str| json!([{ "name": "a", "path": "libprobe.so", "body_limit": limit }]).to_string();
    let host = Launch::serve(of("10B")).library("probe").start();
    host.post("/apps/a/echo", "eleven byte").problem(413, "body-too-large");
    host.replace("apps.json", of("11B"));
    wait_until("the limit is another", || host.post("/apps/a/echo", "eleven byte").status == 200);
}

#[test]
fn a_host_does_not_start_from_a_broken_file() {
    let ended = Launch::serve("[\n  { \"name\": \"a\" }\n]").run();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("apps.json:2:3: apps[0].path"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");

    let ended = Launch::command("serve").args(["--listen", "127.0.0.1:0"]).run();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("apps.json: no such file"), "{}", ended.stderr);
}

#[test]
fn an_address_that_is_taken_is_said_to_be_so() {
    let host = Launch::serve("[]").start();
    let address = host.address().to_string();
    let ended = Launch::command("serve").args(["--listen", &address]).write("apps.json", "[]").run();
    assert_eq!(ended.status.code(), Some(1));
    let expected = format!("cannot listen on {address}: it is in use by `atoll` (process {})", host.pid());
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
}

/// What is there is no file that can be read: it is told, the apps go on, and the next good file is followed.
#[test]
fn what_is_no_regular_file_is_never_waited_for() {
    let host = Launch::serve(apps(&["one"])).library("probe").start();
    let registry = host.folder().join("apps.json");
    let pipe = host.folder().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let large = host.folder().join("large");
    std::fs::File::create(&large).unwrap().set_len(4 << 30).unwrap();
    let folder = host.folder().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let cases = [
        (pipe, "expected a regular file, found a named pipe"),
        (large, "it is too large: found 4294967296 bytes, the limit is 16777216"),
        (folder, "expected a regular file, found a folder"),
        ("/dev/zero".into(), "expected a regular file, found a device"),
        ("/proc/kmsg".into(), "cannot read "),
    ];
    for (number, (what, told)) in cases.iter().enumerate() {
        let link = host.folder().join("link");
        std::os::unix::fs::symlink(what, &link).unwrap();
        std::fs::rename(&link, &registry).unwrap();
        host.wait_for_log(&["apps.json: ", told]);
        let name = format!("new-{number}");
        host.replace("apps.json", apps(&["one", &name]));
        wait_until("the good file is followed", || host.get(&format!("/apps/{name}/start")).status == 200);
    }
    assert_eq!(generation(&host, "one"), 1);

    let link = host.folder().join("link");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    std::fs::rename(&link, &registry).unwrap();
    assert!(host.stop().status.success());
}

#[test]
fn a_library_at_its_limit_is_loaded_and_one_above_is_not() {
    let size = std::fs::metadata(support::library("probe")).unwrap().len();
    let app = |name: &str, limit: u64| json!({ "name": name, "path": "libprobe.so", "library_limit": limit });
    let host = Launch::serve(json!([app("at", size), app("above", size - 1)])).library("probe").start();
    assert_eq!(host.get("/apps/at/start").status, 200);
    assert_eq!(host.get("/apps/above/start").status, 503);
    let limit = format!("found {size} bytes, the limit is {} (the setting `library_limit`)", size - 1);
    host.wait_for_log(&["above", "is too large", &limit]);
}

#[test]
fn an_app_does_not_answer_with_the_library_of_another_crate() {
    let manifest = |name: &str| {
        format!(
            "[package]\nname = {name:?}\nversion = \"0.1.0\"\n[lib]\nname = \"same\"\ncrate-type = [\"cdylib\"]\n"
        )
    };
    let launch = Launch::serve(json!([{ "name": "a", "path": "probe" }, { "name": "b", "path": "other" }]));
    for name in ["probe", "other", "target/debug"] {
        std::fs::create_dir_all(launch.folder().join(name)).unwrap();
    }
    // Both build `target/debug/libsame.so`, and the first one has built it last.
    let host = launch
        .write("Cargo.toml", "[workspace]\nmembers = [\"probe\", \"other\"]\n")
        .write("probe/Cargo.toml", manifest("probe"))
        .write("other/Cargo.toml", manifest("other"))
        .write("target/debug/libsame.so", std::fs::read(support::library("probe")).unwrap())
        .start();
    assert_eq!(host.get("/apps/a/start").status, 200);
    assert_eq!(host.get("/apps/b/start").status, 503);
    host.wait_for_log(&[
        "b: ",
        "from another package: found probe, expected other",
        "another `name` under `[lib]`",
    ]);
}

#[test]
fn an_app_that_is_gone_leaves_no_library() {
    let host = Launch::serve(apps(&["keep"])).library("probe").start();
    let kept = |app: &str| {
        let files = host.temporary_files();
        let of = |file: &&std::path::PathBuf| {
            file.parent().is_some_and(|folder| folder.ends_with("kept"))
                && file.file_name().unwrap().to_string_lossy().starts_with(app)
        };
        files.iter().filter(of).count()
    };
    assert_eq!(generation(&host, "keep"), 1);
    for name in ["first", "second", "third"] {
        host.replace("apps.json", apps(&["keep", name]));
        wait_until("the app is there", || host.get(&format!("/apps/{name}/start")).status == 200);
        assert_eq!(kept(name), 1);
    }
    host.replace("apps.json", apps(&["keep"]));
    for name in ["first", "second", "third"] {
        wait_until("its library is gone", || kept(name) == 0);
    }
    assert_eq!(kept("keep"), 1);
}
