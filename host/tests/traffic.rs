//! `atoll traffic`: versions that serve beside the current one.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;

use serde_json::{Value, json};
use support::{
    ADMIN_TOKEN, Call, Connection, Launch, Load, Server, contains, library, versioned, wait_until,
};

/// A host with the version `1` of the app, and `2` staged; its id.
fn split_server(launch: Launch, settings: Value) -> (Server, String) {
    let server = Server::of(launch);
    server.pushed(settings.clone(), versioned(1));
    let id = staged(&server, settings, versioned(2));
    (server, id)
}

/// Stages a version; its id.
fn staged(server: &Server, settings: Value, library: impl AsRef<[u8]>) -> String {
    let ended = server.push(settings, library).arg("--no-promote").run();
    assert!(ended.status.success(), "{}", ended.stderr);
    server.versions()[0]["id"].as_str().unwrap().to_owned()
}

fn traffic(server: &Server, arguments: &[&str]) -> Value {
    let ended = server.run("traffic", &[&["app", "--format", "json"], arguments].concat());
    assert!(ended.status.success(), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

fn refused(server: &Server, arguments: &[&str], words: &[&str]) {
    let ended = server.run("traffic", &[&["app"], arguments].concat());
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
    contains(&ended.stderr, words);
}

/// The version that each of these clients gets, by the header `x-client`.
fn of_clients(server: &Server, clients: std::ops::Range<u32>) -> HashMap<u32, String> {
    let mut connection = server.host.connect();
    let answer = |client: u32| {
        let call = Call::get("/apps/app/").header("x-client", client.to_string());
        let reply = connection.call(&call).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        (client, reply.text())
    };
    clients.map(answer).collect()
}

/// The clients that get the version `2`.
fn second(versions: &HashMap<u32, String>) -> Vec<u32> {
    let mut clients: Vec<u32> =
        versions.iter().filter(|(_, version)| *version == "2").map(|(client, _)| *client).collect();
    clients.sort_unstable();
    clients
}

#[test]
fn clients_keep_the_version_as_its_weight_grows_and_across_a_restart() {
    let (server, id) = split_server(Launch::serve("[]"), json!({ "sticky": "header:X-Client" }));
    assert!(second(&of_clients(&server, 0..100)).is_empty(), "a version that is staged gets nothing");
    let status = traffic(&server, &["new=5"]);
    assert_eq!((&status["weight"], &status["versions"][0]["version"]), (&json!(95.0), &json!(id)));
    let five = second(&of_clients(&server, 0..3000));
    assert!((110..=190).contains(&five.len()), "{} of 3000", five.len());
    assert_eq!(second(&of_clients(&server, 0..3000)), five, "each client keeps its version");

    traffic(&server, &["new=20"]);
    let twenty = second(&of_clients(&server, 0..3000));
    assert!((530..=670).contains(&twenty.len()), "{} of 3000", twenty.len());
    assert!(five.iter().all(|client| twenty.contains(client)), "a client lost the version while it grew");

    let Server { host, .. } = server;
    let host = host.stop().serve_again().args(["--admin", "127.0.0.1:0"]).start();
    let server = Server { admin: host.admin(), host };
    assert_eq!(second(&of_clients(&server, 0..3000)), twenty, "a restart changes nothing");
    traffic(&server, &[&format!("{}=5", &id[..6])]);
    assert_eq!(second(&of_clients(&server, 0..3000)), five);

    traffic(&server, &["--end"]);
    assert!(second(&of_clients(&server, 0..3000)).is_empty());
    wait_until("the version is unloaded", || server.host.mapped().len() == 1);
    let beside = format!("state/atoll/versions/*/app/beside/{id}");
    let gone = || glob(server.host.folder(), "beside").is_empty();
    wait_until(&beside, gone);
}

/// The entries of all folders of this name.
fn glob(folder: &std::path::Path, name: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.file_name() == *name {
                found.extend(fs::read_dir(&path).unwrap().flatten().map(|entry| entry.path()));
            }
            found.extend(glob(&path, name));
        }
    }
    found
}

