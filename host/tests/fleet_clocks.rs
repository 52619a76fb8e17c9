//! A fleet of machines whose clocks differ.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod installed;
mod nats;
mod support;

use std::path::PathBuf;
use std::time::SystemTime;

use atoll_host::internal::fleet::nats::Fleet;
use nats::{Nats, app, status};
use serde_json::{Value, json};
use support::{Launch, contains, library, versioned, wait_until};

const HOUR_S: i64 = 3600;

fn program() -> Option<PathBuf> {
    installed::all(["nats-server"]).map(|[program]| program)
}

/// With a clock that is so far ahead.
fn ahead(launch: Launch, seconds: i64) -> Launch {
    launch.env("LD_PRELOAD", library("shifted-clock")).env("CLOCK_AHEAD_S", seconds.to_string())
}

/// Whether a time is within the last minute, by a clock that is so far ahead of that of this machine.
#[track_caller]
fn assert_just_now(ms: &Value, ahead_s: i64) {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64 + ahead_s * 1000;
    let passed = now - ms.as_i64().unwrap();
    assert!((0..60_000).contains(&passed), "{passed} ms have passed since {ms}");
}

/// Checks how far a clock is ahead.
#[track_caller]
fn assert_ahead(ms: &Value, seconds: i64) {
    let difference = ms.as_i64().unwrap() - seconds * 1000;
    assert!(difference.abs() < 1000, "{ms} ms, and not {seconds} s");
}

#[test]
fn a_host_with_another_clock_does_its_part_and_its_times_are_shown_by_that_of_the_host_that_is_asked() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let b = ahead(nats.launch("b", json!({})), HOUR_S).start();
    b.wait_for_log(&["joined the fleet default as", "b"]);
    let deploy = |version, settings| {
        let launch = nats.deployer("deploy", versioned(version), settings);
        launch.args(["app", "--fleet", "--hold", "0"])
    };
    let single = || json!({ "instances": 1 });
    let deployed = deploy(1, single()).run();
    assert!(deployed.status.success(), "{}{}", deployed.stdout, deployed.stderr);
    wait_until("it runs there", || b.get("/apps/app/").text() == "1");

    let a = nats.host("a");
    nats.wait_for_hosts(&a, &["a", "b"]);
    wait_until("the lease is known", || app(&a)["holder"]["host"] == "b");
    for (host, own_s) in [(&a, 0), (&b, HOUR_S)] {
        let seen = status(host);
        for (place, clock_s) in [(0, 0), (1, HOUR_S)] {
            assert_just_now(&seen["hosts"][place]["started_ms"], own_s);
            assert_ahead(&seen["hosts"][place]["clock_ahead_ms"], clock_s - own_s);
        }
        assert_just_now(&app(host)["holder"]["since_ms"], own_s);
    }
    contains(&a.again("ls").arg("--fleet").run().stdout, &["b: its clock is 1 h 0 min ahead of that of a"]);

    // Someone who deploys has yet another clock.
    let deployed = ahead(deploy(2, single()), -5 * HOUR_S).run();
    assert!(deployed.status.success(), "{}{}", deployed.stdout, deployed.stderr);
    contains(&deployed.stdout, &["is on 2 hosts"]);
    assert_eq!(b.get("/apps/app/").text(), "2");
    // The lease was renewed all the time.
    assert_eq!(app(&a)["holder"]["host"], "b");
    b.stop();
    wait_until("the other host runs it", || a.get("/apps/app/").text() == "2");
}

#[test]
fn who_deploys_with_a_clock_that_is_ahead_removes_nothing_that_is_new() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("unused");
    std::fs::write(&file, "someone needs it in a moment").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let fleet = Fleet::connect(&nats.settings()).await.unwrap();
        let hash = atoll_host::internal::ContentHash::of_file(&file).unwrap().to_string();
        fleet.put_library(&hash, &file).await.unwrap();
    });
    let deployed = ahead(nats.deploy(versioned(1)), 48 * HOUR_S).run();
    assert!(deployed.status.success(), "{}{}", deployed.stdout, deployed.stderr);
    assert!(!deployed.stdout.contains("unused libraries"), "{}", deployed.stdout);
}
