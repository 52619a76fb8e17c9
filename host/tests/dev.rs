//! `atoll dev`: what is saved is built and served.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod crates;
mod support;
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};

use crates::{answers, dev, save, target, wait_for_answer, write_crate};
use serde_json::json;
use support::{Ended, Host, Launch, wait_for, wait_until};
use terminal::Terminal;

/// The staged copies that are left; only the lock of the folder that hosts share stays.
fn staged_copies(ended: &Ended) -> Vec<PathBuf> {
    let mut files = ended.temporary_files();
    files.retain(|file| !file.ends_with(".lock"));
    files
}

#[test]
fn a_save_is_built_and_served() {
    let name = "dev-save";
    let host = dev(&[(name, &answers("one"))]).start();
    assert_eq!(host.get("/apps/dev-save/").text(), "one");

    save(&host, name, &answers("two"));
    wait_for_answer(&host, name, "two");
    host.wait_for_log(&["dev-save/src/lib.rs changed: building dev-save"]);
    host.wait_for_log(&["dev-save: built in", " s"]);
    host.wait_for_log(&["dev-save: reloaded in", " ms; generation 2 is serving", " s after the save"]);

    // What does not compile changes nothing.
    save(&host, name, &answers("broken").replace("new()", "nwe()"));
    host.wait_for_log(&["error[E0599]"]);
    host.wait_for_log(&["dev-save: the build failed after", "generation 2 of dev-save keeps serving"]);
    assert_eq!(host.get("/apps/dev-save/").text(), "two");

    // Also a manifest that cannot be read.
    let manifest = host.folder().join("dev-save/Cargo.toml");
    let good = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, good.replace("[lib]", "[lib")).unwrap();
    host.wait_for_log(&["dev-save: cannot parse", "Cargo.toml"]);
    assert_eq!(host.get("/apps/dev-save/").text(), "two");
    save(&host, name, &answers("three"));
    fs::write(&manifest, good).unwrap();
    wait_for_answer(&host, name, "three");
    let ended = host.stop();
    assert!(ended.status.success(), "{}", ended.status);
    assert_eq!(staged_copies(&ended), Vec::<PathBuf>::new());
}

#[test]
fn what_does_not_compile_at_the_start_says_why_until_it_does() {
    let name = "dev-broken";
    let host = dev(&[(name, "compile_error!(\"this is not finished\");")]).start();
    host.wait_for_log(&["dev-broken: the build failed", "503"]);
    let problem = host.get("/apps/dev-broken/").problem(503, "unavailable");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("error: this is not finished\n"), "{detail}");

    save(&host, name, "compile_error!(\"nor is this\");");
    wait_until("the problem is the new one", || host.get("/apps/dev-broken/").text().contains("nor is this"));
    save(&host, name, &answers("finished"));
    wait_for_answer(&host, name, "finished");
}

#[test]
fn what_is_saved_in_a_build_is_built_after_it() {
    let name = "dev-hurry";
    let host = dev(&[(name, &answers("0"))]).start();
    for number in 1..=6 {
        save(&host, name, &answers(&number.to_string()));
        // Not a wait for something: saves are to come at all times of a build.
        std::thread::sleep(std::time::Duration::from_millis(60 * number));
    }
    wait_for_answer(&host, name, "6");
}

#[test]
fn an_app_that_is_added_is_built_before_it_is_served() {
    let host = dev(&[("dev-first", &answers("first"))]).start();
    write_crate(&host.folder().join("dev-second"), "dev-second", &answers("second"));
    let apps =
        json!([{ "name": "dev-first", "path": "dev-first" }, { "name": "dev-second", "path": "dev-second" }]);
    host.replace("apps.json", apps.to_string());
    wait_until("the app is being built", || host.get("/apps/dev-second/").status == 503);
    let building = host.get("/apps/dev-second/");
    if building.status == 503 {
        let problem = building.problem(503, "unavailable");
        assert!(problem["detail"].as_str().unwrap().contains("is being built"), "{problem}");
    }
    let reply = wait_for("the app is registered", || {
        Some(host.get("/apps/dev-second/")).filter(|reply| !matches!(reply.status, 404 | 503))
    });
    assert_eq!((reply.status, reply.text().as_str()), (200, "second"), "no answer but the right one");
    assert_eq!(host.get("/apps/dev-first/").text(), "first");
    save(&host, "dev-second", &answers("again"));
    wait_for_answer(&host, "dev-second", "again");
}

#[test]
fn details_of_failures_are_shown() {
    let source = "use atoll_plugin::prelude::*;\n\
        fn app() -> Application { Application::new()\n\
            .get(\"/panic\", |_: Request| -> Response { panic!(\"at the disco\") })\n\
            .get(\"/error\", |_: Request| -> Result<Response, Error> { Err(Error::new(500, \"a secret\")) }) }\n\
        atoll_plugin::export_app!(app);\n";
    let host = dev(&[("dev-details", source)]).start();
    let panicked = host.get("/apps/dev-details/panic").problem(500, "app-panicked");
    assert!(panicked["detail"].as_str().unwrap().contains("at the disco"), "{panicked}");
    let failed = host.get("/apps/dev-details/error").problem(500, "app-error");
    assert!(failed["detail"].as_str().unwrap().contains("a secret"), "{failed}");
}

