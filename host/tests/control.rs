//! What is said to a running host: `atoll ls`, `reload`, `rollback`; and what a reload keeps.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod installed;
mod support;

use std::path::PathBuf;

use serde_json::{Value, json};
use support::{Ended, Host, Impostor, Launch, contains, library, versioned, wait_until};

/// Runs a command of `atoll` for the host.
fn atoll(host: &Host, args: &[&str]) -> Ended {
    let (command, rest) = args.split_first().expect("a command");
    Launch::command(command)
        .args(rest)
        .args(["--config", &host.path("apps.json")])
        .env("TMPDIR", host.folder().join("tmp"))
        .run()
}

fn status(host: &Host) -> Value {
    let ended = atoll(host, &["ls", "--format", "json"]);
    assert!(ended.status.success(), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

fn host(app: &str, library: Vec<u8>) -> Host {
    let path = format!("lib{app}.so");
    Launch::serve(json!([{ "name": app, "path": path }])).write(&path, library).start()
}

#[test]
fn ls_shows_what_runs_and_what_it_uses() {
    let host = host("app", versioned(1));
    assert_eq!(status(&host)["apps"][0]["phase"], "cold");
    host.get("/apps/app/");

    let app = &status(&host)["apps"][0];
    assert_eq!((&app["phase"], &app["serving"]["number"]), (&json!("serving"), &json!(1)));
    assert_eq!(app["serving"]["workers"], 1);
    let [live, peak] = ["live_bytes", "peak_bytes"].map(|name| app["serving"][name].as_u64().unwrap());
    assert!(0 < live && live <= peak && peak < 1 << 20, "{live} of {peak} bytes");
    let states: Vec<_> = app["history"].as_array().unwrap().iter().map(|entry| &entry["state"]).collect();
    let mut expected = vec!["staged", "inspected", "preflighted", "loaded", "starting", "serving"];
    // A process opens the library itself.
    expected.retain(|state| !support::IN_PROCESSES || *state != "preflighted");
    assert_eq!(states, expected);

    let table = atoll(&host, &["ls"]).stdout;
    assert!(table.contains("app") && table.contains("serving"), "{table}");
}

#[test]
fn a_rollback_goes_back_to_the_library_before() {
    let host = host("app", versioned(1));
    assert_eq!(host.get("/apps/app/").text(), "1");
    let refused = atoll(&host, &["rollback", "app"]);
    assert!(!refused.status.success() && refused.stderr.contains("no earlier library"), "{}", refused.stderr);

    host.replace("libapp.so", versioned(2));
    wait_until("version 2 serves", || host.get("/apps/app/").text() == "2");
    let ended = atoll(&host, &["rollback", "app"]);
    assert!(ended.status.success() && ended.stdout.contains("app#3"), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(host.get("/apps/app/").text(), "1");

    host.replace("libapp.so", versioned(3));
    wait_until("version 3 serves", || host.get("/apps/app/").text() == "3");
}

#[test]
fn a_reload_that_is_asked_for_loads_the_same_library_again() {
    let host = host("app", versioned(1));
    host.get("/apps/app/");
    let ended = atoll(&host, &["reload", "app"]);
    assert!(ended.status.success() && ended.stdout.contains("app#2"), "{}{}", ended.stdout, ended.stderr);
    wait_until("the old generation is gone", || host.mapped().len() == 1);

    let unknown = atoll(&host, &["reload", "nobody"]);
    assert!(!unknown.status.success() && unknown.stderr.contains("nobody"), "{}", unknown.stderr);
}

#[test]
fn without_a_host_it_says_how_to_start_one() {
    let ended = Launch::command("ls").write("apps.json", "[]").run();
    assert!(ended.status.code() == Some(3) && ended.stderr.contains("atoll serve"), "{}", ended.stderr);
}

/// The counter with another patch number in its stamp: another library that does the same.
fn counter(number: u8) -> Vec<u8> {
    let mut bytes = std::fs::read(library("counter")).unwrap();
    let version = br#""version":"0.1.0""#;
    let place = bytes.windows(version.len()).position(|text| text == version).unwrap();
    bytes[place + version.len() - 2] = b'0' + number;
    bytes
}

#[test]
fn the_counter_loses_nothing_over_reloads_under_load() {
    let host = host("counter", counter(0));
    let address = host.address();
    let clients: Vec<_> = (0..3)
        .map(|_| {
            std::thread::spawn(move || {
                let mut connection = support::Connection::open(address).unwrap();
                for _ in 0..400 {
                    let reply = connection.call(&support::Call::post("/apps/counter/", "")).unwrap();
                    assert_eq!(reply.status, 200, "{}", reply.text());
                }
            })
        })
        .collect();
    // A library that is replaced before the first call is the first generation's.
    host.wait_for_log(&["counter#1 is serving"]);
    for number in 1..6 {
        host.replace("libcounter.so", counter(number));
        let name = format!("counter#{}", number + 1);
        wait_until(&name, || !host.log_lines(&[&format!("{name} is serving")]).is_empty());
    }
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(host.get("/apps/counter/").json(), json!({ "count": 1200 }));
}

#[test]
fn a_kept_library_that_is_damaged_is_not_gone_back_to() {
    let host = host("app", versioned(1));
    assert_eq!(host.get("/apps/app/").text(), "1");
    let in_kept = |file: &PathBuf| file.parent().is_some_and(|folder| folder.ends_with("kept"));
    let kept = host.temporary_files().into_iter().find(in_kept).unwrap();
    host.replace("libapp.so", versioned(2));
    wait_until("version 2 serves", || host.get("/apps/app/").text() == "2");
    // Another file at its place: the one that was there may be what is loaded.
    std::fs::remove_file(&kept).unwrap();
    std::fs::write(&kept, versioned(3)).unwrap();
    let refused = atoll(&host, &["rollback", "app"]);
    assert_eq!(refused.status.code(), Some(1));
    let damaged = format!("the kept library {} is damaged: expected hash ", kept.display());
    assert!(refused.stderr.contains(&damaged), "{}", refused.stderr);
    let remedy = "; to roll back, install the older library at the app's path";
    assert!(refused.stderr.contains(remedy), "{}", refused.stderr);
    assert_eq!(host.get("/apps/app/").text(), "2");
}

#[test]
fn what_is_no_host_is_told() {
    let said = |body: Option<&str>| {
        let impostor = Impostor::replace(host("app", versioned(1)), body.map(str::to_owned));
        let ended = impostor.command("ls").run();
        assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
        ended.stderr
    };
    let silent = said(None);
    assert!(silent.starts_with("atoll: the host did not respond: "), "{silent}");
    assert!(silent.ends_with("; try again; if this persists, see its log"), "{silent}");
    let strange = said(Some("{}"));
    assert!(strange.starts_with("atoll: cannot parse the host's response: missing field "), "{strange}");
    assert!(strange.contains("; if its version differs from this command's, "), "{strange}");
}

/// Starts a second host of the same registry, which refuses to start.
#[track_caller]
fn a_second_host_is_refused(host: &Host) {
    let ended = Launch::command("serve")
        .args(["--listen", "127.0.0.1:0", "--config", &host.path("apps.json")])
        .env("TMPDIR", host.folder().join("tmp"))
        .run();
    assert_eq!(ended.status.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    contains(&ended.stderr, &[&format!("another host (process {}) is serving ", host.pid())]);
}

#[test]
fn a_registry_has_one_host_whatever_is_removed_in_the_temporary_folder() {
    let host = host("app", versioned(1));
    a_second_host_is_refused(&host);
    assert!(atoll(&host, &["ls"]).status.success(), "its socket is its own");
    let folder = host.folder().join("tmp");
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    a_second_host_is_refused(&host);
    // It goes on, and can stage again.
    host.replace("libapp.so", versioned(2));
    wait_until("version 2 serves", || host.get("/apps/app/").text() == "2");
}

#[test]
fn what_clears_out_temporary_files_spares_a_host() {
    let Some([tmpfiles]) = installed::all(["systemd-tmpfiles"]) else { return };
    let host = host("app", versioned(1));
    assert_eq!(host.get("/apps/app/").text(), "1");
    // All that is not in use, of whatever age.
    let rules = host.folder().join("rules.conf");
    std::fs::write(&rules, format!("d {} 0755 - - 0\n", host.folder().join("tmp").display())).unwrap();
    let status = std::process::Command::new(tmpfiles).arg("--clean").arg(&rules).status().unwrap();
    assert!(status.success(), "{status}");
    a_second_host_is_refused(&host);
    assert!(atoll(&host, &["ls"]).status.success());
    let ended = atoll(&host, &["reload", "app"]);
    assert!(ended.status.success(), "{}", ended.stderr);
}
