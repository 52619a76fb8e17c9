//! Hosts that share apps through NATS.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod installed;
mod nats;
mod openapi;
mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;

use atoll_host::internal::fleet::nats::{Fleet, FleetError};
use atoll_host::internal::fleet::{AppPresence, Target};
use nats::{Nats, app, status, wait_for_text};
use openapi::{Answers, FLEET};
use serde_json::{Value, json};
use support::{Call, Connection, Ended, Host, Launch, contains, versioned, wait_until};

fn program() -> Option<PathBuf> {
    installed::all(["nats-server"]).map(|[program]| program)
}

fn succeeded(ended: Ended) -> String {
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// What a host counts of the fleet: whether it is connected, the hosts, and the apps that are out of date.
fn counts(on: &Host) -> [u64; 3] {
    let text = Connection::open(on.admin()).unwrap().call(&Call::get("/metrics")).unwrap().text();
    ["connected", "hosts", "apps_out_of_date"].map(|name| {
        let name = format!("atoll_fleet_{name}{{fleet=\"default\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap()
    })
}

/// Does this with the fleet, as another program would.
fn with_fleet<T>(
    nats: &Nats,
    work: impl AsyncFnOnce(Fleet) -> Result<T, FleetError>,
) -> Result<T, FleetError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { work(Fleet::connect(&nats.settings()).await?).await })
}

#[test]
fn a_deployment_reaches_all_hosts_also_one_that_joins_later_and_a_removal_as_well() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let a = nats.launch("a", json!({})).args(["--admin", "127.0.0.1:0"]).start();
    let b = nats.host("b");
    nats.wait_for_hosts(&a, &["a", "b"]);
    let seen = status(&a);
    assert_eq!((&seen["host"], &seen["connected"]), (&json!("a"), &json!(true)));
    let host = &seen["hosts"][1];
    assert_eq!(host["addresses"], json!([format!("http://{}", b.address())]));
    assert_eq!((&host["labels"], &host["apps"]), (&json!({ "zone": "z" }), &json!(0)));

    let first = nats.deployed(versioned(1));
    contains(
        &first.stdout,
        &[" uploaded", "rolling out to 1 of 2 hosts: a", "rolling out to all of 2 hosts", "is on 2 hosts"],
    );
    assert_eq!([&a, &b].map(|host| host.get("/apps/app/").text()), ["1", "1"]);
    let shown = app(&b);
    let version = shown["version"].as_str().unwrap().to_owned();
    assert!(shown["by"].as_str().unwrap().starts_with("ann@"), "{shown}");
    assert!(shown["hosts"].as_array().unwrap().iter().all(|host| host["version"] == *version), "{shown}");
    let [document, answer] = ["/api/v1/openapi.json", FLEET]
        .map(|path| Connection::open(a.admin()).unwrap().call(&Call::get(path)).unwrap().json());
    Answers::of(&document, FLEET).unwrap().check(&answer);
    let table = succeeded(a.again("ls").arg("--fleet").run());
    contains(&table, &["zone=z", &version, "2 of 2", "up to date"]);

    let again = succeeded(nats.deploy(versioned(1)).run());
    contains(&again, &["is on 2 hosts"]);
    assert!(!again.contains("rolling out"), "nothing is to be done: {again}");

    contains(&nats.deployed(versioned(2)).stdout, &["is on 2 hosts"]);
    let c = nats.host("c");
    wait_for_text(&c, "2");
    nats.wait_for_hosts(&a, &["a", "b", "c"]);
    wait_until("the fleet sees the app on the third host", || {
        app(&a)["hosts"].as_array().unwrap().len() == 3
    });
    contains(
        &succeeded(a.again("describe").args(["app", "--fleet"]).run()),
        &["ann@", "GENERATION", "serving"],
    );

    let back = succeeded(a.again("rollback").args(["app", "--fleet"]).run());
    contains(&back, &["app: version ", &version, "is on 3 hosts"]);
    assert_eq!([&a, &b, &c].map(|host| host.get("/apps/app/").text()), ["1", "1", "1"]);
    let none = a.again("rollback").args(["app", "--fleet"]).run();
    contains(&none.stderr, &["no earlier version of app"]);

    let removed = succeeded(a.again("remove").args(["app", "--fleet"]).run());
    contains(&removed, &["removed from 3 hosts"]);
    assert_eq!([&a, &b, &c].map(|host| host.get("/apps/app/").status), [404, 404, 404]);
    assert_eq!(app(&a)["is_removed"], true);
    let back = succeeded(a.again("rollback").args(["app", "--fleet"]).run());
    contains(&back, &["is on 3 hosts"]);
    assert_eq!(c.get("/apps/app/").text(), "1");

    // Nobody waits for a host that has stopped in order.
    c.stop();
    contains(&nats.deployed(versioned(3)).stdout, &["is on 2 hosts"]);
    let shown = status(&a);
    let names: Vec<_> = shown["hosts"].as_array().unwrap().iter().map(|host| &host["name"]).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn one_of_two_who_deploy_at_once_gets_a_conflict_and_a_rollout_is_resumed() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let (a, b) = (nats.host("a"), nats.host("b"));
    nats.wait_for_hosts(&a, &["a", "b"]);
    nats.deployed(versioned(1));

    let slow = |library| nats.deployer("deploy", library, json!({})).args(["--fleet", "--hold", "600"]);
    let mut first = slow(versioned(2)).spawn();
    wait_for_text(&a, "2");
    assert_eq!(b.get("/apps/app/").text(), "1", "it waits for its turn");
    let other = nats.deploy(versioned(3)).run();
    assert_eq!(other.status.code(), Some(1));
    contains(&other.stderr, &["is under way", "by ann@", "atoll rollback app --fleet"]);
    // Someone who has read the record before the last one was written.
    let stale = with_fleet(&nats, async |fleet| {
        let (record, revision) = fleet.record("app").await?.unwrap();
        fleet.publish("app", &record, Some(revision - 1)).await
    });
    assert!(matches!(stale, Err(FleetError::Conflict { .. })), "{stale:?}");

    first.signal(libc::SIGKILL);
    first.ended();
    contains(&nats.deployed(versioned(2)).stdout, &["resuming the rollout", "is on 2 hosts"]);
    assert_eq!(b.get("/apps/app/").text(), "2");

    // A rollout ends when someone else changes the app.
    let waiting = slow(versioned(3)).spawn();
    wait_for_text(&a, "3");
    contains(&succeeded(a.again("rollback").args(["app", "--fleet"]).run()), &["is on 2 hosts"]);
    let ended = waiting.ended();
    assert_eq!(ended.status.code(), Some(1));
    contains(&ended.stderr, &["conflict", "someone else has changed app"]);
    assert_eq!([&a, &b].map(|host| host.get("/apps/app/").text()), ["2", "2"]);
}

