//! `atoll doctor`: what is wrong, and what to do about it.

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use support::{Ended, Host, Impostor, Launch, atoll, contains, library, patched, wait_for};

/// A host with two apps.
fn host() -> Host {
    let app = |name| json!({ "name": name, "path": library(name) });
    Launch::serve(json!([app("probe"), app("hello")])).start()
}

/// What the doctor says of a host and its registry.
fn doctor(host: &Host, args: &[&str]) -> Ended {
    Launch::command("doctor")
        .args(args)
        .args(["--config", &host.path("apps.json")])
        .env("TMPDIR", host.folder().join("tmp"))
        .run()
}

/// What it says where there is a registry without apps.
fn alone(launch: Launch) -> Ended {
    launch.write("apps.json", "[]").run()
}

#[test]
fn the_doctor_finds_nothing_where_all_is_well() {
    let host = host();
    host.get("/apps/probe/start");
    let address = host.address().to_string();
    let text = doctor(&host, &["--listen", &address]).stdout;
    contains(&text, &[&format!("host: process {}, ", host.pid()), " up, version "]);
    contains(
        &text,
        &[
            "ok       kernel: Linux",
            "ok       sandbox: enforces ",
            " descriptors, ",
            "library of probe: probe 0.1.0",
            "app probe: serving",
        ],
    );
    contains(&text, &[&format!("address {address}: this host is listening"), "0 problems"]);
    let findings: Value = serde_json::from_str(&doctor(&host, &["--format", "json"]).stdout).unwrap();
    assert!(findings.as_array().unwrap().iter().all(|finding| finding["level"] != "problem"), "{findings}");
}