#[test]
fn clients_are_told_apart_by_address_or_cookie() {
    let (server, _) = split_server(Launch::serve("[]").args(["--trusted-proxy", "127.0.0.99"]), json!({}));
    traffic(&server, &["new=50"]);
    let from = |last: u8, forwarded: Option<&str>| {
        let mut connection =
            Connection::open_from(IpAddr::from([127, 0, 0, last]), server.host.address()).unwrap();
        let mut call = Call::get("/apps/app/");
        if let Some(address) = forwarded {
            call = call.header("x-forwarded-for", address);
        }
        connection.call(&call).unwrap().text()
    };
    let first: Vec<String> = (1..40).map(|last| from(last, None)).collect();
    assert!(first.contains(&"1".to_owned()) && first.contains(&"2".to_owned()));
    let again: Vec<String> = (1..40).map(|last| from(last, Some("203.0.113.5"))).collect();
    assert_eq!(first, again, "a client cannot choose its address");
    let behind: Vec<String> = (1..40).map(|last| from(99, Some(&format!("127.0.0.{last}")))).collect();
    assert_eq!(first, behind, "a trusted proxy says it");

    server.pushed(json!({ "sticky": "cookie:user" }), versioned(1));
    traffic(&server, &[&format!("{}=50", staged(&server, json!({}), versioned(2)))]);
    let mut connection = server.host.connect();
    let mut with_cookie = |user: u32, method: &str, path: &str| {
        let call = Call::new(method, path).header("cookie", format!("a=b; user={user}"));
        connection.call(&call).unwrap().text()
    };
    let pages: Vec<String> = (0..60).map(|user| with_cookie(user, "GET", "/apps/app/")).collect();
    assert!((15..45).contains(&pages.iter().filter(|version| *version == "2").count()), "{pages:?}");
    let others: Vec<String> = (0..60).map(|user| with_cookie(user, "POST", "/apps/app/other")).collect();
    assert_eq!(pages, others);
}

