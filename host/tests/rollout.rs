//! Rollouts: a version gets its clients step by step, and is aborted if it is worse than the current one.

mod support;

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Call, Connection, Ended, Launch, Load, Server, contains, versioned, wait_for, wait_until};

/// Settings with a rollout that has these fields.
fn settings(rollout: Value) -> Value {
    json!({ "sticky": "header:x-client", "rollout": rollout })
}

/// Requests of several clients at once.
fn load(server: &Server) -> Load {
    let call = |client: u32| Call::get("/apps/app/").header("x-client", client.to_string());
    Load::of(server.host.address(), (0..8).map(call).collect())
}

/// The rollout of the app.
fn rollout(server: &Server) -> Value {
    server.ask(Call::get("/api/v1/apps/app/traffic")).json()["rollout"].clone()
}

/// The host of a server, started again.
fn again(ended: Ended) -> Server {
    let arguments = ["--admin", "127.0.0.1:0", "--admin-token-file", "admin.token"];
    let host = ended.serve_again().args(arguments).start();
    Server { admin: host.admin(), host }
}

/// The answers that are no success.
fn failures(load: Load) -> Vec<String> {
    load.stop().iter().flatten().filter(|reply| reply.status != 200).map(|reply| reply.text()).collect()
}

#[test]
fn a_version_that_fails_is_aborted_and_not_taken_again() {
    let server = Server::start();
    let settings = settings(json!({ "steps": [50], "min_requests": 100_000 }));
    server.pushed(settings.clone(), versioned(1));
    let load = load(&server);
    let begun = Instant::now();
    let ended = server.push(settings.clone(), versioned("2 fails")).run();
    assert_eq!(ended.status.code(), Some(4), "{}{}", ended.stdout, ended.stderr);
    contains(&ended.stdout, &["its rollout begins", "step 1 of 1: 50 % of the clients"]);
    contains(&ended.stderr, &["is aborted", "of its requests failed", "max_error_rise = 0.01"]);
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert!(!failures(load).is_empty());
    assert_eq!((server.text(), server.states()), ("1".into(), vec!["failed".into(), "current".into()]));
    assert_eq!(rollout(&server)["state"], "aborted");
    contains(&server.run("ls", &[]).stdout, &["rollout of app: ", " is aborted: ", "of its requests failed"]);
    server.host.wait_for_log(&["WARN", "the rollout of the version", "is aborted"]);

    let again = server.push(settings.clone(), versioned("2 fails")).run();
    assert_eq!(again.status.code(), Some(1), "{}", again.stdout);
    contains(&again.stderr, &["was rejected", "of its requests failed", "--again"]);
    let id = server.versions()[0]["id"].as_str().unwrap().to_owned();
    contains(&server.run("promote", &["app", &id]).stderr, &["was rejected"]);
    let forced = server.run("promote", &["app", &id, "--again", "--now"]);
    assert!(forced.status.success(), "{}", forced.stderr);
    assert_eq!(server.states(), ["current", "previous"]);
}