#[test]
fn a_build_script_that_writes_sources_does_not_hold_up_the_host() {
    let name = "dev-script";
    let launch = dev(&[(name, &answers("built"))]);
    let script = "fn main() {\n\
        let now = std::time::SystemTime::now();\n\
        std::fs::write(\"src/now.txt\", format!(\"{now:?}\")).unwrap();\n\
        std::fs::write(\"src/always.txt\", \"the same\").unwrap();\n\
    }";
    fs::write(launch.folder().join(name).join("build.rs"), script).unwrap();
    let host = launch.start();
    assert_eq!(host.get("/apps/dev-script/").text(), "built");
}

#[test]
fn cargo_ends_with_the_host() {
    let launch = Launch::command("dev")
        .args(["--listen", "127.0.0.1:0"])
        .write("apps.json", json!([{ "name": "slow", "path": "slow" }]).to_string());
    let folder = launch.folder().join("slow");
    fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = "[workspace]\n[package]\nname = \"slow\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                    [lib]\ncrate-type = [\"cdylib\"]\n";
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/lib.rs"), "").unwrap();
    // It ends by itself too, so that nothing is left should this test fail.
    let script = "fn main() {\n\
        let out = std::env::var(\"OUT_DIR\").unwrap();\n\
        let ids = format!(\"{} {}\", std::process::id(), std::os::unix::process::parent_id());\n\
        std::fs::write(format!(\"{out}/../../../../ids.new\"), ids).unwrap();\n\
        std::fs::rename(format!(\"{out}/../../../../ids.new\"), format!(\"{out}/../../../../ids\")).unwrap();\n\
        std::thread::sleep(std::time::Duration::from_secs(100));\n\
    }";
    fs::write(folder.join("build.rs"), script).unwrap();
    let host = launch.env("CARGO_TARGET_DIR", folder.join("target")).spawn();
    let ids = wait_for("the build runs", || fs::read_to_string(folder.join("target/ids")).ok());
    let ended = host.stop();
    assert!(ended.status.success(), "{}", ended.status);
    for id in ids.split(' ') {
        let state = || fs::read_to_string(format!("/proc/{id}/stat")).ok();
        // One that nobody has waited for yet is dead all the same.
        wait_until("cargo and the build script end", || {
            state().is_none_or(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
        });
    }
}

/// The source of an app that answers with a text of a crate called `shared` and its own.
fn answers_shared(text: &str) -> String {
    answers(text).replace(&format!("{text:?}"), &format!("format!(\"{{}} {text}\", shared::TEXT)"))
}

fn write_shared(folder: &Path, text: &str) {
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(
        folder.join("Cargo.toml"),
        "[package]\nname = \"shared\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    )
    .unwrap();
    fs::write(folder.join("src/lib.rs"), format!("pub const TEXT: &str = {text:?};\n")).unwrap();
}

/// How often an app was built since the host was started.
fn builds(host: &Host, name: &str) -> usize {
    host.log_lines(&[&format!("{name}: built in")]).len()
}

#[test]
fn only_what_depends_on_a_saved_file_is_built() {
    let (left, right) = ("dev-left", "dev-right");
    let launch = dev(&[(left, &answers_shared("left")), (right, &answers_shared("right"))]);
    write_shared(&launch.folder().join("shared"), "one");
    for name in [left, right] {
        let manifest = launch.folder().join(name).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(manifest, text + "shared = { path = \"../shared\" }\n").unwrap();
    }
    let host = launch.start();
    assert_eq!(host.get("/apps/dev-left/").text(), "one left");
    assert_eq!(host.get("/apps/dev-right/").text(), "one right");

    save(&host, left, &answers_shared("LEFT"));
    wait_for_answer(&host, left, "one LEFT");
    host.wait_for_log(&["dev-left/src/lib.rs changed: building dev-left"]);
    assert_eq!((builds(&host, left), builds(&host, right)), (2, 1));

    write_shared(&host.folder().join("shared"), "two");
    wait_for_answer(&host, left, "two LEFT");
    wait_for_answer(&host, right, "two right");
    assert_eq!((builds(&host, left), builds(&host, right)), (3, 2));
}

#[test]
fn what_editors_leave_about_builds_nothing() {
    let name = "dev-editors";
    let host = dev(&[(name, &answers("one"))]).start();
    assert_eq!(host.get("/apps/dev-editors/").text(), "one");
    let source = host.folder().join(name).join("src");
    let left = [
        "4913",
        ".lib.rs.swp",
        ".lib.rs.swx",
        "lib.rs~",
        "#lib.rs#",
        "lib.rs___jb_tmp___",
        "lib.rs___jb_old___",
        ".goutputstream-AB12C3",
    ];
    for file in left {
        fs::write(source.join(file), "x").unwrap();
    }
    std::os::unix::fs::symlink("me@here.1:2", source.join(".#lib.rs")).unwrap();
    for file in left {
        fs::remove_file(source.join(file)).unwrap();
    }
    // As vim saves: the file is moved away, written anew, and the old one removed.
    fs::rename(source.join("lib.rs"), source.join("lib.rs~")).unwrap();
    fs::write(source.join("lib.rs"), answers("two")).unwrap();
    fs::remove_file(source.join("lib.rs~")).unwrap();
    wait_for_answer(&host, name, "two");
    let builds = host.log_lines(&["changed: building"]);
    assert!(builds.iter().all(|line| line.contains("src/lib.rs changed")), "{builds:?}");
}

#[test]
fn a_file_that_is_only_touched_is_built_and_not_reloaded() {
    let name = "dev-touch";
    let host = dev(&[(name, &answers("one"))]).start();
    assert_eq!(host.get("/apps/dev-touch/").text(), "one");
    let file = fs::File::options().append(true).open(host.folder().join(name).join("src/lib.rs")).unwrap();
    file.set_modified(std::time::SystemTime::now()).unwrap();
    host.wait_for_log(&["dev-touch: the library and the environment are unchanged: nothing to reload"]);
    assert_eq!(builds(&host, name), 2);
    assert_eq!(host.log_lines(&["dev-touch: reloaded"]), Vec::<String>::new());
}

#[test]
fn state_is_handed_over() {
    let source = |step: u32| {
        format!(
            "use atoll_plugin::prelude::*;\nuse std::{{cell::Cell, rc::Rc}};\n\
             fn app() -> Application {{\n\
                 let count = Rc::new(Cell::new(0_u32));\n\
                 let (saved, restored) = (count.clone(), count.clone());\n\
                 Application::new()\n\
                     .on_save(move || Ok(saved.get()))\n\
                     .on_restore(move |count: u32| {{ restored.set(count); Ok(()) }})\n\
                     .all(\"/{{*path}}\", move |_: Request| {{\n\
                         count.set(count.get() + {step});\n\
                         count.get().to_string()\n\
                     }})\n\
             }}\n\
             atoll_plugin::export_app!(app);\n"
        )
    };
    let name = "dev-state";
    let host = dev(&[(name, &source(1))]).start();
    assert_eq!(host.get("/apps/dev-state/").text(), "1");
    assert_eq!(host.get("/apps/dev-state/").text(), "2");
    save(&host, name, &source(100));
    host.wait_for_log(&["dev-state: reloaded in"]);
    assert_eq!(host.get("/apps/dev-state/").text(), "102");
}

#[test]
fn colours_are_cargos_where_there_is_a_terminal() {
    let launch = dev(&[("dev-colour", "compile_error!(\"is it red\");")]);
    let target = target().display().to_string();
    let env = [("CARGO_TARGET_DIR", target.as_str()), ("CARGO_NET_OFFLINE", "true")];
    let terminal = Terminal::command(launch.folder(), &["dev", "--listen", "127.0.0.1:0"], &env);
    terminal.wait_for("dev-colour: the build failed");
    let shown = terminal.shown();
    let line = shown.lines().find(|line| line.contains("is it red")).unwrap();
    assert!(line.starts_with("\x1b[") && !line.starts_with("error"), "{line:?}");
}

#[test]
fn changed_build_settings_build_the_app_again() {
    let (name, other) = ("dev-settings", "dev-settled");
    let source = answers("loud").replace("\"loud\"", "format!(\"{}\", cfg!(feature = \"loud\"))");
    let launch = dev(&[(name, &source), (other, &answers("other"))]);
    let manifest = launch.folder().join(name).join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("standalone = []\n", "standalone = []\nloud = []\n")).unwrap();
    let host = launch.start();
    wait_for_answer(&host, name, "false");
    wait_for_answer(&host, other, "other");

    let registry = |build| {
        json!([{ "name": name, "path": name, "build": build }, { "name": other, "path": other }]).to_string()
    };
    host.replace("apps.json", registry(json!({ "features": ["loud"] })));
    wait_for_answer(&host, name, "true");
    host.wait_for_log(&["dev-settings: reloaded in", "generation 2 is serving"]);

    // One that the crate does not have.
    host.replace("apps.json", registry(json!({ "features": ["laud"] })));
    host.wait_for_log(&[
        "dev-settings: the build failed after",
        "generation 2 of dev-settings keeps serving",
    ]);
    host.wait_for_log(&["does not contain this feature", "laud"]);
    assert_eq!(host.get("/apps/dev-settings/").text(), "true");
    assert_eq!(host.log_lines(&["dev-settled: generation 2"]), [""; 0]);
}
