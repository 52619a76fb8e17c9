//! The operator's commands: what they print, what they change, and with which exit code they end.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;
mod terminal;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Ended, Host, Launch, atoll, contains, library, wait_for, wait_until};
use terminal::Terminal;

/// Begins the alternate screen of a terminal, and ends it.
const SCREEN: [&str; 2] = ["\x1b[?1049h", "\x1b[?1049l"];

/// A host with two apps, of which `probe` has a route and a secret.
fn host() -> Host {
    let probe = json!({ "name": "probe", "path": library("probe"), "queue": 7, "env": { "KEY": "s3cret" } });
    let hello = json!({ "name": "hello", "path": library("hello") });
    Launch::serve(json!({ "defaults": { "keep": 1 }, "apps": [probe, hello] })).start()
}

fn launch(host: &Host, args: &[&str]) -> Launch {
    let (command, rest) = args.split_first().unwrap();
    Launch::command(command)
        .args(rest)
        .args(["--config", &host.path("apps.json")])
        .env("TMPDIR", host.folder().join("tmp"))
}

fn run(host: &Host, args: &[&str]) -> Ended {
    launch(host, args).run()
}

/// Runs a command that has to succeed; what it prints.
#[track_caller]
fn done(host: &Host, args: &[&str]) -> String {
    let ended = run(host, args);
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""), "{args:?}: {}", ended.stdout);
    ended.stdout
}

#[track_caller]
fn parsed(host: &Host, args: &[&str]) -> Value {
    serde_json::from_str(&done(host, args)).unwrap()
}

#[test]
fn an_app_is_described_with_all_that_happened_to_it() {
    let host = host();
    assert_eq!(host.get("/apps/probe/panic").status, 500);
    let described = || Some(done(&host, &["describe", "probe"]));
    // The response does not wait for the backtrace.
    let text = wait_for("the panic is kept", || described().filter(|text| text.contains("Panics (")));
    contains(
        &text,
        &["phase         serving", "generation    #1", "/apps/probe/", "heap  ", "from RUST_LOG"],
    );
    contains(&text, &["queue    7", "defaults", r#"{"KEY":"***"}"#]);
    contains(
        &text,
        &["GET /apps/probe/panic", "Panics (1 in total)", "lib.rs:", "this handler panics", "0: "],
    );
    assert!(!text.contains("workers  1  ") && !text.contains("s3cret"), "{text}");
    let history = &text[text.find("History").unwrap()..];
    assert!(history.find("staged") < history.find("it is ready"), "the newest is last: {history}");

    let all = parsed(&host, &["describe", "probe", "--format", "json"]);
    assert_eq!(all["settings"]["workers"], json!({ "value": 1, "origin": "built-in" }));
    assert_eq!(all["panic_count"], 1);
}

#[test]
fn the_log_is_shown_from_the_end_and_followed_until_sigint() {
    let host = host();
    host.post("/apps/probe/log", "one");
    let line = done(&host, &["logs", "-n", "1", "probe"]);
    assert_eq!(line.lines().count(), 1, "{line}");
    contains(&line, &["Z INFO  #1 probe_other: one"]);
    assert_eq!(done(&host, &["logs", "--tail", "0", "probe"]), "");
    let records = done(&host, &["logs", "--format", "json", "probe"]);
    let first: Value = serde_json::from_str(records.lines().next().unwrap()).unwrap();
    assert_eq!((&first["level"], &first["message"]), (&json!("error"), &json!("one")));

    let mut follower = launch(&host, &["logs", "-f", "-n", "1", "probe"]).spawn();
    wait_until("the last record is shown", || follower.stdout().contains("one"));
    host.post("/apps/probe/log", "two");
    wait_until("what comes is shown", || follower.stdout().contains("ERROR #1 probe: two"));
    follower.signal(libc::SIGINT);
    let ended = follower.ended();
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""));
    assert!(!ended.stdout.contains('\x1b'), "no colours in a pipe: {}", ended.stdout);
}

