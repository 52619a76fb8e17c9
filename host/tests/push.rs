//! `atoll push`, `versions`, `promote`, `rollback` and `token`, and the part of the admin API that they use.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use atoll_host::config::Config;
use object::{Object, ObjectSection};
use serde_json::{Value, json};
use support::{
    ADMIN_TOKEN, Call, Connection, Ended, Launch, Load, Server, compile, contains, patched, versioned,
    wait_for, wait_until,
};

fn hash(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

/// A version that takes several requests to upload.
fn large(version: u32) -> Vec<u8> {
    let mut library = versioned(version);
    let mut random = fastrand::Rng::with_seed(version.into());
    library.extend(std::iter::repeat_with(|| random.u8(..)).take(4 << 20));
    library
}

#[test]
fn an_app_is_pushed_changed_pushed_again_and_survives_a_restart() {
    let server = Server::start();
    let said = server.pushed(json!({ "workers": 2 }), versioned(1));
    contains(&said, &["app: version ", " uploaded: app#1 is serving"]);
    assert_eq!((server.text(), server.entry()), ("1".into(), Some(json!({ "workers": 2 }))));

    let said = server.pushed(json!({ "workers": 3, "env": { "A": "1" } }), versioned(2));
    contains(&said, &[" uploaded: app#2 is serving"]);
    assert_eq!(server.text(), "2");
    assert_eq!(server.entry(), Some(json!({ "workers": 3, "env": { "A": "1" } })));

    let same = server.pushed(json!({ "workers": 3, "env": { "A": "1" } }), versioned(2));
    contains(&same, &["nothing to upload: app#2 is serving"]);
    let settings = server.pushed(json!({ "workers": 1 }), versioned(2));
    contains(&settings, &["nothing to upload: app#", " is serving"]);
    assert!(!settings.contains("app#2"), "other settings take another generation: {settings}");

    let ended = server.run("versions", &["app", "--format", "json"]);
    let versions: Value = serde_json::from_str(&ended.stdout).unwrap();
    let states: Vec<_> =
        versions.as_array().unwrap().iter().map(|version| version["state"].clone()).collect();
    assert_eq!(states, ["current", "previous", "previous"]);
    let first = &versions[0];
    assert_eq!((&first["by"], &first["failure"]), (&json!("admin"), &Value::Null));
    assert!(
        first["rustc"].as_str().unwrap().starts_with("rustc ") && first["size"].as_u64() > Some(1000),
        "{first}"
    );
    assert!(!ended.stdout.contains("env"), "values of settings are not shown");

    let Server { host, .. } = server;
    let again = host.stop().serve_again().start();
    assert_eq!(again.get("/apps/app/").text(), "2");
    assert_eq!(again.again("versions").arg("app").run().stdout.lines().count(), 4);
}

#[test]
fn each_push_starts_one_generation_which_has_its_library_and_its_settings() {
    let server = Server::start();
    for number in 1..=5 {
        server.pushed(json!({ "workers": number }), versioned(number));
        let app = server.ask(Call::get("/api/v1/apps/app")).json();
        assert_eq!(app["serving"]["workers"], number, "{app}");
        let served =
            app["history"].as_array().unwrap().iter().filter(|step| step["state"] == "serving").count();
        assert_eq!(served, number as usize, "{app}");
        assert_eq!(server.text(), number.to_string());
    }
}

/// Forwards connections to a server. The first one breaks after so many bytes of the client; the others do not.
fn breaking_proxy(to: SocketAddr, after: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, sent) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = sent.clone();
    let mut left = Some(after);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(to) else { return };
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let counted = counted.clone();
            // The client asks for permission over a separate connection.
            let limit = if counted.load(Ordering::Relaxed) == 0 { None } else { left.take() };
            thread::spawn(move || {
                let mut buffer = vec![0; 16 << 10];
                let mut passed = 0;
                while let Ok(count @ 1..) = from.read(&mut buffer) {
                    if limit.is_some_and(|limit| passed + count > limit)
                        || to.write_all(&buffer[..count]).is_err()
                    {
                        break;
                    }
                    passed += count;
                    counted.fetch_add(count, Ordering::Relaxed);
                }
                let _ = to.shutdown(Shutdown::Both);
                let _ = from.shutdown(Shutdown::Both);
            });
            let (mut from, mut to) = (server, client);
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    });
    (address, sent)
}

