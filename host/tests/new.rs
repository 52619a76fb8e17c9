//! `atoll new`: an app from a template, and what it prints as the way to go on.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use atoll_host::internal::build::cargo;
use serde_json::{Value, json};
use support::{Call, Ended, Launch, SMALL, atoll, fixtures_target, wait_until, workspace};

const TEMPLATES: [&str; 4] = ["hello", "axum", "rpc", "websocket"];

/// A workspace that warns of what careful ones warn of.
const WORKSPACE: &str = "[workspace]\nresolver = \"3\"\nmembers = []\n\n\
    [workspace.package]\nedition = \"2024\"\n\n\
    [workspace.lints.rust]\nmissing_docs = \"warn\"\nunreachable_pub = \"warn\"\n\n\
    [workspace.lints.clippy]\nunwrap_used = \"warn\"\n";

/// The profile that Atoll's own workspace has, so that an app outside of it is built with what was built there.
const PROFILE: &str = "\n[profile.dev.package.\"*\"]\ndebug = false\n\n\
    [profile.dev.package.crc32fast]\nopt-level = 3\n";

/// `atoll new` in a folder.
struct Made {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn new(folder: &Path, arguments: &[&str]) -> Made {
    let output = atoll_new(folder, arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Made { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn atoll_new(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(atoll());
    command.arg("new").args(arguments).current_dir(folder).env("CARGO_NET_OFFLINE", "true");
    command
}

#[track_caller]
fn refused(folder: &Path, arguments: &[&str], because: &str) {
    let before = all_files(folder);
    let made = new(folder, arguments);
    assert_eq!((made.code, made.stdout.as_str()), (Some(1), ""), "{arguments:?}: {}", made.stderr);
    assert!(made.stderr.contains(because), "{because:?} in {}", made.stderr);
    assert_eq!(all_files(folder), before, "nothing is left behind");
}

/// All files below a folder, with their contents.
fn all_files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => {
                found.push((path.clone(), Vec::new()));
                found.extend(all_files(&path));
            }
            false => found.push((path.clone(), fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

/// Runs cargo as the tests' libraries are built, without a limit on its time; what it says.
#[track_caller]
fn run_cargo(folder: &Path, target: &Path, small: bool, arguments: &[&str]) -> String {
    let output = cargo()
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TERM_COLOR", "never")
        .envs(if small { &SMALL[..] } else { &[] }.iter().copied())
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "cargo {arguments:?}: {said}");
    said
}

/// Makes the folder a workspace, and all templates members of it.
fn all_templates(folder: &Path) {
    fs::write(folder.join("Cargo.toml"), WORKSPACE).unwrap();
    // The versions that are there: without a network there are no others.
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    fs::create_dir(folder.join("apps")).unwrap();
    for template in TEMPLATES {
        let made = new(folder, &[&format!("new-{template}"), "--template", template]);
        assert_eq!((made.code, made.stderr.as_str()), (Some(0), ""), "{template}");
        assert!(made.stdout.contains(&format!("\n  cargo test -p new-{template}\n")), "{}", made.stdout);
    }
}

#[test]
fn each_template_compiles_is_tested_and_serves() {
    let launch = Launch::command("dev").args(["--listen", "127.0.0.1:0"]);
    let folder = launch.folder().to_owned();
    all_templates(&folder);
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for template in TEMPLATES {
        assert!(manifest.contains(&format!("\"apps/new-{template}\"")), "{manifest}");
    }
    let apps: Value = serde_json::from_slice(&fs::read(folder.join("apps.json")).unwrap()).unwrap();
    assert_eq!(apps[1], json!({ "name": "new-axum", "path": "apps/new-axum" }));

    let said = run_cargo(&folder, &fixtures_target(), true, &["test", "--workspace", "--quiet"]);
    assert!(!said.contains("warning"), "{said}");
    assert_eq!(said.matches("test result: ok").count(), TEMPLATES.len(), "{said}");
    assert!(!said.contains("running 0 tests"), "{said}");
    run_cargo(&folder, &fixtures_target(), true, &["fmt", "--all", "--check"]);
    run_cargo(&folder, &fixtures_target(), true, &["build", "--quiet", "--lib", "--workspace"]);

    let mut launch = launch.env("CARGO_TARGET_DIR", fixtures_target()).env("CARGO_NET_OFFLINE", "true");
    for (name, value) in SMALL {
        launch = launch.env(name, value);
    }
    let host = launch.start();
    for greeter in ["hello", "axum"] {
        let greeting = host.get(&format!("/apps/new-{greeter}/greet/reef"));
        assert_eq!(greeting.json(), json!({ "hello": "reef" }), "{greeter}");
    }
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "add", "params": [1, 2] });
    let call = Call::post("/rpc/new-rpc", call.to_string()).header("content-type", "application/json");
    assert_eq!(host.call(&call).json()["result"], json!(3.0));
    assert!(host.get("/apps/new-websocket/").text().contains("new WebSocket"));
    let mut request = String::from("GET /apps/new-websocket/socket HTTP/1.1\r\nhost: x\r\n");
    request += "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n";
    request += "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut connection = host.connect();
    connection.write(request.as_bytes()).unwrap();
    assert_eq!(connection.head().unwrap().status, 101);

    // A new app is served by the host that runs.
    let made = new(&folder, &["new-later"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    wait_until("the new app is served", || host.get("/apps/new-later/").text() == "hello, world\n");
}

#[test]
fn an_app_outside_of_a_workspace_stands_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("here")).unwrap();
    let here = folder.path().join("here");
    let made = new(&here, &["new-alone", "--path", "../alone", "--config", "my.json"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let alone = folder.path().canonicalize().unwrap().join("alone");
    for line in [
        "dev --config my.json\n".to_owned(),
        format!("  cargo test --manifest-path {}\n", alone.join("Cargo.toml").display()),
        "  curl http://127.0.0.1:3000/apps/new-alone/greet/reef\n".to_owned(),
    ] {
        assert!(made.stdout.contains(&line), "{line:?} in {}", made.stdout);
    }
    let apps: Value = serde_json::from_slice(&fs::read(here.join("my.json")).unwrap()).unwrap();
    assert_eq!(apps, json!([{ "name": "new-alone", "path": alone }]));
    assert!(alone.join(".git").is_dir() && alone.join(".gitignore").is_file());

    // Its program is what serves it by itself.
    fs::copy(workspace().join("Cargo.lock"), alone.join("Cargo.lock")).unwrap();
    fs::write(alone.join("Cargo.toml"), fs::read_to_string(alone.join("Cargo.toml")).unwrap() + PROFILE)
        .unwrap();
    let target = fixtures_target().parent().unwrap().to_owned();
    let said = run_cargo(&alone, &target, false, &["build", "--quiet", "--features", "standalone"]);
    assert_eq!(said, "");
    let host = Launch::program(target.join("debug/new-alone")).args(["--listen", "127.0.0.1:0"]).start();
    assert_eq!(host.get("/greet/reef").json(), json!({ "hello": "reef" }));
}

#[test]
fn in_a_workspace_that_shares_atoll_the_crate_does_too() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = format!("{WORKSPACE}\n[workspace.dependencies]\natoll-plugin = \"0.1\"\n");
    fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    assert_eq!(new(folder.path(), &["shop", "--template", "axum"]).code, Some(0));
    let manifest = fs::read_to_string(folder.path().join("shop/Cargo.toml")).unwrap();
    assert!(manifest.contains("atoll-plugin = { workspace = true, features = [\"tower\"] }\n"), "{manifest}");
    assert!(manifest.ends_with("\n[lints]\nworkspace = true\n"), "{manifest}");
}

#[test]
fn what_cannot_be_made_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("Cargo.toml"), WORKSPACE).unwrap();
    fs::write(folder.join("apps.json"), "[{\"name\":\"taken\",\"path\":\"x\"}]").unwrap();
    fs::create_dir(folder.join("there")).unwrap();

    refused(folder, &["fn"], "cargo failed: invalid package name `fn`: it is a Rust keyword");
    refused(folder, &["a b"], "invalid app name `a b`: expected a name of 1 to 64 characters");
    refused(folder, &["a.b"], "invalid character `.` in package name");
    refused(folder, &["taken"], "apps.json already has an app `taken` with the path ");
    refused(folder, &["there"], "there already exists; choose another name, or another folder with --path");
    refused(folder, &["atoll-plugin"], "the app depends on a crate of that name");
    refused(
        folder,
        &["shop", "--config", "nowhere/apps.json"],
        "its folder does not exist; create it, or correct",
    );
    refused(folder, &["shop", "--path", "apps.json/shop"], "apps.json");
    // Found by cargo when the crate is there.
    assert_eq!(new(folder, &["first"]).code, Some(0));
    refused(
        folder,
        &["first", "--path", "deep/er/second", "--config", "other.json"],
        "two packages named `first`",
    );

    fs::write(folder.join("bad.json"), "[{\"name\":\"a\"").unwrap();
    refused(folder, &["shop", "--config", "bad.json"], "bad.json:1:2: unclosed `{`");

    let before = all_files(folder);
    let no_cargo = atoll_new(folder, &["shop"]).env("PATH", "/nowhere").env_remove("CARGO").output().unwrap();
    let stderr = String::from_utf8_lossy(&no_cargo.stderr).into_owned();
    assert!(stderr.starts_with("atoll: cannot run cargo: No such file"), "{stderr}");
    assert!(stderr.contains("https://rustup.rs"), "{stderr}");
    assert_eq!(all_files(folder), before);
}

/// A `PATH` with a program in the place of cargo.
fn fake_cargo(folder: &Path, script: &str) -> String {
    let path = folder.join("cargo");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

#[test]
fn what_cannot_be_written_or_taken_back_is_told() {
    let tools = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    // Nobody makes files there.
    let shop = folder.join("shop").display().to_string();
    refused(
        &folder,
        &["shop", "--path", &shop, "--config", "/proc/apps.json"],
        "cannot write /proc/apps.json: ",
    );

    let make = r#"
        for last; do :; done
        case $1 in
            new) mkdir "$last" && echo '[' > "$last/Cargo.toml" ;;
            metadata) printf '{"packages":[],"workspace_members":[],"resolve":null,"version":1,' &&
                printf '"workspace_root":"%s","target_directory":"/"}' "$(dirname "$last")" ;;
        esac"#;
    let said = |folder: &Path, script: &str| {
        let output =
            atoll_new(folder, &["shop"]).env("PATH", fake_cargo(tools.path(), script)).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let stderr = said(&folder, make);
    assert!(
        stderr.starts_with("atoll: cannot parse the Cargo.toml that cargo created: TOML parse"),
        "{stderr}"
    );
    assert_eq!(all_files(&folder), []);

    // What is in the places of the crate and of the manifest above is of another kind than what was made.
    fs::write(folder.join("Cargo.toml"), WORKSPACE).unwrap();
    let stderr =
        said(&folder, "touch shop; rm Cargo.toml; mkdir Cargo.toml; echo error: no more >&2; exit 1");
    let manifest = folder.join("Cargo.toml");
    for line in [
        "atoll: cargo failed: no more".to_owned(),
        format!("cannot remove {}: Not a directory", folder.join("shop").display()),
        format!("cannot restore {}: Is a directory", manifest.display()),
    ] {
        assert!(stderr.contains(&line), "{line:?} in {stderr}");
    }
}

#[test]
fn a_name_is_asked_for() {
    let ended: Ended = Launch::command("new").run();
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("<NAME>"), "{}", ended.stderr);
}

#[test]
fn what_is_said_of_a_first_app_is_true() {
    let template = fs::read_to_string(workspace().join("host/templates/hello/src/lib.rs")).unwrap();
    let (_, code) = template.split_once("\nuse ").unwrap();
    let (code, _) = code.split_once("#[cfg(test)]").unwrap();
    // However wide the lines are.
    let dense = |text: &str| text.split_whitespace().collect::<String>();
    for page in ["README.md", "docs/src/first-app.md"] {
        let page = fs::read_to_string(workspace().join(page)).unwrap();
        assert!(dense(&page).contains(&dense(code)), "{code}");
    }

    let folder = tempfile::tempdir().unwrap();
    let made = new(folder.path(), &["greeter"]);
    let page = fs::read_to_string(workspace().join("docs/src/first-app.md")).unwrap();
    let shown = made.stdout.replace(&atoll().display().to_string(), "atoll");
    assert!(page.contains(&format!("$ atoll new greeter\n{shown}```")), "{shown}");
}