#[test]
fn a_version_that_fails_half_of_few_requests_is_aborted_soon() {
    let server = Server::start();
    let settings = settings(json!({ "steps": [1], "min_requests": 100_000 }));
    server.pushed(settings.clone(), versioned(1));
    let push = server.push(settings, versioned("2 fails")).spawn();
    wait_until("the rollout begins", || rollout(&server)["state"] == "running");
    // Four clients at a time, each a new one: some thousand requests a second, of which one of a hundred is for the version.
    let (address, begun) = (server.host.address(), Instant::now());
    let failures: Vec<Duration> = thread::scope(|scope| {
        let requests = |first: u32| {
            scope.spawn(move || {
                let (mut connection, mut failures) = (Connection::open(address).unwrap(), Vec::new());
                for client in (first..).step_by(4).take_while(|_| begun.elapsed() < Duration::from_secs(4)) {
                    let call = Call::get("/apps/app/").header("x-client", client.to_string());
                    if connection.call(&call).unwrap().status != 200 {
                        failures.push(begun.elapsed());
                    }
                }
                failures
            })
        };
        let threads: Vec<_> = (0..4).map(requests).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(push.ended().status.code(), Some(4));
    let (first, last) = (failures.iter().min().unwrap(), failures.iter().max().unwrap());
    println!("{} failures, from {first:?} to {last:?}", failures.len());
    assert!(
        *last - *first <= Duration::from_secs(2),
        "{} failures, from {first:?} to {last:?}",
        failures.len()
    );
}

#[test]
fn a_version_that_is_slower_is_aborted() {
    let server = Server::start();
    let settings = settings(json!({ "steps": [50], "min_requests": 100_000 }));
    server.pushed(settings.clone(), versioned(1));
    let load = load(&server);
    let ended = server.push(settings, versioned("2 slow")).run();
    assert_eq!(ended.status.code(), Some(4), "{}{}", ended.stdout, ended.stderr);
    contains(&ended.stderr, &["for 95 % of its requests a worker took up to ", "max_p95_rise = 0.5"]);
    assert_eq!((server.text(), failures(load)), ("1".into(), vec![]));
}

#[test]
fn a_version_whose_worker_ends_is_aborted_at_the_first_one() {
    for (isolation, version) in [("thread", "2 exits"), ("process", "2 exits"), ("process", "2 faults")] {
        let server = Server::start();
        let mut settings = settings(json!({ "steps": [50] }));
        settings["isolation"] = json!(isolation);
        server.pushed(settings.clone(), versioned(1));
        let load = load(&server);
        let ended = server.push(settings, versioned(version)).run();
        assert_eq!(ended.status.code(), Some(4), "{isolation}: {}{}", ended.stdout, ended.stderr);
        contains(&ended.stderr, &["a worker exited unexpectedly"]);
        drop(load.stop());
        assert_eq!(server.text(), "1");
        let worker_ends = server.host.log_lines(&["app@", "exited"]);
        assert!(worker_ends.len() < 30, "{isolation}: {worker_ends:?}");
    }
}

#[test]
fn a_version_that_ends_the_host_is_aborted_when_it_is_started_again() {
    let server = Server::start();
    let settings = settings(json!({ "steps": [50] }));
    server.pushed(settings.clone(), versioned(1));
    let push = server.push(settings.clone(), versioned("2 faults")).spawn();
    wait_until("the rollout begins", || rollout(&server)["state"] == "running");
    let Server { host, .. } = server;
    let address = host.address();
    let asking = thread::spawn(move || {
        let is_there = |client: &u32| {
            let call = Call::get("/apps/app/").header("x-client", client.to_string());
            Connection::open(address).is_ok_and(|mut connection| connection.call(&call).is_ok())
        };
        (0..).take_while(is_there).count()
    });
    let ended = host.ended();
    asking.join().unwrap();
    assert!(!push.ended().status.success());
    let server = again(ended);
    assert_eq!((server.text(), &rollout(&server)["state"]), ("1".into(), &json!("aborted")));
    contains(
        rollout(&server)["reason"].as_str().unwrap(),
        &["it ended the host with SIGSEGV", "GET /apps/app/"],
    );
    assert_eq!(server.states(), ["failed", "current"]);
    let repeated = server.push(settings, versioned("2 faults")).run();
    assert_eq!(repeated.status.code(), Some(1), "{}", repeated.stdout);
    contains(&repeated.stderr, &["was rejected", "it ended the host"]);
}

#[test]
fn a_version_that_is_as_good_becomes_the_current_one_and_going_back_takes_no_time() {
    let server = Server::start();
    let settings = settings(json!({ "steps": [40, 70], "hold_ms": 300, "min_requests": 5 }));
    server.pushed(settings.clone(), versioned(1));
    let load = load(&server);
    let ended = server.push(settings.clone(), versioned(2)).run();
    assert_eq!(ended.status.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    contains(&ended.stdout, &["step 1 of 2: 40 %", "is the current one"]);
    assert_eq!((server.text(), server.states()), ("2".into(), vec!["current".into(), "previous".into()]));
    let traffic = server.ask(Call::get("/api/v1/apps/app/traffic")).json();
    assert_eq!(
        (&traffic["versions"][0]["weight"], &traffic["rollout"]["state"]),
        (&json!(0.0), &json!("promoted"))
    );

    let mut connection = server.host.connect();
    assert_eq!(connection.call(&Call::get("/apps/app/")).unwrap().text(), "2");
    let back = server.ask(Call::post("/api/v1/apps/app/rollback", ""));
    let answered = Instant::now();
    let next = connection.call(&Call::get("/apps/app/")).unwrap().text();
    println!("the next request was answered {:?} after the rollback", answered.elapsed());
    assert_eq!((back.status, &*next), (200, "1"), "{}", back.text());
    wait_until("it is the current one", || server.states() == ["previous", "current"]);
    wait_until("it serves alone", || server.host.mapped().len() == 1);
    assert_eq!(server.text(), "1");
    assert_eq!(failures(load), Vec::<String>::new());
}

#[test]
fn a_version_that_does_not_answer_its_checks_gets_no_client() {
    let server = Server::start();
    server.pushed(settings(json!({})), versioned(1));
    let ended = server.push(settings(json!({ "checks": ["/", "/health"] })), versioned("2 fails")).run();
    assert_eq!(ended.status.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    contains(&ended.stderr, &["gets no clients", "its check / was answered with 500"]);
    assert_eq!((server.text(), server.states()), ("1".into(), vec!["failed".into(), "current".into()]));
    wait_until("it is unloaded", || server.host.mapped().len() == 1);
}

#[test]
fn little_traffic_is_no_verdict_and_a_rollout_survives_a_restart() {
    let server = Server::start();
    let settings = settings(json!({ "steps": [20, 40], "hold_ms": 1, "min_requests": 10_000 }));
    server.pushed(settings.clone(), versioned(1));
    let push = server.push(settings.clone(), versioned(2)).spawn();
    wait_until("the rollout begins", || rollout(&server)["state"] == "running");
    let reason = wait_for("it waits for requests", || rollout(&server)["reason"].as_str().map(str::to_owned));
    contains(&reason, &["no verdict yet", "of 10000 requests (min_requests)"]);
    contains(&server.run("traffic", &["app"]).stdout, &["step 1 of 2: 20 %", "no verdict yet", "evidence"]);
    let other = server.push(settings, versioned(3)).run();
    assert_eq!(other.status.code(), Some(1));
    contains(&other.stderr, &["is under way", "--now"]);
    contains(&server.run("traffic", &["app", "new=5"]).stderr, &["is under way"]);
    drop(push);

    let Server { host, .. } = server;
    let server = again(host.stop());
    wait_until("the rollout continues", || rollout(&server)["state"] == "running");
    assert_eq!(server.ask(Call::get("/api/v1/apps/app/traffic")).json()["weight"], 80.0);
    assert!(server.run("traffic", &["app", "--end"]).status.success());
    assert_eq!((&rollout(&server)["state"], server.text()), (&json!("aborted"), "1".into()));
}

#[test]
fn a_rollout_continues_in_the_host_that_takes_over() {
    let server = Server::start();
    let settings = settings(json!({ "steps": [50], "min_requests": 100_000 }));
    server.pushed(settings.clone(), versioned(1));
    let push = server.push(settings, versioned(2)).spawn();
    wait_until("the rollout begins", || rollout(&server)["state"] == "running");
    drop(push);
    let address = server.host.address();
    // Each on a new connection, as the old host closes those that it has.
    let client = |number: u32| {
        let call = Call::get("/apps/app/").header("x-client", number.to_string());
        let reply = Connection::open(address).unwrap().call(&call).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.text()
    };
    let before: Vec<String> = (0..20).map(client).collect();
    let listen = address.to_string();
    let arguments = ["--admin", "127.0.0.1:0", "--admin-token-file", "admin.token"];
    let host = server.host.again("serve").args(["--takeover", "--listen", &listen]).args(arguments).start();
    let new = Server { admin: host.admin(), host };
    // Until then, a connection to the admin listener may be the old host's.
    assert!(server.host.ended().status.success());
    wait_until("the rollout continues", || rollout(&new)["state"] == "running");
    assert_eq!((0..20).map(client).collect::<Vec<_>>(), before);
    wait_until("the versions are compared", || {
        ["current", "new"].iter().all(|version| rollout(&new)[version]["requests"].as_u64() > Some(0))
    });
    assert!(new.run("traffic", &["app", "--end"]).status.success());
    assert_eq!((&rollout(&new)["state"], new.text()), (&json!("aborted"), "1".into()));
}

#[test]
fn an_app_that_cannot_be_split_is_promoted_at_once() {
    let launch = Launch::serve("[]");
    let server = Server::of(launch);
    let settings = json!({ "rollout": { "steps": [1] }, "reload": "stop-first" });
    server.pushed(settings.clone(), versioned(1));
    contains(&server.pushed(settings, versioned(2)), &["is serving"]);
    assert_eq!(server.text(), "2");
    server.host.wait_for_log(&["promoted at once", "stop-first"]);
}
