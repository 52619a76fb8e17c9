//! Which hosts of a fleet run an app.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod installed;
mod nats;
mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream};
use nats::{Nats, app, status, wait_for_text};
use serde_json::{Value, json};
use support::{Call, Connection, Host, contains, library, versioned, wait_for, wait_until};

/// How long leases last in tests that wait for their end.
const TTL: Duration = Duration::from_secs(3);

/// How long an app may take to start on a busy machine.
const START: Duration = Duration::from_secs(10);

fn program() -> Option<PathBuf> {
    installed::all(["nats-server"]).map(|[program]| program)
}

/// Creates the bucket with leases before any host does, with a shorter time to live.
fn shorten_leases(nats: &Nats) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
        let config = stream::Config {
            name: "KV_atoll-default-leases".to_owned(),
            subjects: vec!["$KV.atoll-default-leases.>".to_owned()],
            max_messages_per_subject: 1,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            discard: stream::DiscardPolicy::New,
            max_age: TTL,
            ..stream::Config::default()
        };
        context.create_stream(config).await.unwrap();
    });
}

/// A host with the label `role` that has joined.
fn host_with_role(nats: &Nats, name: &str, role: &str) -> Host {
    let fleet = json!({ "nats": [nats.url()], "host": name, "labels": { "role": role } });
    let host = nats.launch(name, json!({ "fleet": fleet })).start();
    host.wait_for_log(&["joined the fleet default as", name]);
    host
}

/// Deploys a library with these settings, without pauses; what the command prints.
#[track_caller]
fn deploy(nats: &Nats, library: impl AsRef<[u8]>, settings: Value) -> String {
    let ended = nats.deployer("deploy", library, settings).args(["--fleet", "--hold", "0"]).run();
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    ended.stdout
}

fn counter() -> Vec<u8> {
    std::fs::read(library("counter")).unwrap()
}

/// The counter with another number in its stamp: another library that does the same.
fn next_counter() -> Vec<u8> {
    let mut bytes = counter();
    let version = br#""version":"0.1.0""#;
    let place = bytes.windows(version.len()).position(|text| text == version).unwrap();
    bytes[place + version.len() - 2] = b'1';
    bytes
}

/// The count of the counter on a host, if that runs it: others send their requests there.
#[track_caller]
fn count(on: &Host) -> Option<u64> {
    if !matches!(&*phase(on), "cold" | "starting" | "serving") {
        return None;
    }
    let reply = on.get("/apps/app/");
    if reply.status == 503 {
        return None;
    }
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["count"].as_u64()
}

/// Waits until one of these hosts runs the counter: which.
#[track_caller]
fn holder(hosts: &[Host]) -> usize {
    wait_for("one of the hosts runs the app", || hosts.iter().position(|host| count(host).is_some()))
}