#[test]
fn a_host_serves_what_it_has_while_nats_is_away_and_a_missing_record_removes_nothing() {
    let Some(program) = program() else { return };
    let mut nats = Nats::later(&program);
    let a = nats.launch("a", json!({})).args(["--admin", "127.0.0.1:0"]).start();
    a.wait_for_log(&["not in the fleet default", "serves the apps that it has"]);
    let seen = status(&a);
    assert_eq!(seen["connected"], false);
    contains(seen["reason"].as_str().unwrap(), &["cannot connect to NATS at nats://127.0.0.1:"]);
    assert_eq!(counts(&a), [0, 1, 0]);
    let refused = nats.deploy(versioned(1)).run();
    assert_eq!(refused.status.code(), Some(1));
    contains(&refused.stderr, &["cannot connect to NATS"]);

    nats.restart();
    a.wait_for_log(&["joined the fleet default as a"]);
    nats.wait_for_hosts(&a, &["a"]);
    nats.deployed(versioned(1));
    assert_eq!(a.get("/apps/app/").text(), "1");
    assert_eq!(counts(&a), [1, 1, 0]);

    nats.stop();
    for _ in 0..50 {
        assert_eq!(a.get("/apps/app/").text(), "1");
    }
    wait_until("the host notices it", || status(&a)["connected"] == false);
    // The next start finds what is on disk, and no NATS.
    let a = a.stop().serve_again().start();
    assert_eq!(a.get("/apps/app/").text(), "1");
    assert_eq!(a.log_lines(&["not in the fleet"]).len(), 1);

    // The server has lost its data.
    nats.forget();
    nats.restart();
    a.wait_for_log(&["joined the fleet default as a"]);
    nats.wait_for_hosts(&a, &["a"]);
    assert_eq!(with_fleet(&nats, async |fleet| fleet.apps().await).unwrap(), [""; 0]);
    assert_eq!(a.get("/apps/app/").text(), "1");
    assert_eq!(app(&a)["is_shared"], false);

    // Files are the truth: they bring it back.
    let apply = || nats.deployer("apply", versioned(1), json!({})).args(["apps.json", "--fleet"]);
    let plan = succeeded(apply().run());
    contains(&plan, &["+ app: "]);
    assert_eq!(app(&a)["is_shared"], false, "nothing is changed without --yes");
    contains(&succeeded(apply().arg("--yes").run()), &["+ app: ", "is on 1 host"]);
    wait_until("the host sees it", || app(&a)["is_shared"] == true);
    assert_eq!(a.get("/apps/app/").text(), "1");
    let generation = status_of_app(&a);
    assert_eq!(generation, 1, "the version that serves is not started again");
    contains(&succeeded(apply().run()), &["= app: "]);
}

