//! The commands of the book's page `fleet-start.md`, run as a reader runs them.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod installed;
mod support;

use std::net::TcpListener;
use std::path::Path;

use support::{Launch, atoll, library, workspace};

/// The ports on the page.
const PORTS: [&str; 4] = ["4222", "3001", "3002", "3003"];

/// The commands of the page, as one script, with free ports instead of those on the page. It waits until the hosts have joined where a
/// reader would.
fn script(page: &str) -> String {
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut script = blocks.collect::<String>();
    for (command, joined) in [
        ("atoll ls --fleet --config fleet/a/apps.json\n", "grep -c '^[abc] ' | grep -x 3"),
        ("atoll describe hello --fleet --config fleet/b/apps.json\n", "grep serving"),
    ] {
        assert!(script.contains(command), "{command}");
        let waiting = format!("until {} | {joined}; do sleep 0.1; done\n", command.trim_end());
        script = script.replace(command, &waiting);
    }
    // In two steps, as a free port may have one of the page in it.
    for port in PORTS {
        assert!(script.contains(port), "{port}");
        script = script.replace(port, &format!("<{port}>"));
    }
    let listeners = PORTS.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    for (port, free) in PORTS.iter().zip(&listeners) {
        script = script.replace(&format!("<{port}>"), &free.local_addr().unwrap().port().to_string());
    }
    // The shell ends what it has started, whatever happens.
    format!("set -eum\ntrap 'kill $(jobs -p) 2> /dev/null; wait' EXIT\n{script}")
}

#[test]
fn a_reader_gets_from_one_host_to_three() {
    let Some([nats_server, _curl]) = installed::all(["nats-server", "curl"]) else { return };
    let page = std::fs::read_to_string(workspace().join("docs/src/fleet-start.md")).unwrap();
    let folders = [&*atoll(), &*nats_server].map(|program: &Path| program.parent().unwrap().to_owned());
    let others = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect::<Vec<_>>();
    let path = std::env::join_paths(folders.into_iter().chain(others)).unwrap();
    let ended = Launch::program("bash")
        .args(["-c", &script(&page)])
        .env("PATH", path)
        .write("libhello.so", std::fs::read(library("hello")).unwrap())
        .write("apps.json", r#"[{ "name": "hello", "path": "libhello.so" }]"#)
        .run();
    let answers = ended.stdout.matches(r#"{"name":"ada"}"#).count();
    assert!(ended.status.success() && answers == 4, "{}\n{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("is on 3 hosts"), "{}", ended.stdout);
}