#[test]
fn a_header_chooses_a_version_for_those_who_may() {
    let server = Server::of(Launch::serve("[]").args(["--trusted-proxy", "127.0.0.2"]));
    let probe = fs::read(library("probe")).unwrap();
    server.pushed(json!({ "app_header": true }), &probe);
    let id = staged(&server, json!({ "app_header": true, "workers": 2 }), &probe);
    let call = |source: u8, headers: &[(&str, &str)]| {
        let call = Call::get("/apps/app/seen/x");
        let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        let source = IpAddr::from([127, 0, 0, source]);
        Connection::open_from(source, server.host.address()).unwrap().call(&call).unwrap()
    };
    let served = |reply: &support::Reply| reply.header("x-atoll-app").unwrap();
    let choice = ("x-atoll-version", &*id);
    assert!(served(&call(1, &[choice])).starts_with("app/"), "nothing to choose while the app is not split");

    traffic(&server, &["new=0"]);
    assert!(served(&call(1, &[])).starts_with("app/"));
    call(1, &[choice]).problem(403, "forbidden");
    let deploy = server.token("ci", &["--app", "app", "--allow", "deploy"]);
    let read = server.token("other", &["--app", "app", "--allow", "read"]);
    for token in ["wrong", &read] {
        call(1, &[choice, ("x-atoll-token", token)]).problem(403, "forbidden");
    }
    for token in [&*deploy, ADMIN_TOKEN] {
        let reply = call(1, &[("x-atoll-version", &id[..5]), ("x-atoll-token", token)]);
        assert!(served(&reply).starts_with(&format!("app@{id}/")), "{}", served(&reply));
        let seen = reply.text();
        assert!(!seen.contains(token) && seen.contains(r#""prefix":"/apps/app""#), "{seen}");
    }
    assert!(served(&call(2, &[choice])).starts_with("app@"), "from a trusted network");
    call(2, &[choice, ("x-forwarded-for", "203.0.113.5")]).problem(403, "forbidden");
    let unknown = call(2, &[("x-atoll-version", "ffff")]).problem(404, "not-found");
    contains(unknown["detail"].as_str().unwrap(), &[&id, "current"]);

    traffic(&server, &["new=100"]);
    assert!(served(&call(1, &[])).starts_with("app@"));
    assert!(served(&call(2, &[("x-atoll-version", "current")])).starts_with("app/"));
    let start = |reply: support::Reply| reply.json()["app"].clone();
    assert_eq!(start(server.host.get("/apps/app/start")), "app", "a version has the name of its app");
}

#[test]
fn a_preview_is_closed_unless_it_is_opened() {
    let (server, id) = split_server(Launch::serve("[]"), json!({}));
    let page = format!("/apps/app@{id}/page");
    let status = || server.host.get(&page).status;
    assert_eq!(status(), 404);
    traffic(&server, &["new=0"]);
    assert_eq!(status(), 404);
    assert_eq!(traffic(&server, &["new=0", "--preview"])["versions"][0]["preview"], true);
    assert_eq!((status(), server.host.get(&page).text(), server.text()), (200, "2".into(), "1".into()));
    contains(
        &server.run("ls", &[]).stdout,
        &[&format!("app@{id}"), &format!("/apps/app@{id}/"), "0 % of the clients"],
    );
    traffic(&server, &["new=0"]);
    assert_eq!(status(), 404);
    for path in [format!("/api/v1/apps/app@{id}"), format!("/api/v1/apps/app%40{id}/log")] {
        assert_eq!(server.ask(Call::get(&path)).status, 404, "{path}");
    }
}

#[test]
fn no_request_fails_while_versions_come_and_go() {
    let (server, id) = split_server(Launch::serve("[]"), json!({ "sticky": "header:x-client" }));
    let call = |client: &str| Call::get("/apps/app/").header("x-client", client);
    let load = Load::of(server.host.address(), (0..4).map(|client| call(&client.to_string())).collect());
    for weight in ["new=1", "new=60", "new=0", "new=100", "new=30"] {
        traffic(&server, &[weight]);
        let answered = load.answered();
        wait_until("requests are answered", || load.answered() > answered + 40);
    }
    let promoted = server.run("promote", &["app", &id]);
    assert!(promoted.status.success(), "{}", promoted.stderr);
    assert_eq!(second(&of_clients(&server, 0..200)).len(), 200, "all get the version");
    assert_eq!(traffic(&server, &[])["versions"], json!([]), "it is the current one");
    wait_until("what served beside is unloaded", || server.host.mapped().len() == 1);
    for reply in load.stop().iter().flatten() {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

#[test]
fn two_versions_serve_beside_the_current_one() {
    let (server, second_id) = split_server(Launch::serve("[]"), json!({ "sticky": "header:x-client" }));
    let third_id = staged(&server, json!({ "sticky": "header:x-client" }), versioned(3));
    let weights = [format!("{second_id}=30"), format!("{third_id}=30%")];
    traffic(&server, &[&weights[0], &weights[1]]);
    let before = of_clients(&server, 0..600);
    let count = |versions: &HashMap<u32, String>, version: &str| {
        versions.values().filter(|found| *found == version).count()
    };
    for version in ["2", "3"] {
        assert!((130..=230).contains(&count(&before, version)), "{version}: {}", count(&before, version));
    }
    traffic(&server, &[&format!("{third_id}=30"), &format!("{second_id}=50")]);
    let after = of_clients(&server, 0..600);
    for (client, version) in &before {
        assert!(version == "1" || after[client] == *version, "client {client} lost the version {version}");
    }
    traffic(&server, &[&format!("{third_id}=30")]);
    assert_eq!((count(&of_clients(&server, 0..600), "2"), server.versions().len()), (0, 3));
}

#[test]
fn a_split_that_makes_no_sense_is_refused() {
    let server = Server::start();
    let unknown = server.run("traffic", &["app", "new=5"]);
    contains(&unknown.stderr, &["Unknown app `app`"]);
    server.pushed(json!({ "keep": 9 }), versioned(1));
    refused(&server, &["new=5"], &["no version besides the current one"]);
    let current = server.versions()[0]["id"].as_str().unwrap().to_owned();
    let ids: Vec<String> =
        (2..7).map(|version| staged(&server, json!({ "keep": 9 }), versioned(version))).collect();
    for (arguments, words) in [
        (vec![format!("{current}=5")], "is the current version"),
        (vec!["ffff=5".to_owned()], "unknown version"),
        (vec![format!("{}=5", ids[4]), "new=6".to_owned()], "named twice"),
        (vec!["new=0.001".to_owned()], "at most two decimals"),
        (vec![format!("{}=60", ids[0]), format!("{}=41", ids[1])], "more than 100 percent"),
        (ids.iter().map(|id| format!("{id}=1")).collect(), "the limit is 4 (versions_beside)"),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        refused(&server, &arguments, &[words]);
    }
    assert_eq!(server.run("traffic", &["app", "new=101"]).status.code(), Some(2));
    let four: Vec<String> = ids[..4].iter().map(|id| format!("{id}=1")).collect();
    let four: Vec<&str> = four.iter().map(String::as_str).collect();
    assert_eq!(traffic(&server, &four)["weight"], 96.0);

    let before = traffic(&server, &[]);
    let fails = staged(&server, json!({ "keep": 9, "env_file": "none.env" }), versioned(8));
    refused(&server, &[&format!("{fails}=5"), four[0]], &[&fails, "does not start", "none.env"]);
    assert_eq!(traffic(&server, &[])["versions"], before["versions"], "all is as before");
}

#[test]
fn an_app_that_can_only_be_there_once_is_not_split() {
    let server = Server::start();
    server.pushed(json!({ "reload": "stop-first" }), versioned(1));
    staged(&server, json!({}), versioned(2));
    refused(&server, &["new=5"], &["stop-first"]);
    let counter = fs::read(library("counter")).unwrap();
    server.pushed(json!({}), &counter);
    refused(&server, &["new=5"], &["`on_save`", "Promote"]);
    server.pushed(json!({}), versioned(1));
    staged(&server, json!({ "workers": 3 }), &counter);
    refused(&server, &["new=5"], &["`on_save`", "Promote"]);
    assert_eq!(server.text(), "1");
    wait_until("one library is left", || server.host.mapped().len() == 1);
}

#[test]
fn each_version_has_its_metrics_and_its_log() {
    let (server, id) =
        split_server(Launch::serve("[]").arg("--access-log"), json!({ "sticky": "header:x-client" }));
    traffic(&server, &["new=50"]);
    let found = of_clients(&server, 0..40);
    let count = second(&found).len();
    let metrics = server.ask(Call::get("/metrics")).text();
    contains(
        &metrics,
        &[
            &format!(r#"atoll_app_requests_total{{app="app",version="{id}",status="2xx"}} {count}"#),
            &format!(r#"atoll_app_requests_total{{app="app",status="2xx"}} {}"#, 40 - count),
            &format!(r#"atoll_app_phase{{app="app",version="{id}",phase="serving"}} 1"#),
            "atoll_apps 1",
        ],
    );
    assert!(!metrics.contains("app@"), "{metrics}");
    server.host.wait_for_log(&["GET /apps/app/", &format!("app=app@{id}"), "status=200"]);
    let status = traffic(&server, &[]);
    assert_eq!(status["versions"][0]["requests"], count);
    let log = server.run("logs", &["app", "--version", &id]);
    assert!(log.status.success(), "{}", log.stderr);
    contains(&server.run("logs", &["app", "--version", "ffff"]).stderr, &["no version \"ffff\" of app"]);
    contains(&server.run("traffic", &["app"]).stdout, &[&id, "50 %", "serving", "closed"]);
}

#[test]
fn the_rate_of_an_app_is_for_all_its_versions() {
    let settings = json!({ "rate": 10, "sticky": "header:x-client" });
    let (server, _) = split_server(Launch::serve("[]"), settings);
    traffic(&server, &["new=50"]);
    let mut connection = server.host.connect();
    let admitted = (0..60).filter(|client| {
        let call = Call::get("/apps/app/").header("x-client", client.to_string());
        connection.call(&call).unwrap().status == 200
    });
    // Ten at once, and what a slow machine makes of the seconds that this takes.
    let count = admitted.count();
    assert!((10..20).contains(&count), "{count} of 60 were admitted");
}

#[test]
fn the_versions_of_an_app_go_with_it() {
    let (server, _) = split_server(Launch::serve("[]"), json!({}));
    traffic(&server, &["new=50"]);
    assert_eq!(server.host.mapped().len(), 2);
    let entry = fs::read_to_string(server.host.path("apps.json")).unwrap();
    server.host.replace("apps.json", "[]");
    wait_until("all of it is unloaded", || server.host.mapped().is_empty());
    server.host.replace("apps.json", entry);
    wait_until("the app is there again", || server.host.get("/apps/app/").status == 200);
    wait_until("its traffic is split again", || traffic(&server, &[])["versions"][0]["weight"] == 50.0);
}