#[test]
fn a_log_is_followed_until_nobody_reads_it() {
    let host = host();
    host.post("/apps/probe/log", "one");
    let mut child = Command::new(atoll())
        .args(["logs", "--follow", "probe", "--config", &host.path("apps.json")])
        .env("TMPDIR", host.folder().join("tmp"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("one"), "{line}");
    // The pipe is closed now, and no record comes that could not be written.
    let status = wait_for("the follower ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn several_apps_are_started_stopped_disabled_and_enabled() {
    let host = host();
    let phases = || {
        let status = parsed(&host, &["ls", "--format", "json"]);
        let apps = status["apps"].as_array().unwrap().iter();
        apps.map(|app| app["phase"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(done(&host, &["start", "hello", "probe"]), "hello#1 is serving\nprobe#1 is serving");
    assert_eq!(phases(), "serving serving");
    contains(&done(&host, &["reload", "hello", "probe"]), &["hello#2 is serving", "probe#2 is serving"]);
    contains(&done(&host, &["stop", "probe"]), &["its next request starts it"]);
    assert_eq!(phases(), "serving cold");
    contains(&done(&host, &["disable", "hello", "probe"]), &["atoll enable hello"]);
    assert_eq!(phases(), "disabled disabled");
    let refused = run(&host, &["start", "hello"]);
    assert_eq!(refused.status.code(), Some(1));
    contains(&refused.stderr, &["atoll enable"]);
    done(&host, &["enable", "hello", "probe"]);
    assert_eq!(host.get("/apps/hello/").status, 200);

    // One that is not there does not keep the others from it.
    let some = run(&host, &["start", "prob", "probe"]);
    assert_eq!((some.status.code(), some.stdout.as_str()), (Some(1), "probe#3 is serving"));
    contains(&some.stderr, &["Unknown app `prob`", "Did you mean `probe`?"]);
}

#[test]
fn the_level_of_an_apps_log_is_changed() {
    let host = host();
    contains(&done(&host, &["log-level", "probe", "off"]), &["log level of probe set to off"]);
    contains(&done(&host, &["describe", "probe"]), &["log level     off"]);
    assert_eq!(done(&host, &["log-level", "probe", "default"]), "log level of probe set by RUST_LOG");
    contains(&done(&host, &["describe", "probe"]), &["log level     from RUST_LOG"]);
}

#[test]
fn one_reading_is_printed_where_there_is_no_terminal() {
    let host = host();
    host.get("/apps/probe/start");
    let text = done(&host, &["top"]);
    contains(&text, &["APP", "REQ/S", "P99 MS", "probe"]);
    assert!(!text.contains("hello"), "what was never used is not shown: {text}");
    let stats = parsed(&host, &["top", "--format", "json", "--sort", "heap"]);
    assert_eq!((&stats["apps"][0]["name"], &stats["apps"][0]["requests"]), (&json!("probe"), &json!(1)));
}

#[test]
fn the_screen_is_live_and_gives_the_terminal_back() {
    let host = host();
    host.get("/apps/probe/start");
    let mut top = Terminal::start(&host, &["top"], &[]);
    top.wait_for("probe");
    contains(&top.shown(), &[SCREEN[0], "REQ/S ▼"]);
    top.press("h");
    top.wait_for("HEAP ▼");
    top.press("h");
    // What is the same is not written again.
    top.wait_for("▲");
    host.get("/apps/hello/");
    top.wait_for("hello");
    top.press("q");
    assert_eq!(top.ended().code(), Some(0));
    top.wait_for(SCREEN[1]);

    let mut told = Terminal::start(&host, &["top"], &[]);
    told.wait_for("probe");
    told.signal(libc::SIGTERM);
    assert_eq!(told.ended().code(), Some(0));
    told.wait_for(SCREEN[1]);
}

#[test]
fn the_screen_says_that_the_host_has_ended() {
    let host = host();
    let mut top = Terminal::start(&host, &["top"], &[]);
    top.wait_for("requests/s");
    host.stop();
    assert_eq!(top.ended().code(), Some(1));
    top.wait_for("the host has exited");
    contains(&top.shown(), &SCREEN);
}

#[test]
fn colours_are_for_terminals_of_those_who_want_them() {
    let host = host();
    let shown = |env: &[(&str, &str)]| {
        let mut terminal = Terminal::start(&host, &["ls"], env);
        assert_eq!(terminal.ended().code(), Some(0));
        terminal.wait_for("probe");
        terminal.shown()
    };
    assert!(shown(&[]).contains("\x1b[1mAPP"));
    assert!(!shown(&[("NO_COLOR", "1")]).contains('\x1b'));
    assert!(!done(&host, &["ls"]).contains('\x1b'));
}

#[test]
fn the_configuration_is_shown_and_validated_without_a_host() {
    let apps = json!({ "defaults": { "keep": 1 }, "apps": [{ "name": "a", "path": "a", "env": { "B": "s3cret" } }] });
    let config =
        |args: &[&str], text: &str| Launch::command("config").args(args).write("apps.json", text).run();
    let shown = config(&["show"], &apps.to_string()).stdout;
    // Without the width of the columns.
    let shown: Vec<_> =
        shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    contains(
        &shown.join("\n"),
        &["SETTING VALUE ORIGIN", "keep 1 defaults", r#"env {"B":"***"} app"#, "workers 1 built-in"],
    );
    let all: Value =
        serde_json::from_str(&config(&["show", "--format", "json"], &apps.to_string()).stdout).unwrap();
    assert_eq!(all["apps"][0]["settings"]["keep"], json!({ "value": 1, "origin": "defaults" }));

    let valid = config(&["validate"], &apps.to_string());
    assert_eq!((valid.status.code(), valid.stdout.as_str()), (Some(0), "apps.json: valid, 1 app"));
    let wrong = r#"[{ "name": "a", "path": "a", "wokers": 2 }]"#;
    let invalid = config(&["validate"], wrong);
    assert_eq!(invalid.status.code(), Some(1));
    contains(&invalid.stderr, &["apps.json:1:", "workers"]);
    let invalid = config(&["validate", "--format", "json"], wrong);
    let said: Value = serde_json::from_str(&invalid.stdout).unwrap();
    assert_eq!((invalid.status.code(), &said["valid"]), (Some(1), &json!(false)));
    assert_eq!(said["diagnostics"][0]["field"], "apps[0].wokers");

    let schema = config(&["schema"], "[]");
    let committed = include_str!("../../docs/apps.schema.json");
    assert_eq!(schema.stdout.trim(), committed.trim());
}

#[test]
fn each_shell_gets_a_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = Launch::command("completion").arg(shell).run();
        assert_eq!(ended.status.code(), Some(0));
        contains(&ended.stdout, &["describe", "log-level", "find-free-port"]);
    }
    assert_eq!(Launch::command("completion").arg("dos").run().status.code(), Some(2));
}

#[test]
fn the_next_free_port_is_used_if_that_is_wanted() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let serve = || Launch::command("serve").args(["--listen", &address.to_string()]).write("apps.json", "[]");
    let refused = serve().run();
    assert_eq!(refused.status.code(), Some(1));
    contains(&refused.stderr, &["is in use by", "--find-free-port", "--listen"]);
    // An address for examples, which no machine has.
    let strange =
        Launch::command("serve").args(["--listen", "192.0.2.1:8080"]).write("apps.json", "[]").run();
    assert_eq!(strange.status.code(), Some(1));
    contains(
        &strange.stderr,
        &[
            "atoll: cannot listen on 192.0.2.1:8080: ",
            "; choose one of this machine's addresses with --listen",
        ],
    );
    let host = serve().args(["--admin", &address.to_string(), "--find-free-port"]).start();
    assert!(host.address().port() > address.port());
    assert_eq!(host.get("/healthz").status, 200);
    host.wait_for_log(&["is in use by", &format!("listening on {}", host.address())]);
    wait_until("the admin listener has a port of its own", || host.stdout().contains("dashboard at http://"));
}

#[test]
fn the_exit_code_says_what_happened() {
    for args in [
        &["ls"][..],
        &["describe", "a"],
        &["logs", "a"],
        &["top"],
        &["start", "a"],
        &["stop", "a"],
        &["reload", "a"],
        &["rollback", "a"],
        &["enable", "a"],
        &["disable", "a"],
        &["log-level", "a", "info"],
    ] {
        let (command, rest) = args.split_first().unwrap();
        let ended = Launch::command(command).args(rest).write("apps.json", "[]").run();
        assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(3), ""), "{args:?}");
        contains(&ended.stderr, &["no host is running for apps.json", "atoll serve"]);
        let wrong = Launch::command(command).arg("--no-such-option").run();
        assert_eq!(wrong.status.code(), Some(2), "{args:?}");
    }
    let host = host();
    for args in
        [&["describe", "prob"][..], &["logs", "prob"], &["logs", "-f", "prob"], &["log-level", "prob", "off"]]
    {
        let ended = run(&host, args);
        assert_eq!(ended.status.code(), Some(1), "{args:?}");
        contains(&ended.stderr, &["Did you mean `probe`?"]);
    }
    contains(&Launch::command("help").run().stdout, &["Exit codes:", "3  no host is running"]);
}

#[test]
fn a_command_that_finds_no_host_says_which_registries_have_one() {
    let mut host = Launch::serve("[]").start();
    let temporary = host.folder().join("tmp");
    let asked = || Launch::command("ls").write("apps.json", "[]").env("TMPDIR", &temporary).run();
    let served = host.folder().canonicalize().unwrap().join("apps.json");
    contains(
        &asked().stderr,
        &["no host is running for apps.json", &format!("; running hosts serve {}", served.display())],
    );

    host.signal(libc::SIGKILL);
    let ended = host.ended();
    let left = ended.temporary_files();
    assert!(left.iter().any(|file| file.extension().is_some_and(|kind| kind == "lock")), "{left:?}");
    let told = asked().stderr;
    assert!(told.contains("no host is running for apps.json") && !told.contains("running hosts"), "{told}");
}

/// Whether a terminal would do anything with this but show it.
fn is_harmless(text: &str) -> bool {
    let is_bad = |c: char| {
        c != '\n'
            && (c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}'))
    };
    !text.contains(is_bad)
}

#[test]
fn what_an_app_says_does_nothing_to_a_terminal() {
    let evil = "\x1b]0;title\x07\x1b[2J\u{9b}31m\u{202e}\u{2066}\x7f\r\x08\0\n2026-01-01T00:00:00.000Z ERROR #1 forged: record\n[2026-01-01T00:00:00.000Z ERROR forged] record";
    let apps = json!([{ "name": "probe", "path": "libprobe.so" }, { "name": "bad", "path": "libbad.so", "config": { "at_start": "fail" } }]);
    let host =
        Launch::serve(apps).library("probe").write("libbad.so", support::patched("misbehave", "")).start();
    assert_eq!(host.post("/apps/probe/log", evil).text(), "logged");
    assert_eq!(host.post("/apps/probe/fail", evil).status, 500);
    assert_eq!(host.post("/apps/probe/panic", evil).status, 500);
    host.wait_for_log(&["forged: record"]);
    for args in [&["logs", "probe"][..], &["describe", "probe"], &["ls"], &["top"], &["describe", "bad"]] {
        let ended = run(&host, args);
        assert!(ended.status.success(), "{}", ended.stderr);
        assert!(is_harmless(&ended.stdout), "{args:?}: {:?}", ended.stdout);
        let forged = ended
            .stdout
            .lines()
            .find(|line| line.starts_with("2026-01-01T00:00:00") || line.starts_with("[2026-01-01"));
        assert_eq!(forged, None, "{args:?}");
        let json = run(&host, &[args, &["--format", "json"]].concat());
        assert!(is_harmless(&json.stdout), "{args:?}: {:?}", json.stdout);
    }
    let said = done(&host, &["logs", "probe"]);
    contains(
        &said,
        &["\\u{1b}[2J\\u{9b}31m\\u{202e}", "\n    2026-01-01T00:00:00.000Z ERROR #1 forged: record"],
    );
    let kept: serde_json::Value =
        serde_json::from_str(done(&host, &["logs", "probe", "--format", "json"]).lines().next().unwrap())
            .unwrap();
    assert_eq!(kept["message"], evil, "a program gets what was said");
    let log = host.log();
    assert!(is_harmless(&log), "{log:?}");
    assert!(
        !log.lines()
            .any(|line| line.starts_with("2026-01-01T00") || line.starts_with("[2026-01-01T00:00:00")),
        "{log}"
    );
}

#[test]
fn a_log_for_programs_does_nothing_to_a_terminal_either() {
    let host = Launch::serve(json!([{ "name": "probe", "path": "libprobe.so" }]))
        .library("probe")
        .args(["--log-format", "json"])
        .start();
    let evil = "\x1b[2J\u{9b}31m\u{202e}\n{\"forged\":1}";
    assert_eq!(host.post("/apps/probe/log", evil).text(), "logged");
    let line = host.wait_for_log(&["31m"]);
    assert!(is_harmless(&line), "{line:?}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["message"], evil);
}