/// The phase of the app on a host; empty: the host does not have it.
#[track_caller]
fn phase(on: &Host) -> String {
    let ended = on.again("ls").args(["--format", "json"]).run();
    let status: Value = serde_json::from_str(&ended.stdout).unwrap();
    status["apps"][0]["phase"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_version_runs_on_the_hosts_that_have_its_labels() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let (batch, web) = (host_with_role(&nats, "a", "batch"), host_with_role(&nats, "b", "web"));
    nats.wait_for_hosts(&batch, &["a", "b"]);

    let on = |role: &str| json!({ "on": { "role": role } });
    contains(&deploy(&nats, versioned(1), on("web")), &["rolling out to 1 of 1 host: b", "is on 1 host"]);
    assert_eq!(web.get("/apps/app/").text(), "1");
    assert_eq!(phase(&batch), "");
    wait_for_text(&batch, "1");
    contains(&batch.again("ls").arg("--fleet").run().stdout, &["1 of 1", "up to date"]);
    contains(&batch.again("describe").args(["app", "--fleet"]).run().stdout, &["role=web"]);

    // The version is for other hosts now: those serve it before the others remove what they have.
    contains(&deploy(&nats, versioned(2), on("batch")), &["rolling out to 1 of 1 host: a", "is on 1 host"]);
    assert_eq!(batch.get("/apps/app/").text(), "2");
    wait_until("the other host removes it", || phase(&web).is_empty());
    wait_for_text(&web, "2");
    contains(&web.wait_for_log(&["app: removed here"]), &["hosts with other labels"]);

    let none = deploy(&nats, versioned(3), on("gpu"));
    contains(&none, &["none of 2 hosts has the labels role=gpu", "is on 0 hosts"]);
    wait_until("no host has it", || [&batch, &web].iter().all(|host| phase(host).is_empty()));
    wait_until("nobody can answer", || batch.get("/apps/app/").status == 503);
    contains(&deploy(&nats, versioned(4), json!({})), &["is on 2 hosts"]);
    assert_eq!([&batch, &web].map(|host| host.get("/apps/app/").text()), ["4", "4"]);

    // Which version a host goes back to is for it to have, too.
    contains(&deploy(&nats, versioned(5), on("web")), &["is on 1 host"]);
    let back = batch.again("rollback").args(["app", "--fleet"]).run();
    contains(&back.stdout, &["is on 2 hosts"]);
    wait_for_text(&batch, "4");
}

#[test]
fn an_app_runs_on_one_host_at_a_time_and_its_state_travels_with_it() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let mut hosts = Vec::from(["a", "b", "c"].map(|name| nats.host(name)));
    nats.wait_for_hosts(&hosts[0], &["a", "b", "c"]);
    contains(&deploy(&nats, counter(), json!({ "instances": 1 })), &["is on 3 hosts"]);

    let first = hosts.remove(holder(&hosts));
    for number in 1..=3 {
        assert_eq!(first.post("/apps/app/", "").json()["count"], number);
    }
    let name = name_of(&first);
    for host in &hosts {
        wait_until("its requests go to the host that runs it", || {
            let reply = host.get("/apps/app/");
            reply.status == 200 && reply.json()["count"] == 3
        });
        assert_eq!(phase(host), "standby");
        assert_eq!(host.get("/readyz").status, 200);
        assert_eq!(host.get("/readyz/app").status, 503);
        let started = host.again("start").arg("app").run();
        contains(&started.stderr, &["stands by", "atoll ls --fleet"]);
    }
    wait_until("the fleet shows where it runs", || app(&hosts[0])["holder"]["host"] == *name);
    contains(&hosts[0].again("ls").arg("--fleet").run().stdout, &["RUNS ON", &format!("{name}, for ")]);
    contains(&hosts[0].again("describe").args(["app", "--fleet"]).run().stdout, &["runs on", "standby"]);

    // A new version is on all of them, and its holder keeps the state.
    contains(&deploy(&nats, next_counter(), json!({ "instances": 1 })), &["is on 3 hosts"]);
    assert_eq!(count(&first), Some(3));
    assert_eq!(hosts.iter().filter_map(count).count(), 0);

    // It runs on every host, and on one again.
    contains(&deploy(&nats, counter(), json!({})), &["is on 3 hosts"]);
    wait_until("all run it", || hosts.iter().all(|host| count(host).is_some()));
    contains(&deploy(&nats, next_counter(), json!({ "instances": 1 })), &["is on 3 hosts"]);
    hosts.push(first);
    let first = hosts.remove(holder(&hosts));
    wait_until("the others stand by", || hosts.iter().all(|host| phase(host) == "standby"));
    let (name, before) = (name_of(&first), count(&first).unwrap());
    assert_eq!(first.post("/apps/app/", "").json()["count"], before + 1);

    // A host that stops hands it over with its state.
    let begun = Instant::now();
    let ended = first.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    contains(&ended.stderr, &["hands its lease and its state over"]);
    let second = holder(&hosts);
    println!("another host runs it {:?} after its holder got SIGTERM", begun.elapsed());
    assert_eq!(count(&hosts[second]), Some(before + 1));
    hosts[second].wait_for_log(&[&format!("app: starts with the state that it had on {name}")]);
    assert_eq!(hosts[second].post("/apps/app/", "").json()["count"], before + 2);

    // Disabled on one host, it moves to the other one, without its state.
    let third = 1 - second;
    assert!(hosts[second].again("disable").arg("app").run().status.success());
    wait_until("the other host runs it", || count(&hosts[third]).is_some());
    assert_eq!(phase(&hosts[second]), "disabled");
    assert!(hosts[second].again("enable").arg("app").run().status.success());
    assert_eq!(phase(&hosts[second]), "standby");

    // A process that replaces the holder gets the app with its state.
    assert_eq!(hosts[third].post("/apps/app/", "").json()["count"], 1);
    let old = hosts.remove(third);
    let new = old.again("serve").arg("--takeover").start();
    new.wait_for_log(&["took over from process"]);
    old.wait_for_log(&["hands its lease and its state over"]);
    assert!(old.ended().status.success());
    let all = [hosts.remove(0), new];
    let last = holder(&all);
    assert_eq!(count(&all[last]), Some(1));
}