#[test]
fn the_doctor_says_what_to_do() {
    let apps =
        json!([{ "name": "bad", "path": library("stampless") }, { "name": "gone", "path": "none.so" }]);
    let ended = Launch::command("doctor").write("apps.json", apps.to_string()).run();
    assert_eq!(ended.status.code(), Some(1));
    contains(
        &ended.stdout,
        &["problem  library of bad", "export_app!", "problem  library of gone", "2 problems"],
    );

    let wrong = Launch::command("doctor").write("apps.json", r#"[{ "name": 1, "path": "a" }]"#).run();
    contains(
        &wrong.stdout,
        &["problem  registry: apps.json:1:12: apps[0].name", "host: not running for this apps.json"],
    );

    let nowhere = Launch::command("doctor").env("TMPDIR", "/nowhere/at/all").write("apps.json", "[]").run();
    assert_eq!(nowhere.status.code(), Some(1));
    contains(&nowhere.stdout, &["problem  temporary folder: /nowhere/at/all", "set TMPDIR"]);

    let strange =
        Launch::command("doctor").args(["--listen", "192.0.2.1:8080"]).write("apps.json", "[]").run();
    contains(
        &strange.stdout,
        &["problem  address 192.0.2.1:8080: ", "-> choose one of this machine's addresses with --listen"],
    );

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let warned = Launch::command("doctor").args(["--listen", &address]).write("apps.json", "[]").run();
    assert_eq!(warned.status.code(), Some(0), "{}", warned.stdout);
    contains(&warned.stdout, &[&format!("(process {})", std::process::id()), "--find-free-port"]);
}

#[test]
fn the_doctor_finds_what_the_host_has_refused() {
    let host = Launch::serve(json!([{ "name": "app", "path": "libapp.so" }]))
        .write("libapp.so", support::versioned(1))
        .start();
    host.get("/apps/app/");
    host.replace("libapp.so", "not a library");
    let text = wait_for("the refusal is found", || {
        let text = doctor(&host, &[]).stdout;
        text.contains("its newest library was refused").then_some(text)
    });
    contains(&text, &["warning  app app: serving", "atoll describe app", "problem  library of app"]);
}

#[test]
fn the_doctor_knows_what_became_of_each_app() {
    let apps = json!([
        { "name": "ends", "path": "libends.so", "max_restarts": 20 },
        { "name": "off", "path": library("probe") }
    ]);
    let host = Launch::serve(apps).write("libends.so", patched("misbehave", "app-panics")).start();
    let off = Launch::command("disable").args(["off", "--config", &host.path("apps.json")]);
    assert_eq!(off.env("TMPDIR", host.folder().join("tmp")).run().status.code(), Some(0));
    host.get("/apps/ends/");
    let text = wait_for("the app rests", || {
        let text = doctor(&host, &[]).stdout;
        text.contains("waiting to restart").then_some(text)
    });
    contains(&text, &["warning  app ends: waiting to restart: #", "-> see `atoll logs ends`"]);
    contains(&text, &["warning  app off: disabled\n", "-> `atoll enable off`"]);
}

#[test]
fn the_doctor_finds_a_host_of_another_version() {
    let host = host();
    let status = Launch::command("ls")
        .args(["--format", "json", "--config", &host.path("apps.json")])
        .env("TMPDIR", host.folder().join("tmp"))
        .run();
    let mut status: Value = serde_json::from_str(&status.stdout).unwrap();
    status["process"]["version"] = json!("0.0.7");
    let text = alone(Impostor::replace(host, Some(status.to_string())).command("doctor")).stdout;
    let own = env!("CARGO_PKG_VERSION");
    contains(&text, &[" up, version 0.0.7; this command is ", own, "-> restart the host with this version"]);
}

#[test]
fn the_doctor_finds_a_host_that_does_not_answer() {
    let ended = alone(Impostor::replace(host(), None).command("doctor"));
    assert_eq!(ended.status.code(), Some(1));
    contains(
        &ended.stdout,
        &["problem  host: the host did not respond: ", "-> if this persists, restart the host"],
    );
}

#[test]
fn the_doctor_looks_for_the_compiler() {
    let remedy = "-> `atoll dev` needs cargo to build apps; `atoll serve` does not.";
    let with_path = |launch: Launch| {
        let folder = launch.folder().join("bin");
        alone(launch.env("PATH", folder).env("CARGO", "cargo")).stdout
    };
    let none = with_path(Launch::command("doctor"));
    contains(&none, &["warning  cargo: not found: No such file", remedy, "https://rustup.rs"]);

    let launch = Launch::command("doctor");
    let cargo = launch.folder().join("bin/cargo");
    fs::create_dir(launch.folder().join("bin")).unwrap();
    fs::write(&cargo, "#!/bin/sh\necho no default toolchain >&2\nexit 1\n").unwrap();
    fs::set_permissions(cargo, fs::Permissions::from_mode(0o755)).unwrap();
    contains(&with_path(launch), &["warning  cargo: failed to run: no default toolchain\n", remedy]);
}

#[test]
fn the_doctor_measures_the_limits_of_the_process() {
    let limits = "ulimit -n 100; ulimit -v 8000000; exec \"$0\" doctor";
    let ended = alone(Launch::program("sh").args(["-c", limits]).arg(atoll()));
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    contains(
        &ended.stdout,
        &["warning  open files: at most 100\n", "-> this limits connections and apps: run `ulimit"],
    );
    contains(
        &ended.stdout,
        &["warning  address space: at most ", "-> heaps reserve far more than they use: run"],
    );
}

#[test]
fn the_doctor_measures_the_temporary_folder() {
    for (options, code, words) in [
        ("noexec", 1, ["/tmp is mounted noexec\n", "-> libraries cannot be loaded from it: set TMPDIR"]),
        ("size=64m", 0, ["warning  temporary folder: ", "-> free some space: "]),
        (
            "size=8m",
            1,
            ["problem  temporary folder: ", "-> free some space, or set TMPDIR to a folder on a larger file"],
        ),
    ] {
        let setup = format!("mount -t tmpfs -o {options} tmpfs tmp");
        let Some(launch) = Launch::isolated(&setup, "doctor") else { return };
        let ended = alone(launch);
        assert_eq!(ended.status.code(), Some(code), "{options}: {}", ended.stdout);
        contains(&ended.stdout, &words);
    }
}

#[test]
fn the_doctor_tries_whether_files_can_be_watched() {
    for limit in ["instances", "watches"] {
        let setup = format!("echo 0 > /proc/sys/user/max_inotify_{limit}");
        let Some(launch) = Launch::isolated(&setup, "doctor") else { return };
        let ended = alone(launch);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
        contains(&ended.stdout, &["problem  inotify: cannot watch files: "]);
        contains(&ended.stdout, &["-> raise fs.inotify.max_user_instances and fs.inotify.max_user_watches"]);
    }
}

#[test]
fn the_doctor_knows_the_other_c_library() {
    // The same machine and system, as long as the name that is in the stamp.
    const MUSL: &str = "x86_64-alpine-linux-musl";
    let mut bytes = fs::read(library("probe")).unwrap();
    let target = atoll_plugin::stamp::TARGET.as_bytes();
    if target.len() != MUSL.len() {
        eprintln!("another machine: the stamp has no room");
        return;
    }
    let stamp = format!("\"target\":\"{}\"", atoll_plugin::stamp::TARGET);
    let at = bytes.windows(stamp.len()).position(|found| found == stamp.as_bytes()).unwrap()
        + "\"target\":\"".len();
    bytes[at..at + MUSL.len()].copy_from_slice(MUSL.as_bytes());
    let apps = json!([{ "name": "musl", "path": "libmusl.so", "build": { "target": MUSL } }]);
    let ended =
        Launch::command("doctor").write("libmusl.so", bytes).write("apps.json", apps.to_string()).run();
    assert_eq!(ended.status.code(), Some(1));
    contains(
        &ended.stdout,
        &[
            "problem  library of musl: ",
            "found x86_64-alpine-linux-musl, expected",
            "a host with glibc cannot load a library for musl",
            "set `build.target` of the app",
        ],
    );
}
