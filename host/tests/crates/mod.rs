//! Crates that `atoll dev` builds.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::fs;
use std::path::{Path, PathBuf};

use atoll_host::internal::build::cargo;
use serde_json::json;

use super::support::{Host, Launch, wait_until};

/// The target folder of the fixtures, where what the crates depend on is built already.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_atoll")).ancestors().nth(2).unwrap().join("fixtures")
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The source of an app that answers everything with `text`.
pub fn answers(text: &str) -> String {
    format!(
        "use atoll_plugin::prelude::*;\n\
         fn app() -> Application {{ Application::new().all(\"/{{*path}}\", |_: Request| {text:?}) }}\n\
         atoll_plugin::export_app!(app);\n"
    )
}

/// Makes a crate, which is a workspace of its own. `name` is this test's only: the libraries of all are in one folder.
pub fn write_crate(folder: &Path, name: &str, source: &str) {
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
pub fn dev(crates: &[(&str, &str)]) -> Launch {
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

pub fn save(host: &Host, name: &str, source: &str) {
    fs::write(host.folder().join(name).join("src/lib.rs"), source).unwrap();
}

#[track_caller]
pub fn wait_for_answer(host: &Host, name: &str, text: &str) {
    let path = format!("/apps/{name}/");
    wait_until(&format!("{name} answers {text}"), || host.get(&path).text() == text);
}
