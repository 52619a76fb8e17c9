//! `atoll dev`: what is saved is built and served.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use atoll_host::build::cargo;
use serde_json::json;
use support::{Ended, Host, Launch, wait_for, wait_until};

/// The target folder of the fixtures, where what the crates depend on is built already.
fn target() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_atoll")).ancestors().nth(2).unwrap().join("fixtures")
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The source of an app that answers everything with `text`.
fn answers(text: &str) -> String {
    format!(
        "use atoll_plugin::prelude::*;\n\
         fn app() -> Application {{ Application::new().all(\"/{{*path}}\", |_: Request| {text:?}) }}\n\
         atoll_plugin::export_app!(app);\n"
    )
}

/// Makes a crate, which is a workspace of its own. `name` is this test's only: the libraries of all are in one folder.
fn write_crate(folder: &Path, name: &str, source: &str) {
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-api").canonicalize().unwrap();
    let manifest = format!(
        "[workspace]\n[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"cdylib\"]\n\
         [features]\ndefault = [\"standalone\"]\nstandalone = []\n\
         [dependencies]\natoll-plugin = {{ path = {plugin:?} }}\n"
    );
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::copy(fixtures().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    fs::write(folder.join("src/lib.rs"), source).unwrap();
}

/// `atoll dev` for crates of these names and sources, which are in folders of these names.
fn dev(crates: &[(&str, &str)]) -> Launch {
    let apps: Vec<_> = crates.iter().map(|(name, _)| json!({ "name": name, "path": name })).collect();
    let launch = Launch::command("dev")
        .args(["--listen", "127.0.0.1:0"])
        .env("CARGO_TARGET_DIR", target())
        .env("CARGO_NET_OFFLINE", "true")
        .write("apps.json", json!(apps).to_string());
    for (name, source) in crates {
        write_crate(&launch.folder().join(name), name, source);
    }
    // Without a limit on its time: the dependencies may have to be built first.
    if let Some((name, _)) = crates.first() {
        let built = cargo()
            .args(["build", "--quiet", "--lib", "--package", "atoll-plugin", "--offline", "--target-dir"])
            .arg(target())
            .current_dir(launch.folder().join(name))
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }
    launch
}

fn save(host: &Host, name: &str, source: &str) {
    fs::write(host.folder().join(name).join("src/lib.rs"), source).unwrap();
}

#[track_caller]
fn wait_for_answer(host: &Host, name: &str, text: &str) {
    let path = format!("/apps/{name}/");
    wait_until(&format!("{name} answers {text}"), || host.get(&path).text() == text);
}

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
    host.wait_for_log(&["dev-save: built in", " s"]);
    host.wait_for_log(&["dev-save#2 serves", "after the change"]);

    // What does not compile changes nothing.
    save(&host, name, &answers("broken").replace("new()", "nwe()"));
    host.wait_for_log(&["error[E0599]"]);
    host.wait_for_log(&["dev-save: the build failed after", "generation 2 of dev-save goes on serving"]);
    assert_eq!(host.get("/apps/dev-save/").text(), "two");

    // Also a manifest that cannot be read.
    let manifest = host.folder().join("dev-save/Cargo.toml");
    let good = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, good.replace("[lib]", "[lib")).unwrap();
    host.wait_for_log(&["dev-save: cannot understand", "Cargo.toml"]);
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
    let reply = wait_for("the app is registered", || {
        Some(host.get("/apps/dev-second/")).filter(|reply| reply.status != 404)
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