#[test]
fn an_upload_over_a_connection_that_breaks_continues() {
    let server = Server::start();
    let library = large(1);
    let (proxy, sent) = breaking_proxy(server.admin, 2 << 20);
    let apps = json!([{ "name": "app", "path": "libapp.so" }]);
    let ended = Launch::command("push")
        .args(["--to", &format!("http://{proxy}")])
        .env("ATOLL_TOKEN", ADMIN_TOKEN)
        .write("libapp.so", &library)
        .write("apps.json", apps.to_string())
        .run();
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    contains(&ended.stderr, &["continuing the upload of app"]);
    assert_eq!(server.text(), "1");
    let sent = sent.load(Ordering::Relaxed);
    // One piece at most was sent twice.
    assert!(sent < library.len() + (3 << 19), "{sent} bytes for {}", library.len());
}

#[test]
fn a_push_that_was_killed_is_continued_by_the_next_one() {
    let server = Server::start();
    server.pushed(json!({}), versioned(1));
    let before = server.library();
    let library = large(2);
    // What the command uploads: with its checksum.
    let sealed = {
        let staged = server.push(json!({}), &library).arg("--no-promote").run();
        assert!(staged.status.success(), "{}", staged.stderr);
        staged.stdout
    };
    contains(&sealed, &["not promoted"]);
    assert_eq!((server.text(), server.library()), ("1".into(), before.clone()));

    // Another one, of which half a piece arrives.
    let library = large(3);
    let (proxy, sent) = breaking_proxy(server.admin, usize::MAX);
    let apps = json!([{ "name": "app", "path": "libapp.so" }]);
    let killed = Launch::command("push")
        .args(["--to", &format!("http://{proxy}")])
        .env("ATOLL_TOKEN", ADMIN_TOKEN)
        .write("libapp.so", &library)
        .write("apps.json", apps.to_string())
        .spawn();
    wait_until("a part was uploaded", || sent.load(Ordering::Relaxed) > 1 << 20);
    drop(killed);
    assert!(server.versions().len() <= 3);
    let said = server.pushed(json!({}), &library);
    contains(&said, &["is serving"]);
    assert_eq!(server.text(), "3");
}

#[test]
fn what_is_cut_off_in_the_middle_of_a_piece_leaves_what_was_there() {
    let server = Server::start();
    let content = b"a file in two pieces".as_slice();
    let hash = hash(content);
    assert_eq!(server.put("app", &hash, 0, content.len(), &content[..5]).json()["received"], 5);
    let mut cut = Connection::open(server.admin).unwrap();
    let head = format!(
        "PUT /api/v1/apps/app/files/{hash}?offset=5&size={} HTTP/1.1\r\nhost: localhost\r\n\
         authorization: Bearer {ADMIN_TOKEN}\r\ncontent-length: 15\r\n\r\nhalf",
        content.len()
    );
    cut.write(head.as_bytes()).unwrap();
    drop(cut);
    let status = || server.ask(Call::get(&format!("/api/v1/apps/app/files/{hash}"))).json();
    assert_eq!(status(), json!({ "received": 5, "complete": false }));
    server.put("app", &hash, 0, content.len(), content).problem(409, "conflict");
    let done = server.put("app", &hash, 5, content.len(), &content[5..]);
    assert_eq!(done.json(), json!({ "received": 20, "complete": true }));
}

#[test]
fn two_pushes_at_once_are_both_whole() {
    let server = Server::start();
    for round in 0..3 {
        let (one, other) = (10 * round + 1, 10 * round + 2);
        let done = thread::scope(|scope| {
            let push = |version: u32| {
                let launch = server.push(json!({ "workers": version }), versioned(version));
                scope.spawn(move || launch.run())
            };
            [push(one), push(other)].map(|push| push.join().unwrap())
        });
        for ended in &done {
            let is_clear = ended.status.success() || ended.stderr.contains("in progress");
            assert!(is_clear, "{}{}", ended.stdout, ended.stderr);
        }
        assert!(done.iter().any(|ended| ended.status.success()));
        let serving = server.text();
        assert_eq!(server.entry(), Some(json!({ "workers": serving.parse::<u32>().unwrap() })));
        assert!([one, other].map(|version| version.to_string()).contains(&serving), "{serving}");
        assert_eq!(server.states()[..].iter().filter(|state| *state == "current").count(), 1);
    }
}

