//! Libraries that are replaced while requests are in flight: none is lost, and nothing is left behind.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use support::{Call, Host, Launch, Load, Reply, library, versioned, wait_until};

/// How many times each way of replacing is tried.
const TIMES: u64 = 20;

/// The app `v`, which answers 1.
fn first_version() -> Host {
    Launch::serve(json!([{ "name": "v", "path": "libv.so" }])).write("libv.so", versioned(1)).start()
}

fn load(host: &Host) -> Load {
    assert_eq!(host.get("/apps/v/").text(), "1");
    let load = Load::start(host.address(), &["/apps/v/"; 4]);
    wait_until("the load has begun", || load.answered() > 20);
    load
}

/// Every reply is a version's, and on no connection an older one comes after a newer one.
#[track_caller]
fn check(replies: Vec<Vec<Reply>>, last: u64) {
    for replies in replies {
        let mut newest = 1;
        for (number, reply) in replies.iter().enumerate() {
            assert_eq!(reply.status, 200, "request {number} after version {newest}: {}", reply.text());
            let version: u64 = reply.text().parse().unwrap();
            assert!((newest..=last).contains(&version), "version {version} after {newest}, request {number}");
            newest = version;
        }
    }
}

#[track_caller]
fn wait_for_version(host: &Host, version: u64) {
    wait_until(&format!("version {version} answers"), || host.get("/apps/v/").text() == version.to_string());
}

/// Of all generations but the last, nothing is left.
#[track_caller]
fn wait_for_one_generation(host: &Host) {
    wait_until("the old libraries are unmapped", || host.mapped().len() == 1);
    wait_until("the old staged copies are deleted", || host.staged().len() == 1);
    assert_eq!(host.staged(), host.mapped(), "what is mapped is the copy that is left");
    wait_until("the old workers have ended", || {
        host.threads().iter().filter(|name| name.starts_with("v#")).count() == 1
    });
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
}

fn in_kept(file: &Path) -> bool {
    file.parent().is_some_and(|folder| folder.ends_with("kept"))
}

/// Replaces the library again and again in one way, under load.
fn reloads(host: Host, replace: impl Fn(&Path, u64, &[u8])) {
    let load = load(&host);
    for version in 2..=TIMES + 1 {
        replace(&host.folder().join("libv.so"), version, &versioned(version));
        wait_for_version(&host, version);
    }
    check(load.stop(), TIMES + 1);
    wait_for_one_generation(&host);
    let kept = host.temporary_files().into_iter().filter(|file| in_kept(file)).count();
    assert!(kept <= 3, "{kept} libraries are kept");
    assert_eq!(host.log_lines(&["ERROR"]), [""; 0]);
    let ended = host.stop();
    assert_eq!(ended.status.code(), Some(0));
    let left = ended.temporary_files();
    assert!(left.iter().all(|file| file.ends_with(".lock")), "{left:?}");
}

#[test]
fn renamed_over() {
    reloads(first_version(), |library, _, bytes| {
        let new = library.with_extension("new");
        fs::write(&new, bytes).unwrap();
        fs::rename(new, library).unwrap();
    });
}

#[test]
fn copied_over_in_place() {
    reloads(first_version(), |library, _, bytes| fs::write(library, bytes).unwrap());
}

#[test]
fn swapped_by_a_symbolic_link() {
    let launch = Launch::serve(json!([{ "name": "v", "path": "libv.so" }])).write("v1.so", versioned(1));
    symlink("v1.so", launch.folder().join("libv.so")).unwrap();
    reloads(launch.start(), |library, version, bytes| {
        let target = format!("v{version}.so");
        fs::write(library.with_file_name(&target), bytes).unwrap();
        let link = library.with_extension("link");
        symlink(target, &link).unwrap();
        fs::rename(link, library).unwrap();
    });
}