#[test]
fn what_a_process_reports_late_that_was_replaced_is_corrected() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let a = nats.host("a");
    nats.deployed(versioned(1));
    assert_eq!(a.get("/apps/app/").text(), "1");
    let app = || with_fleet(&nats, async |fleet| fleet.app_on_host("a", "app").await).unwrap();
    wait_until("the host reports that it serves", || app().is_some_and(|app| app.phase == "serving"));
    let (right, name) = (app().unwrap(), "app".to_owned());
    let late = AppPresence { phase: "stopping".to_owned(), ..right.clone() };
    let [before, after] = [&right, &late].map(|app| BTreeMap::from([(name.clone(), app.clone())]));
    let written = with_fleet(&nats, async |fleet| fleet.put_apps("a", &before, &after).await);
    assert!(!written.unwrap().is_empty());
    wait_until("the host has written it again", || app().as_ref() == Some(&right));
    // Also that it would have none.
    let written = with_fleet(&nats, async |fleet| fleet.put_apps("a", &before, &BTreeMap::new()).await);
    assert!(!written.unwrap().is_empty());
    wait_until("the host has written it again", || app().as_ref() == Some(&right));
}

/// The number of the generation of the app.
fn status_of_app(on: &Host) -> u64 {
    let ended = on.again("ls").args(["--format", "json"]).run();
    let status: Value = serde_json::from_str(&ended.stdout).unwrap();
    status["apps"][0]["serving"]["number"].as_u64().unwrap()
}

#[test]
fn a_version_that_a_host_refuses_or_that_fails_goes_back() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let tenants =
        json!({ "tenants": [{ "apps": ["app"], "settings": { "isolation": "thread", "queue": 9 } }] });
    let a = nats.launch("a", tenants).start();
    let b = nats.host("b");
    nats.wait_for_hosts(&b, &["a", "b"]);

    // The operator of the first host does not allow it.
    let refused =
        nats.deployer("deploy", versioned(1), json!({ "queue": 5 })).args(["--fleet", "--hold", "0"]).run();
    assert_eq!(refused.status.code(), Some(4), "{}{}", refused.stdout, refused.stderr);
    contains(&refused.stderr, &["went back: a: ", "`queue` is the operator's to decide"]);
    assert_eq!([&a, &b].map(|host| host.get("/apps/app/").status), [404, 404]);

    nats.deployed(versioned(1));
    let failing =
        nats.deployer("deploy", versioned("2 fails"), json!({})).args(["--fleet", "--hold", "600"]).spawn();
    wait_until("the first host goes back from it", || {
        a.get("/apps/app/");
        !failing.is_running()
    });
    let ended = failing.ended();
    assert_eq!(ended.status.code(), Some(4), "{}{}", ended.stdout, ended.stderr);
    contains(&ended.stderr, &["went back: a: ", "and 0 errors are allowed (--max-errors)"]);
    assert_eq!([&a, &b].map(|host| host.get("/apps/app/").text()), ["1", "1"]);
    let shown = app(&b);
    contains(shown["failure"]["reason"].as_str().unwrap(), &["(--max-errors)"]);
    contains(
        &succeeded(b.again("describe").args(["app", "--fleet"]).run()),
        &["went back", "(--max-errors)"],
    );
}

