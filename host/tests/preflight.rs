//! Libraries that end or block the process that opens them: the host opens them in another one first.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::fs;
use std::ops::Range;

use object::{Object, ObjectSection};
use serde_json::{Value, json};
use support::{Ended, Host, Launch, Load, Reply, library, versioned, wait_for, wait_until};

/// The app `v` with these settings.
fn apps(settings: &Value) -> String {
    let mut app = json!({ "name": "v", "path": "libv.so" });
    app.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    json!([app]).to_string()
}

fn serve(settings: &Value, library: &[u8]) -> Launch {
    Launch::serve(apps(settings)).write("libv.so", library)
}

/// A version of the app with this machine code in its first constructor.
#[cfg(target_arch = "x86_64")]
fn with_constructor(version: u64, code: &[u8]) -> Vec<u8> {
    let mut library = versioned(version);
    let init = section(&library, ".init");
    assert!(code.len() <= init.len(), "{} bytes of code, {} of place", code.len(), init.len());
    library[init.start..init.start + code.len()].copy_from_slice(code);
    library
}

fn section(library: &[u8], name: &str) -> Range<usize> {
    let file = object::File::parse(library).unwrap();
    let (offset, size) = file.section_by_name(name).unwrap().file_range().unwrap();
    offset as usize..(offset + size) as usize
}

#[cfg(target_arch = "x86_64")]
mod code {
    /// Reads from address 0.
    pub(super) const CRASH: &[u8] = &[0x8b, 0x04, 0x25, 0, 0, 0, 0];
    /// `exit_group(0)`.
    pub(super) const EXIT: &[u8] = &[0x31, 0xff, 0xb8, 0xe7, 0, 0, 0, 0x0f, 0x05];
    /// `kill(getpid(), SIGABRT)`.
    pub(super) const ABORT: &[u8] =
        &[0xb8, 0x27, 0, 0, 0, 0x0f, 0x05, 0x89, 0xc7, 0xbe, 6, 0, 0, 0, 0xb8, 0x3e, 0, 0, 0, 0x0f, 0x05];
    /// Jumps to itself.
    pub(super) const HANG: &[u8] = &[0xeb, 0xfe];
}

/// Damaged libraries, each with the host's message.
#[cfg(target_arch = "x86_64")]
fn damaged() -> Vec<(Vec<u8>, &'static str)> {
    let mut headless = versioned(2);
    headless[0x40..0x40 + 2 * 56].fill(0);
    vec![
        (headless, "the library is damaged"),
        (with_constructor(3, code::CRASH), "opening it ended the preflight process with signal 11 (SIGSEGV)"),
        (with_constructor(4, code::EXIT), "opening it ended the preflight process with exit code 0"),
        (with_constructor(5, code::ABORT), "opening it ended the preflight process with signal 6 (SIGABRT)"),
        (
            with_constructor(6, code::HANG),
            "opening it took longer than 2 s: one of its constructors or destructors hangs",
        ),
    ]
}

/// Has a command do something with the app.
fn command(host: &Host, command: &str, arguments: &[&str]) -> Ended {
    Launch::command(command)
        .args(arguments)
        .args(["v", "--config"])
        .arg(host.folder().join("apps.json"))
        .env("TMPDIR", host.folder().join("tmp"))
        .run()
}

/// The preflights in the app's history.
fn preflights(host: &Host) -> Vec<String> {
    let described = command(host, "describe", &["--format", "json"]);
    let described: Value = serde_json::from_str(&described.stdout).unwrap();
    let history = described["history"].as_array().unwrap();
    let preflights = history.iter().filter(|entry| entry["state"] == "preflighted");
    preflights.map(|entry| entry["reason"].as_str().unwrap().to_owned()).collect()
}