#[test]
fn another_host_runs_an_app_when_its_holder_is_killed_or_suspended_and_never_two_do() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    shorten_leases(&nats);
    let mut hosts = Vec::from(["a", "b", "c"].map(|name| nats.host(name)));
    nats.wait_for_hosts(&hosts[0], &["a", "b", "c"]);
    deploy(&nats, counter(), json!({ "instances": 1 }));

    let mut killed = hosts.remove(holder(&hosts));
    killed.post("/apps/app/", "");
    killed.signal(libc::SIGKILL);
    killed.ended();
    let begun = Instant::now();
    let next = holder(&hosts);
    println!("another host runs it {:?} after its holder was killed", begun.elapsed());
    assert!(begun.elapsed() < TTL + START);
    assert_eq!(count(&hosts[next]), Some(0), "what was not handed over is lost");

    // A request that comes while the holder is suspended waits in its socket.
    let mut suspended = hosts.remove(next);
    let mut waiting = Connection::open(suspended.address()).unwrap();
    suspended.signal(libc::SIGSTOP);
    wait_until("it is suspended", || is_suspended(&suspended));
    waiting.send(&Call::get("/apps/app/")).unwrap();
    let begun = Instant::now();
    holder(&hosts);
    println!("another host runs it {:?} after its holder was suspended", begun.elapsed());
    assert!(begun.elapsed() < TTL + START);
    suspended.signal(libc::SIGCONT);
    // It is refused, or goes to the host that runs the app now.
    assert!([503, 200].contains(&waiting.receive("GET").unwrap().status));
    assert_eq!(count(&suspended), None);
    // On a busy machine, the other host may not renew its lease in time either.
    for _ in 0..50 {
        let running = [&suspended, &hosts[0]].map(count);
        assert!(running.contains(&None), "{running:?}");
    }
    suspended.wait_for_log(&["app: this host does not have its lease any more"]);
}

#[test]
fn no_host_runs_an_app_on_one_host_without_nats() {
    let Some(program) = program() else { return };
    let mut nats = Nats::start(&program);
    shorten_leases(&nats);
    let hosts = Vec::from(["a", "b"].map(|name| nats.host(name)));
    nats.wait_for_hosts(&hosts[0], &["a", "b"]);
    deploy(&nats, counter(), json!({ "instances": 1 }));
    holder(&hosts);

    // What was answered by the end of its right is all that is answered.
    nats.stop();
    let begun = Instant::now();
    wait_until("no host runs it", || hosts.iter().all(|host| count(host).is_none()));
    println!("no host runs it {:?} after NATS was killed", begun.elapsed());
    assert!(begun.elapsed() < TTL + Duration::from_secs(2));
    wait_until("it has stopped", || hosts.iter().all(|host| phase(host) == "standby"));

    // A host that starts without NATS does not run what it has on disk.
    let mut hosts = hosts.into_iter();
    let (first, second) = (hosts.next().unwrap(), hosts.next().unwrap());
    let first = first.stop().serve_again().start();
    let detail = first.get("/apps/app/").problem(503, "unavailable")["detail"].to_string();
    contains(&detail, &["stands by on this host, and no host runs it now"]);
    assert_eq!(phase(&first), "standby");

    nats.restart();
    let hosts = [first, second];
    holder(&hosts);
    for _ in 0..50 {
        assert!(hosts.iter().filter_map(count).count() <= 1);
    }
}

#[test]
fn a_process_that_is_blocked_ends_before_the_lease_can() {
    let Some(program) = program() else { return };
    let mut nats = Nats::start(&program);
    shorten_leases(&nats);
    let host = nats.host("a");
    nats.wait_for_hosts(&host, &["a"]);
    let settings = json!({ "instances": 1, "isolation": "process", "sandbox": null });
    deploy(&nats, std::fs::read(library("probe")).unwrap(), settings);
    let runs = || {
        let name = |process| std::fs::read_to_string(format!("/proc/{process}/comm"));
        host.app_processes().into_iter().any(|process| name(process).is_ok_and(|name| name == "atoll:app\n"))
    };
    wait_until("the app runs", || host.get("/apps/app/thread").status == 200);
    let (file, entered) = (host.path("unblock"), host.path("entered"));
    let mut connection = host.connect();
    connection.send(&Call::get(&format!("/apps/app/block?file={file}&entered={entered}"))).unwrap();
    wait_until("the worker is blocked", || std::fs::exists(&entered).unwrap());
    assert!(runs());

    nats.stop();
    let begun = Instant::now();
    wait_until("its process is killed", || !runs());
    println!("the process has ended {:?} after NATS was killed", begun.elapsed());
    assert!(begun.elapsed() < TTL + Duration::from_secs(2));
    assert!(connection.receive("GET").unwrap().status >= 500);
}

#[test]
fn without_a_fleet_an_app_runs_wherever_it_is() {
    let app = json!({ "name": "app", "path": library("counter"), "on": { "role": "batch" }, "instances": 1 });
    let host = support::Launch::serve(json!([app])).start();
    assert_eq!(count(&host), Some(0));
    host.wait_for_log(&["app: `on` and `instances` have no effect", "is in no fleet"]);
}

/// Whether the process of a host is stopped by a signal.
fn is_suspended(host: &Host) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", host.pid())).unwrap();
    // The name may contain anything.
    stat[stat.rfind(')').unwrap() + 1..].split_whitespace().next() == Some("T")
}

/// The name of a host in its fleet.
#[track_caller]
fn name_of(host: &Host) -> String {
    status(host)["host"].as_str().unwrap().to_owned()
}