#[test]
fn a_token_allows_what_its_scope_covers_until_it_is_revoked() {
    let server = Server::start();
    let push = |token: &str| server.push(json!({}), versioned(1)).env("ATOLL_TOKEN", token).run();
    let refused = |token: &str, words: &[&str]| {
        let ended = push(token);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
        contains(&ended.stderr, words);
        assert!(!ended.stderr.contains(token) || token.is_empty(), "the token is not shown");
        assert_eq!((server.entry(), server.library()), (None, None));
    };
    refused("", &["No token", "deploy for app"]);
    refused("atoll_0000", &["Unknown or revoked token"]);
    refused(
        &server.token("other", &["--app", "shop", "--app", "acme-*", "--allow", "deploy"]),
        &["other", "does not allow"],
    );
    refused(
        &server.token("op", &["--app", "*", "--allow", "operate,read"]),
        &["op", "does not allow", "deploy for app"],
    );
    let short = server.token("short", &["--app", "app", "--allow", "deploy", "--expires", "1s"]);
    wait_until("the token expires", || push(&short).stderr.contains("has expired"));
    // It may have been good for a push or two before.
    let removed = fs::read_to_string(server.host.path("apps.json")).unwrap();
    assert!(removed.contains("app") || removed.trim() == "[]");

    let ci = server.token("ci", &["--app", "a*", "--allow", "deploy"]);
    let ended = push(&ci);
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(server.versions()[0]["by"], "ci");
    let remote = |command: &str, arguments: &[&str]| {
        Launch::command(command).args(arguments).args(["--to", &server.url()]).env("ATOLL_TOKEN", &ci).run()
    };
    assert!(remote("versions", &["app"]).status.success(), "deploy includes read");
    contains(&remote("stop", &["app"]).stderr, &["does not allow", "operate for app"]);
    contains(&remote("token", &["ls"]).stderr, &["does not allow", "the admin token"]);

    let listed = server.run("token", &["ls"]);
    contains(&listed.stdout, &["ci", "a*", "deploy", "short", "expired"]);
    assert!(!listed.stdout.contains("atoll_"), "no secret is shown");
    assert!(server.run("token", &["revoke", "ci"]).status.success());
    contains(&push(&ci).stderr, &["Unknown or revoked token"]);
    assert_eq!(server.run("token", &["revoke", "ci"]).status.code(), Some(1));
    assert!(!server.host.log().contains(&ci));
}

/// A library whose first constructor reads from address 0, in the machine code of x86_64.
fn crashing() -> Vec<u8> {
    let mut library = versioned(2);
    let file = object::File::parse(&*library).unwrap();
    let (offset, _) = file.section_by_name(".init").unwrap().file_range().unwrap();
    let at = offset as usize;
    library[at..at + 7].copy_from_slice(&[0x8b, 0x04, 0x25, 0, 0, 0, 0]);
    library
}