#[cfg(target_arch = "x86_64")]
#[test]
fn without_it_such_a_library_ends_the_host() {
    for code in [code::CRASH, code::EXIT, code::ABORT] {
        let host = serve(&json!({ "preflight": false }), &with_constructor(2, code)).start();
        let mut connection = host.connect();
        assert!(connection.call(&support::Call::get("/apps/v/")).is_err(), "the host has ended");
        let ended: Ended = host.ended();
        assert!(!ended.stderr.contains("preflight process"), "{}", ended.stderr);
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn such_a_library_is_refused_as_the_first_one() {
    for (library, because) in damaged() {
        let host = serve(&json!({ "start_timeout_ms": 2000 }), &library).start();
        let problem = host.get("/apps/v/");
        assert_eq!(problem.status, 503, "{}", problem.text());
        host.wait_for_log(&[because]);
        // The host lives, and the next library is served.
        fs::write(host.folder().join("libv.so"), versioned(7)).unwrap();
        wait_until("the next library answers", || host.get("/apps/v/").text() == "7");
        assert_eq!(host.stop().status.code(), Some(0));
    }
}

/// All replies are those of the first version.
#[track_caller]
fn check(replies: &[Vec<Reply>], version: &str) {
    for reply in replies.iter().flatten() {
        assert_eq!((reply.status, reply.text()), (200, version.to_owned()));
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn such_a_library_is_refused_as_a_replacement_and_no_request_fails() {
    let host = serve(&json!({ "start_timeout_ms": 2000 }), &versioned(1)).start();
    assert_eq!(host.get("/apps/v/").text(), "1");
    let load = Load::start(host.address(), &["/apps/v/"; 4]);
    for (library, because) in damaged() {
        fs::write(host.folder().join("libv.so"), library).unwrap();
        host.wait_for_log(&[because]);
    }
    check(&load.stop(), "1");
    fs::write(host.folder().join("libv.so"), versioned(7)).unwrap();
    wait_until("the next library answers", || host.get("/apps/v/").text() == "7");
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
    assert_eq!(host.stop().status.code(), Some(0));
}

#[test]
fn a_library_is_opened_once_on_a_machine() {
    let host = serve(&json!({}), &versioned(1)).start();
    assert_eq!(host.get("/apps/v/").text(), "1");
    let passed = preflights(&host);
    assert_eq!(passed.len(), 1);
    assert!(passed[0].starts_with("opened in a sandboxed process, "), "{passed:?}");
    fs::write(host.folder().join("libv.so"), versioned(2)).unwrap();
    wait_until("version 2 answers", || host.get("/apps/v/").text() == "2");
    host.wait_for_log(&["v#2 is serving: it is ready, ", " ms after the change; its preflight took ", " ms"]);
    // It is remembered after the app has started.
    let list = wait_for("both are remembered", || {
        let found = opened_libraries(&host)?;
        (found.lines().count() == 2).then_some(found)
    });
    fs::write(host.folder().join("libv.so"), versioned(1)).unwrap();
    wait_until("version 1 answers again", || host.get("/apps/v/").text() == "1");
    assert_eq!(preflights(&host).last().unwrap(), "opened on this machine before");
    assert_eq!(opened_libraries(&host).unwrap(), list);

    let other = serve(&json!({}), &versioned(2)).env("TMPDIR", host.folder().join("tmp")).start();
    assert_eq!(other.get("/apps/v/").text(), "2");
    other.wait_for_log(&["v#1 is serving: it is ready"]);
    assert_eq!(other.log_lines(&["its preflight took"]), [""; 0]);
}

/// The list of libraries that were opened on the machine.
fn opened_libraries(host: &Host) -> Option<String> {
    let common = fs::read_dir(host.folder().join("tmp")).unwrap().flatten().next()?.path();
    let files = fs::read_dir(common).unwrap().flatten();
    let mut lists = files.filter(|file| file.file_name().to_string_lossy().starts_with("opened-libraries-"));
    fs::read_to_string(lists.next()?.path()).ok()
}

#[test]
fn it_can_be_turned_off() {
    let host = serve(&json!({ "preflight": false }), &versioned(1)).start();
    assert_eq!(host.get("/apps/v/").text(), "1");
    assert_eq!(preflights(&host), [""; 0]);
    assert_eq!(opened_libraries(&host), None);
}

#[test]
fn a_preloaded_library_is_opened_ahead_of_its_first_request() {
    let host =
        serve(&json!({}), &versioned(1)).env("RUST_LOG", "info,atoll_host::app::prepare=debug").start();
    assert_eq!(host.get("/apps/v/").text(), "1");
    assert_eq!(command(&host, "stop", &[]).status.code(), Some(0));
    fs::write(host.folder().join("libv.so"), versioned(2)).unwrap();
    host.wait_for_log(&["v: the preloaded library was opened in a sandboxed process, "]);
    wait_until("version 2 answers", || host.get("/apps/v/").text() == "2");
    assert_eq!(preflights(&host).last().unwrap(), "opened on this machine before");
}

#[test]
fn damage_of_what_the_loader_reads_never_reaches_the_host() {
    const TIMES: u64 = 25;
    let original = fs::read(library("versioned")).unwrap();
    let launch = || Launch::serve(apps(&json!({ "start_timeout_ms": 2000, "max_pinned": 1000 })));
    let damages = support::replace_by_damaged(launch, &original, 0..TIMES);
    println!("{damages:?}");
    assert_eq!(damages.failed, 0);
    assert!(damages.refused > TIMES / 4, "{damages:?}");
}