#[test]
fn a_host_can_be_started_with_the_servers_alone() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let host = Launch::serve("[]").args(["--fleet", &nats.url()]).start();
    host.wait_for_log(&["joined the fleet default as"]);
    let ended = host.again("deploy").arg(format!("--fleet={}", nats.url())).run();
    contains(&ended.stderr, &["has no apps to deploy"]);
    let none = Launch::command("deploy").arg("--fleet").write("apps.json", "[]").run();
    contains(&none.stderr, &["names no fleet"]);
    let alone = Launch::serve("[]").start();
    contains(&alone.again("ls").arg("--fleet").run().stderr, &["in no fleet"]);
}

#[test]
fn nats_may_take_tls_and_a_password() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name).display().to_string());
    std::fs::write(&cert, certificate.cert.pem()).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    let tls = ["--tls", "--tlscert", &cert, "--tlskey", &key, "--user", "u", "--pass", "s3cret"];
    let nats = Nats::start_with(&program, &tls);
    let port = nats.url().rsplit(':').next().unwrap().to_owned();
    let launch = |fleet: Value| Launch::serve(json!({ "fleet": fleet, "apps": [] }));
    let url = format!("nats://u:s3cret@localhost:{port}");

    let host = launch(json!({ "nats": [url], "tls": { "ca": cert }, "host": "a" })).start();
    host.wait_for_log(&["joined the fleet default as a"]);
    nats.wait_for_hosts(&host, &["a"]);

    let wrong = format!("tls://u:wr0ng@localhost:{port}");
    let stranger = launch(json!({ "nats": [wrong], "tls": { "ca": cert } })).start();
    let line = stranger.wait_for_log(&["not in the fleet default"]);
    contains(&line, &[&format!("at tls://localhost:{port}"), "authorization"]);
    assert!(!line.contains("wr0ng"), "{line}");
    let credentials = json!({ "nats": [url], "credentials": "no.creds" });
    let without = launch(credentials).start();
    contains(
        &without.wait_for_log(&["not in the fleet default"]),
        &["the credentials for NATS in ", "no.creds"],
    );
}

#[test]
fn a_host_may_have_more_apps_than_fit_into_a_message_and_a_record_may_not_be_larger() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nats.conf");
    std::fs::write(&config, "max_payload: 4096\n").unwrap();
    let nats = Nats::start_with(&program, &["-c", &config.display().to_string()]);
    let apps: Vec<_> = (0..199).map(|n| json!({ "name": format!("app-{n}"), "path": "none.so" })).collect();
    let host = nats.launch("a", json!({ "apps": apps })).start();
    nats.wait_for_hosts(&host, &["a"]);
    wait_until("all of them are seen", || status(&host)["hosts"][0]["apps"] == 199);
    host.replace(
        "apps.json",
        json!({ "fleet": { "nats": [nats.url()], "host": "a" }, "apps": [] }).to_string(),
    );
    wait_until("the fleet sees that they are gone", || status(&host)["hosts"][0]["apps"] == 0);

    let settings = json!({ "env": { "LONG": "x".repeat(5000) } });
    let refused = nats.deployer("deploy", versioned(1), settings).arg("--fleet").run();
    assert_eq!(refused.status.code(), Some(1));
    contains(&refused.stderr, &["the record of app has ", "at most 4096 (max_payload)"]);
}

#[test]
fn a_host_refuses_a_version_with_a_setting_that_it_does_not_know() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let a = nats.host("a");
    nats.wait_for_hosts(&a, &["a"]);
    nats.deployed(versioned(1));
    // What a newer command would write.
    let written = with_fleet(&nats, async |fleet| {
        let (mut record, revision) = fleet.record("app").await?.unwrap();
        let Target::Version(release) = &mut record.target else { panic!("{record:?}") };
        release.version = "newer".to_owned();
        release.entry.insert("newer_setting".to_owned(), json!(1));
        fleet.publish("app", &record, Some(revision)).await
    });
    written.unwrap();
    let refusal = || app(&a)["hosts"][0]["refused"]["reason"].as_str().unwrap_or_default().to_owned();
    wait_until("the host refuses it", || refusal().contains("newer_setting"));
    contains(&refusal(), &["unknown field"]);
    assert_eq!(a.get("/apps/app/").text(), "1");
}