#[test]
fn a_push_cannot_have_what_the_operator_decides_for_a_tenant() {
    let tenants = json!([{ "apps": ["app"], "settings": { "max_calls": 7 } }]);
    let server = Server::of(Launch::serve(json!({ "apps": [], "tenants": tenants })));
    for (settings, reason) in [
        (json!({ "isolation": "thread" }), "`isolation` is the operator's to decide"),
        (json!({ "max_calls": 8 }), "`max_calls` is the operator's to decide"),
        (json!({ "env": { "A": { "file": "/etc/passwd" } } }), "cannot refer to a file"),
        (json!({ "route": { "path_prefix": "/" } }), "`hosts` of the tenant"),
    ] {
        let refused = server.push(settings, versioned(1)).run();
        assert_eq!(refused.status.code(), Some(1), "{}", refused.stdout);
        contains(&refused.stderr, &[reason]);
    }
    assert_eq!(server.entry(), None);
    server.pushed(json!({ "workers": 2, "env": { "A": "plain" } }), versioned(1));
    assert_eq!(server.text(), "1");
    let of_host = fs::read_to_string(format!("/proc/{}/maps", server.host.pid())).unwrap();
    let library = &server.host.mapped()[..];
    assert_eq!(library.len(), 1, "{library:?}");
    assert!(!of_host.contains(library[0].to_str().unwrap()), "it is not in the host");
    let settings = server.ask(Call::get("/api/v1/apps/app")).json()["settings"].clone();
    assert_eq!(settings["isolation"], json!({ "value": "process", "origin": "tenant" }));
    assert_eq!(settings["max_calls"], json!({ "value": 7, "origin": "tenant" }));
    let file = fs::read_to_string(server.host.path("apps.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&file).unwrap()["tenants"],
        tenants,
        "a push does not change them"
    );
}

#[test]
fn uploads_beyond_the_storage_of_a_quota_are_refused() {
    let registry = json!({ "apps": [], "quotas": [{ "apps": ["acme-*"], "storage": "1KiB" }] });
    let server = Server::of(Launch::serve(registry));
    let content = [7; 600];
    assert_eq!(server.put("acme-a", &hash(&content), 0, 600, &content).status, 200);
    let other = [8; 600];
    let refused = server.put("acme-b", &hash(&other), 0, 600, &other).problem(413, "body-too-large");
    contains(
        refused["detail"].as_str().unwrap(),
        &["the quota of acme-* allows 1024 bytes", "600 are kept, and 600 more"],
    );
    assert_eq!(server.put("other", &hash(&other), 0, 600, &other).status, 200);
    let quotas = server.ask(Call::get("/api/v1/quotas")).json();
    assert_eq!(quotas[0]["used"]["storage"], 600);
}

#[test]
fn a_library_that_is_too_large_or_damaged_is_refused() {
    let server = Server::of(Launch::serve("[]").args(["--upload-limit", "4MiB"]));
    let ended = server.push(json!({}), large(1)).run();
    assert_eq!(ended.status.code(), Some(1));
    contains(&ended.stderr, &["too large", "the limit is 4194304 (--upload-limit"]);

    let content = b"no library";
    server.put("app", &hash(b"another"), 0, content.len(), content).problem(400, "bad-request");
    server.put("app", "no-hash", 0, content.len(), content).problem(400, "bad-request");
    let status = server.ask(Call::get(&format!("/api/v1/apps/app/files/{}", hash(b"another")))).json();
    assert_eq!(status, json!({ "received": 0, "complete": false }));

    let mut libraries = vec![(content.to_vec(), "refused"), (versioned(1), "has no checksum")];
    if cfg!(target_arch = "x86_64") {
        libraries.push((crashing(), "ended the preflight process"));
    }
    for (library, words) in libraries {
        let hash = hash(&library);
        assert_eq!(server.put("app", &hash, 0, library.len(), &library).status, 200);
        let new = json!({ "library": hash }).to_string();
        let refused = server
            .ask(Call::post("/api/v1/apps/app/versions", new).header("content-type", "application/json"));
        assert!((400..500).contains(&refused.status), "{}", refused.text());
        contains(refused.json()["detail"].as_str().unwrap(), &[words]);
    }
    assert_eq!((server.entry(), server.library()), (None, None));
    assert_eq!(server.host.get("/healthz").status, 200);
}

#[test]
fn no_name_leads_out_of_the_folders() {
    let server = Server::start();
    let content = versioned(1);
    let hash = hash(&content);
    for app in ["..%2fevil", "%2e%2e", "..", "a%2f..%2fb", "-a", "a%00"] {
        let refused = server.put(app, &hash, 0, content.len(), &content);
        assert!((400..500).contains(&refused.status), "{app}: {}", refused.text());
    }
    assert_eq!(server.put("app", &hash, 0, content.len(), &content).status, 200);
    for name in ["../evil.so", "/tmp/evil.so", "..", ""] {
        let new = json!({ "library": hash, "libraries": [{ "name": name, "hash": hash }] }).to_string();
        let refused = server
            .ask(Call::post("/api/v1/apps/app/versions", new).header("content-type", "application/json"));
        refused.problem(400, "bad-request");
    }
    for entry in [json!({ "path": "/etc/passwd" }), json!({ "name": "other" })] {
        let new = json!({ "library": hash, "entry": entry }).to_string();
        let refused = server
            .ask(Call::post("/api/v1/apps/app/versions", new).header("content-type", "application/json"));
        assert_eq!(refused.status, 400, "{}", refused.text());
    }
    let mut found = Vec::new();
    files(server.host.folder(), &mut found);
    found.retain(|name| name.contains("evil"));
    assert!(found.is_empty(), "{found:?}");
    assert_eq!((server.entry(), server.library()), (None, None));
}

fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files(&entry.path(), found);
        }
        found.push(entry.path().display().to_string());
    }
}

