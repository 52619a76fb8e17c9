//! Faults of the machine: what is used up for a moment takes no app down for good.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use serde_json::json;
use support::{Call, Connection, Ended, Host, Launch, atoll, patched, versioned, wait_until};

/// The apps `bad`, which uses up what it is told to, and `cold`, which nobody has asked for yet.
fn with_apps(launch: Launch) -> Launch {
    let apps = json!({
        "defaults": { "max_restarts": 0 },
        "apps": [{ "name": "bad", "path": "libbad.so" }, { "name": "cold", "path": "libcold.so" }]
    });
    launch
        .args(["--listen", "127.0.0.1:0"])
        .write("apps.json", apps.to_string())
        .write("libbad.so", patched("misbehave", ""))
        .write("libcold.so", versioned("7"))
}

fn text(connection: &mut Connection, call: &Call) -> String {
    connection.call(call).unwrap().text()
}

/// Asks for the cold app six times, as a crash would be answered by no more starts then.
fn is_refused(host: &Host, connection: &mut Connection, why: &str) {
    for _ in 0..6 {
        let reply = connection.call(&Call::get("/apps/cold/")).unwrap();
        reply.problem(503, "unavailable");
        let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!(seconds <= 10, "{seconds}");
    }
    host.wait_for_log(&["ERROR", "cold: generation", "failed to start", why]);
    assert_eq!(text(connection, &Call::get("/readyz")), "ready\n", "it waits, and has not failed");
    assert_eq!(text(connection, &Call::get("/apps/bad/")), "fine", "what serves goes on");
}

#[test]
fn file_descriptors_are_used_up_for_a_moment() {
    let limited = Launch::program("sh").args(["-c", "ulimit -n 200 && exec \"$0\" \"$@\""]);
    let host = with_apps(limited.arg(atoll()).arg("serve")).start();
    let mut connection = host.connect();
    let mut hog = || text(&mut connection, &Call::post("/apps/bad/hog", "")).parse::<usize>().unwrap();
    assert!(hog() > 20);
    // Not the library that was copied ahead. The host may have given some back that it needed for a moment.
    host.replace("libcold.so", versioned("1"));
    hog();
    is_refused(&host, &mut connection, "(os error 24)");
    // A reload finds no room either, and comes later.
    host.replace("libbad.so", patched("misbehave", "2"));
    host.wait_for_log(&["ERROR", "bad: generation", "(os error 24)", "generation 1 keeps serving"]);

    assert_eq!(text(&mut connection, &Call::post("/apps/bad/let-go", "")), "let go");
    wait_until("the cold app answers", || host.get("/apps/cold/").text() == "1");
    host.wait_for_log(&["bad#", " is serving: it is ready, "]);
    wait_until("what is retired is gone", || host.mapped().len() == 2);
    let errors = host.log_lines(&["Error accepting connection"]).len();
    assert!(errors < 100, "{errors}");
}

#[test]
fn a_command_reaches_a_host_whose_file_descriptors_are_used_up() {
    let limited = Launch::program("sh").args(["-c", "ulimit -n 200 && exec \"$0\" \"$@\""]);
    let host = with_apps(limited.arg(atoll()).arg("serve")).start();
    let mut connection = host.connect();
    let mut hog = || text(&mut connection, &Call::post("/apps/bad/hog", "")).parse::<usize>().unwrap();
    assert!(hog() > 20);
    // The host may have given some back that it needed for a moment.
    let open = || std::fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().count();
    wait_until("nothing is left", || hog() == hog() && open() > 190);
    for _ in 0..3 {
        let ls = command(&host, &["ls"]);
        assert!(ls.status.success() && ls.stdout.contains("cold"), "{} {}", ls.stdout, ls.stderr);
    }
    let stop = command(&host, &["stop", "bad"]);
    assert!(stop.status.success(), "{} {}", stop.stdout, stop.stderr);
    wait_until("the descriptors of the app are closed", || open() < 100);
    wait_until("clients are accepted again", || {
        host.connect().call(&Call::get("/apps/cold/")).is_ok_and(|reply| reply.text() == "7")
    });
}

/// Runs a command for this host.
fn command(host: &Host, arguments: &[&str]) -> Ended {
    let config = host.folder().join("apps.json");
    let command = Launch::command(arguments[0]).args(&arguments[1..]);
    command.args(["--config".as_ref(), config.as_os_str()]).env("TMPDIR", host.folder().join("tmp")).run()
}

#[test]
fn connections_leave_file_descriptors_for_commands_and_apps() {
    let limited = Launch::program("sh").args(["-c", "ulimit -n 128 && exec \"$0\" \"$@\""]);
    // A proxy may have as many as there are.
    let limited = limited.arg(atoll()).args(["serve", "--trusted-proxy", "127.0.0.1"]);
    let host = with_apps(limited).start();
    let mut connection = host.connect();
    assert_eq!(text(&mut connection, &Call::get("/apps/bad/")), "fine");
    // Each begins a request, so that the host does not take them for idle.
    let held: Vec<_> = (0..300)
        .map(|_| {
            let mut held = host.connect();
            held.write(b"GET /apps/bad/ HTTP/1.1\r\nhost: x\r\n").unwrap();
            held
        })
        .collect();
    let open = || std::fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().count();
    wait_until("the host has accepted what it accepts", || open() > 64);
    // A command reaches it, and an app starts.
    let ls = command(&host, &["ls"]);
    assert!(ls.status.success() && ls.stdout.contains("cold"), "{} {}", ls.stdout, ls.stderr);
    let reply = connection.call(&Call::get("/apps/cold/")).unwrap();
    assert_eq!((reply.status, &*reply.text()), (200, "7"));
    drop(held);
    wait_until("clients are accepted again", || host.get("/apps/cold/").text() == "7");
    assert_eq!(host.log_lines(&["Error accepting connection"]), [""; 0]);
}

#[test]
fn the_disk_is_full_for_a_moment() {
    let small = "mount -t tmpfs -o size=16m tmpfs tmp";
    let Some(launch) = Launch::isolated(small, "serve") else { return };
    let host = with_apps(launch).start();
    let mut connection = host.connect();
    let file = host.path("tmp/full");
    assert_eq!(text(&mut connection, &Call::post(&format!("/apps/bad/fill?file={file}"), "")), "full");
    // Larger than the copy of the first one, whose room is free when that is deleted.
    host.replace("libcold.so", [versioned("1"), vec![0; 4 << 20]].concat());
    is_refused(&host, &mut connection, "(os error 28)");
    assert_eq!(text(&mut connection, &Call::post(&format!("/apps/bad/remove?file={file}"), "")), "removed");
    wait_until("the cold app answers", || host.get("/apps/cold/").text() == "1");
}

#[test]
fn the_limit_of_open_files_is_raised_to_the_most_that_is_allowed() {
    let low = Launch::program("sh").args(["-c", "ulimit -S -n 128 && exec \"$0\" \"$@\""]);
    let host = with_apps(low.arg(atoll()).arg("serve")).start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", host.pid())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let [soft, hard] = [0, 1].map(|at| line.split_whitespace().nth(at).unwrap().parse::<u64>().unwrap());
    assert_eq!(soft, hard.min(1 << 20), "{line}");
}

#[test]
fn huge_pages_are_off() {
    let host = with_apps(Launch::command("serve")).start();
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    assert!(status.contains("\nTHP_enabled:\t0\n"), "{status}");
}