#[test]
fn deleted_and_written_again() {
    reloads(first_version(), |library, version, bytes| {
        fs::remove_file(library).unwrap();
        if version % 2 == 0 {
            // Long enough to be seen missing.
            std::thread::sleep(Duration::from_millis(80));
        }
        fs::write(library, bytes).unwrap();
    });
}

#[test]
fn written_slowly_in_chunks() {
    reloads(first_version(), |library, _, bytes| {
        let mut file = File::create(library).unwrap();
        for chunk in bytes.chunks(bytes.len() / 15) {
            file.write_all(chunk).unwrap();
            file.flush().unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}

#[test]
fn of_a_burst_of_versions_the_last_one_stays() {
    let host = first_version();
    let load = load(&host);
    for version in 2..=100 {
        let new = host.folder().join("new");
        fs::write(&new, versioned(version)).unwrap();
        fs::rename(&new, host.folder().join("libv.so")).unwrap();
    }
    wait_for_version(&host, 100);
    check(load.stop(), 100);
    wait_for_one_generation(&host);
}

#[test]
fn two_versions_that_alternate_are_told_apart() {
    let host = first_version();
    assert_eq!(host.get("/apps/v/").text(), "1");
    for _ in 0..5 {
        for version in [2, 1] {
            host.replace("libv.so", versioned(version));
            wait_for_version(&host, version);
        }
    }
    wait_for_one_generation(&host);
}

#[test]
fn the_same_library_again_is_no_reload() {
    let host = first_version();
    assert_eq!(host.get("/apps/v/").text(), "1");
    host.replace("libv.so", versioned(1));
    host.replace("libv.so", versioned(2));
    wait_for_version(&host, 2);
    host.replace("libv.so", versioned(2));
    host.replace("libv.so", versioned(3));
    wait_for_version(&host, 3);
    wait_until("three generations are in the log", || host.log_lines(&["v#", "is serving"]).len() >= 3);
    assert_eq!(host.log_lines(&["v#", "is serving"]).len(), 3, "{}", host.log());
}

#[test]
fn what_cannot_be_loaded_changes_nothing_but_the_log() {
    let good = versioned(2);
    let mut other_machine = good.clone();
    // The low byte of `e_machine`; 183 is AArch64, 62 is x86-64.
    other_machine[18] = if other_machine[18] == 183 { 62 } else { 183 };
    let mut other_kind = good.clone();
    // `e_type`; 3 is a shared object, and of 7 nobody has heard.
    other_kind[16] = 7;
    let bad = [
        (Vec::new(), "the library is incomplete"),
        (good[..40].to_vec(), "the library is incomplete"),
        (good[..good.len() / 2].to_vec(), "the library is incomplete"),
        (good[..good.len() - 1].to_vec(), "the library is incomplete"),
        (b"this is a text and no library".to_vec(), "not a library"),
        (other_machine, "64-bit little-endian"),
        (other_kind, "found an unknown kind of ELF file"),
        (fs::read(library("stampless")).unwrap(), "stamp"),
        (fs::read(env!("CARGO_BIN_EXE_atoll")).unwrap(), "found a program"),
    ];
    let host = first_version();
    let load = load(&host);
    for (bytes, reason) in bad {
        let words = ["ERROR", "v: ", "failed to start", reason, "generation 1 keeps serving"];
        let before = host.log_lines(&words).len();
        host.replace("libv.so", bytes);
        wait_until(&format!("the log says: {reason}"), || host.log_lines(&words).len() > before);
        assert_eq!(host.get("/apps/v/").text(), "1");
    }
    check(load.stop(), 1);
    wait_until("what was refused is unloaded", || host.mapped().len() == 1);
    wait_until("the refused copies are deleted", || host.staged().len() == 1);
    fs::remove_file(host.folder().join("libv.so")).unwrap();
    host.wait_for_log(&["v: the library file ", " was removed; the loaded generation keeps serving"]);
    assert_eq!(host.get("/apps/v/").text(), "1");
    host.replace("libv.so", good);
    wait_for_version(&host, 2);
}

#[test]
fn what_cannot_be_loaded_first_can_be_mended() {
    let launch = Launch::serve(json!([{ "name": "v", "path": "libv.so" }])).write("libv.so", "no library");
    let host = launch.start();
    host.get("/apps/v/").problem(503, "unavailable");
    host.replace("libv.so", versioned(1));
    wait_for_version(&host, 1);
    // One that is written while the app is cold is what the first call starts.
    let cold =
        Launch::serve(json!([{ "name": "v", "path": "libv.so" }])).write("libv.so", versioned(1)).start();
    cold.replace("libv.so", versioned(2));
    assert_eq!(cold.get("/apps/v/").text(), "2");
}

#[test]
fn a_request_in_flight_ends_in_the_library_that_it_began_in() {
    let host = Launch::serve(json!([{ "name": "v", "path": "libprobe.so" }])).library("probe").start();
    let file = host.path("go");
    let mut slow = host.connect();
    slow.send(&Call::get(&format!("/apps/v/until?file={file}"))).unwrap();
    wait_until("the handler waits", || host.get("/apps/v/waiting").text() == "1");
    host.replace("libprobe.so", versioned(2));
    wait_for_version(&host, 2);
    assert_eq!(host.mapped().len(), 2);
    fs::write(file, "").unwrap();
    assert_eq!(slow.receive("GET").unwrap().text(), "it is there");
    wait_for_one_generation(&host);
}

#[test]
fn a_body_of_the_old_library_outlives_it() {
    let host = Launch::serve(json!([{ "name": "v", "path": "libprobe.so" }])).library("probe").start();
    // More than fits in the socket's buffers, and read only when the library that made it is gone.
    let (size, entered) = (16_000_000, host.path("entered"));
    let mut slow = host.connect();
    slow.send(&Call::get(&format!("/apps/v/large?size={size}&entered={entered}"))).unwrap();
    wait_until("the handler runs", || fs::exists(&entered).unwrap());
    host.replace("libprobe.so", versioned(2));
    wait_for_version(&host, 2);
    wait_for_one_generation(&host);
    let body = slow.receive("GET").unwrap().body;
    assert!(body.len() == size && body.iter().zip((0..=250).cycle()).all(|(a, b)| *a == b), "it is whole");
}

#[test]
fn another_library_in_a_folder_is_watched_from_then_on() {
    let launch = Launch::serve(json!([{ "name": "v", "path": "libs" }]));
    fs::create_dir(launch.folder().join("libs")).unwrap();
    let host = launch.write("libs/liba.so", versioned(1)).start();
    let answers = |version: &str| host.get("/apps/v/").text() == version;
    assert!(answers("1"));
    // The first library is replaced by one of another name.
    let libs = host.folder().join("libs");
    fs::write(host.folder().join("new"), versioned(2)).unwrap();
    fs::remove_file(libs.join("liba.so")).unwrap();
    fs::rename(host.folder().join("new"), libs.join("libb.so")).unwrap();
    wait_until("the other library serves", || answers("2"));
    // That one is written in place, which does not touch the folder.
    for version in 3..6 {
        fs::write(libs.join("libb.so"), versioned(version)).unwrap();
        wait_until("what was written serves", || answers(&version.to_string()));
    }
}

#[test]
fn a_folder_that_comes_later_is_watched_with_what_is_in_it() {
    let host = Launch::serve(json!([{ "name": "v", "path": "later" }])).start();
    assert_eq!(host.get("/apps/v/").status, 503);
    fs::create_dir(host.folder().join("later.new")).unwrap();
    fs::write(host.folder().join("later.new/libv.so"), versioned(1)).unwrap();
    fs::rename(host.folder().join("later.new"), host.folder().join("later")).unwrap();
    wait_until("the library is found", || host.get("/apps/v/").text() == "1");
    fs::write(host.folder().join("later/libv.so"), versioned(2)).unwrap();
    wait_until("what was written serves", || host.get("/apps/v/").text() == "2");
}