#[test]
fn a_version_that_does_not_start_leaves_what_was_there() {
    let server = Server::start();
    let fails = json!({ "env_file": "none.env", "workers": 2 });
    let ended = server.push(fails.clone(), versioned(1)).run();
    assert_eq!(ended.status.code(), Some(1));
    contains(&ended.stderr, &["app was refused", "none.env"]);
    assert_eq!((server.entry(), server.library()), (None, None));
    wait_until("the new app is gone", || server.host.get("/apps/app/").status == 404);

    server.pushed(json!({ "workers": 3 }), versioned(2));
    let (entry, library) = (server.entry(), server.library());
    let load = Load::start(server.host.address(), &["/apps/app/"]);
    let ended = server.push(fails, versioned(3)).run();
    assert_eq!(ended.status.code(), Some(1));
    contains(&ended.stderr, &["none.env"]);
    assert_eq!((server.entry(), server.library()), (entry, library));
    assert_eq!(server.text(), "2");
    assert!(load.stop()[0].iter().all(|reply| reply.status == 200 && reply.text() == "2"));
    assert_eq!(server.states(), ["failed", "current", "failed"]);
    let failed = &server.versions()[0];
    contains(failed["failure"].as_str().unwrap(), &["none.env"]);
}

#[test]
fn versions_are_promoted_and_rolled_back_under_load() {
    let server = Server::start();
    for version in 1..=3 {
        server.pushed(json!({ "workers": version }), versioned(version));
    }
    let id = |at: usize| server.versions()[at]["id"].as_str().unwrap().to_owned();
    let (third, second, first) = (id(0), id(1), id(2));
    let load = Load::start(server.host.address(), &["/apps/app/", "/apps/app/"]);
    let done = |ended: Ended, version: u32| {
        assert!(ended.status.success(), "{}", ended.stderr);
        assert_eq!(server.text(), version.to_string());
        assert_eq!(server.entry(), Some(json!({ "workers": version })));
    };
    done(server.run("rollback", &["app"]), 2);
    done(server.run("promote", &["app", &first]), 1);
    done(server.run("rollback", &["app", &third[..6]]), 3);
    let remote = server.remote("promote", ADMIN_TOKEN).args(["app", &second]);
    done(remote.run(), 2);
    let replies = load.stop();
    for reply in replies.iter().flatten() {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let unknown = server.run("promote", &["app", "ffff"]);
    assert_eq!(unknown.status.code(), Some(1));
    contains(&unknown.stderr, &["unknown version", "atoll versions app"]);
    let text = server.run("versions", &["app"]).stdout;
    contains(&text, &["current", "previous", "admin", "versioned"]);
}

#[test]
fn shared_libraries_travel_with_the_app_and_come_back_with_a_rollback() {
    let server = Server::start();
    let push = |number: u8, inner: u8| {
        let launch = server.push(json!({}), patched("beside", "a"));
        compile(launch.folder(), "inner", inner, &[]);
        compile(launch.folder(), "number", number, &["-latoll_inner"]);
        let ended = launch.run();
        assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
        ended.stdout
    };
    push(1, 2);
    assert_eq!(server.text(), "a 12");
    let load = Load::start(server.host.address(), &["/apps/app/"]);
    push(1, 3);
    assert_eq!(server.text(), "a 13");
    contains(&push(1, 3), &["nothing to upload"]);
    assert_eq!(server.states(), ["current", "previous"], "what serves is the version that was pushed");
    assert!(server.run("rollback", &["app"]).status.success());
    assert_eq!(server.text(), "a 12");
    let bundles = fs::read_dir(server.host.path("app.libs")).unwrap().count();
    assert_eq!(bundles, 1, "the folder has the libraries of the version that serves");
    assert!(load.stop()[0].iter().all(|reply| reply.status == 200));
    assert_eq!(server.host.stop().serve_again().start().get("/apps/app/").text(), "a 12");
}

#[test]
fn a_version_is_staged_and_served_later() {
    let server = Server::start();
    server.pushed(json!({}), versioned(1));
    let staged = server.push(json!({}), versioned(2)).args(["--no-promote", "-m", "for later"]).run();
    contains(&staged.stdout, &["not promoted", "atoll promote app"]);
    assert_eq!((server.text(), server.states()), ("1".into(), vec!["staged".into(), "current".into()]));
    assert_eq!(server.versions()[0]["note"], "for later");
    let id = server.versions()[0]["id"].as_str().unwrap().to_owned();
    assert!(server.run("promote", &["app", &id]).status.success());
    assert_eq!((server.text(), server.states()), ("2".into(), vec!["current".into(), "previous".into()]));
}

#[test]
fn only_the_newest_versions_are_kept_with_their_files() {
    let server = Server::start();
    for version in 1..=4 {
        server.pushed(json!({ "keep": 1 }), versioned(version));
    }
    assert_eq!(server.states(), ["current", "previous"]);
    let mut found = Vec::new();
    files(&server.host.folder().join("state"), &mut found);
    found.retain(|name| Path::new(name).file_name().unwrap().len() == 64);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_library_that_is_copied_into_the_folder_is_a_version() {
    let launch =
        Launch::serve(json!([{ "name": "app", "path": "app.so", "queue": 7 }])).write("app.so", versioned(1));
    let server = Server::of(launch);
    assert_eq!(server.text(), "1");
    wait_until("the first version is noticed", || server.versions().len() == 1);
    server.host.replace("app.so", versioned(2));
    wait_until("the second version is noticed", || server.states() == ["current", "previous"]);
    let versions = server.versions();
    assert_eq!((&versions[0]["by"], server.text()), (&Value::Null, "2".into()));

    assert!(server.run("rollback", &["app"]).status.success());
    assert_eq!((server.text(), server.library()), ("1".into(), Some(versioned(1))));
    server.pushed(json!({ "queue": 8 }), versioned(3));
    assert_eq!(server.text(), "3");
    assert!(server.run("rollback", &["app"]).status.success());
    assert_eq!((server.text(), server.entry()), ("1".into(), Some(json!({ "queue": 7 }))));
    assert_eq!(server.host.stop().serve_again().start().get("/apps/app/").text(), "1");
}

#[test]
fn a_promotion_that_the_end_of_the_host_interrupted_is_finished() {
    let server = Server::start();
    server.pushed(json!({ "workers": 1 }), versioned(1));
    server.pushed(json!({ "workers": 2 }), versioned(2));
    let (one, two) = (server.versions()[1].clone(), server.versions()[0].clone());
    let Server { host, .. } = server;
    let ended = host.stop();
    // As between the two files: the library of the first version, the settings of the second, and a note of what was done.
    let mut lists = Vec::new();
    files(&ended.folder().join("state"), &mut lists);
    let list = lists.iter().find(|name| name.ends_with("/app/versions.json")).unwrap();
    let mut index: Value = serde_json::from_slice(&fs::read(list).unwrap()).unwrap();
    let of = |version: &Value| {
        let versions = index["versions"].as_array().unwrap();
        versions.iter().find(|known| known["id"] == version["id"]).unwrap().clone()
    };
    let library = Path::new(list).with_file_name(of(&one)["library"].as_str().unwrap());
    fs::copy(library, ended.folder().join("app.so")).unwrap();
    (index["promoting"], index["current"]) = (one["id"].clone(), two["id"].clone());
    fs::write(list, index.to_string()).unwrap();
    let host = ended.serve_again().start();
    host.wait_for_log(&["app: the version", one["id"].as_str().unwrap(), "serves"]);
    assert_eq!(host.get("/apps/app/").text(), "1");
    let text = fs::read_to_string(host.path("apps.json")).unwrap();
    assert_eq!(Config::entry(&text, "app").map(Value::Object), Some(json!({ "workers": 1 })));
}

#[test]
fn an_app_whose_library_is_elsewhere_is_not_replaced() {
    let launch = Launch::serve(json!([{ "name": "app", "path": "lib/libapp.so" }]));
    fs::create_dir(launch.folder().join("lib")).unwrap();
    let server = Server::of(launch.write("lib/libapp.so", versioned(1)));
    assert_eq!(server.text(), "1");
    let ended = server.push(json!({}), versioned(2)).run();
    assert_eq!(ended.status.code(), Some(1));
    contains(&ended.stderr, &["lib/libapp.so", "app.so"]);
    assert_eq!((server.text(), server.library()), ("1".into(), None));
}

#[test]
fn a_push_travels_in_tls_with_the_certificate_of_the_server() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    // An address of loopback that the host takes for one that other machines reach.
    let host = Launch::serve("[]")
        .write("cert.pem", made.cert.pem())
        .write("key.pem", made.signing_key.serialize_pem())
        .args(["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--admin", "[::ffff:127.0.0.1]:0"])
        .start();
    let port = wait_for("the host shows where its admin listener is", || {
        let output = host.stdout();
        let (_, rest) = output.split_once("dashboard at https://")?;
        rest.split_once("]:")?.1.split_once('/')?.0.parse::<u16>().ok()
    });
    let created = host.again("token").args(["create", "ci", "--app", "app", "--allow", "deploy"]).run();
    let token = created.stdout.trim();
    let push = |token: &str, authority: &str| {
        Launch::command("push")
            .args(["--to", &format!("https://localhost:{port}")])
            .env("ATOLL_TOKEN", token)
            .env("SSL_CERT_FILE", authority)
            .write("libapp.so", versioned(1))
            .write("apps.json", json!([{ "name": "app", "path": "libapp.so" }]).to_string())
            .run()
    };
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(host.path("other.pem"), other.cert.pem()).unwrap();
    contains(
        &push(token, &host.path("other.pem")).stderr,
        &["cannot reach https://localhost", "certificate"],
    );
    contains(&push("", &host.path("cert.pem")).stderr, &["No token"]);
    let pushed = push(token, &host.path("cert.pem"));
    assert!(pushed.status.success(), "{}", pushed.stderr);
    contains(&pushed.stdout, &["app#1 is serving"]);

    let status = |token: &str| {
        let launch = Launch::command("ls").args(["--to", &format!("https://localhost:{port}")]);
        launch.env("ATOLL_TOKEN", token).env("SSL_CERT_FILE", host.path("cert.pem")).run()
    };
    contains(&status("").stderr, &["No token", "read for all apps"]);
    contains(&status(token).stderr, &["does not allow"]);
    let reader = host.again("token").args(["create", "reader", "--app", "*", "--allow", "read"]).run();
    contains(&status(reader.stdout.trim()).stdout, &["app", "serving"]);
}

#[test]
fn servers_have_names_in_the_settings_of_the_user() {
    let server = Server::start();
    let token = server.token("ci", &["--app", "app", "--allow", "deploy"]);
    let config = format!("[servers.prod]\nurl = \"{}\"\ntoken-file = \"prod.token\"\n", server.url());
    let launch = |to: &str| {
        let launch = Launch::command("push");
        let folder = launch.folder().join("config/atoll");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.toml"), &config).unwrap();
        fs::write(folder.join("prod.token"), format!("{token}\n")).unwrap();
        let home = launch.folder().join("config");
        launch
            .args(["--to", to])
            .env("XDG_CONFIG_HOME", home)
            .write("libapp.so", versioned(1))
            .write("apps.json", json!([{ "name": "app", "path": "libapp.so" }]).to_string())
    };
    let pushed = launch("prod").run();
    assert!(pushed.status.success(), "{}", pushed.stderr);
    let unknown = launch("staging").run();
    assert_eq!(unknown.status.code(), Some(1));
    contains(&unknown.stderr, &["unknown server `staging`", "prod", "[servers.staging]"]);
    contains(&launch("http://apps.example.com").run().stderr, &["no TLS", "https://"]);
}
