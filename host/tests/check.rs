//! `atoll check`: whether a host would run a library.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use atoll_host::internal::check::{CheckError, OpenFailure, Opener, check as check_library};
use atoll_host::internal::{Source, Staging};
use object::{Object, ObjectSection};
use serde_json::{Value, json};
use support::{Ended, Launch, atoll, contains, library, mutated};

/// The staged copies that are left; only the lock of the folder that hosts share stays.
fn staged_copies(ended: &Ended) -> Vec<PathBuf> {
    let mut files = ended.temporary_files();
    files.retain(|file| !file.ends_with(".lock"));
    files
}

fn check(arguments: &[&str]) -> Ended {
    Launch::command("check").args(arguments).run()
}

#[test]
fn a_good_library_is_described() {
    let path = library("probe");
    let ended = check(&[path.to_str().unwrap()]);
    assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    let size = std::fs::metadata(&path).unwrap().len();
    for expected in
        ["probe: ok\n", "probe 0.1.0\n", "rustc 1.", "x86_64", &format!("({size} bytes)"), "hash  "]
    {
        assert!(ended.stdout.contains(expected), "{expected:?} in {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("warning"), "{}", ended.stdout);
    assert_eq!(staged_copies(&ended), Vec::<PathBuf>::new());
}

#[test]
fn a_bad_library_is_refused_with_what_to_do() {
    let stampless = check(&[library("stampless").to_str().unwrap()]);
    assert_eq!(stampless.status.code(), Some(1));
    assert!(stampless.stdout.contains("add `atoll_plugin::export_app!(app);`"), "{}", stampless.stdout);
    assert_eq!(stampless.stderr, "atoll: the library was refused");

    let text = Launch::command("check").arg("page.so").write("page.so", "<html>").run();
    assert_eq!(text.status.code(), Some(1));
    assert!(text.stdout.contains("expected an ELF shared object"), "{}", text.stdout);

    let missing = check(&["nothing"]);
    assert_eq!(missing.status.code(), Some(1));
    let line = "nothing: refused\n  path     /";
    assert!(missing.stdout.starts_with(line) && missing.stdout.contains("\n  reason   no such path"));
}

#[test]
fn a_registry_is_checked_with_all_its_apps() {
    let good = json!({ "name": "good", "path": library("probe") });
    let bad = json!({ "name": "bad", "path": library("stampless") });
    let both = Launch::command("check").write("apps.json", json!([good, bad]).to_string()).run();
    assert_eq!((both.status.code(), both.stderr.as_str()), (Some(1), "atoll: 1 of 2 apps were refused"));
    assert!(both.stdout.contains("good: ok\n") && both.stdout.contains("bad: refused\n"), "{}", both.stdout);

    let both = Launch::command("check")
        .args(["--format", "json"])
        .write("apps.json", json!([good, bad]).to_string());
    let both = both.run();
    let report: Value = serde_json::from_str(&both.stdout).unwrap();
    let list = &report["apps"];
    assert_eq!((both.status.code(), &report["ok"], &report["error"]), (Some(1), &json!(false), &Value::Null));
    assert_eq!((&list[0]["ok"], &list[1]["ok"]), (&json!(true), &json!(false)));
    assert_eq!((&list[0]["package"], &list[0]["version"]), (&json!("probe"), &json!("0.1.0")));
    assert!(list[1]["reason"].as_str().unwrap().contains("export_app!"), "{list}");

    let one = Launch::command("check")
        .args(["--config", "my.json"])
        .write("my.json", json!([good]).to_string())
        .run();
    assert_eq!(one.status.code(), Some(0), "{}", one.stderr);

    let wrong = r#"[{ "name": "a b", "path": "x" }, { "name": "c", "wokers": 2 }]"#;
    let wrong = Launch::command("check").write("apps.json", wrong).run();
    assert_eq!(wrong.status.code(), Some(1));
    for expected in ["apps[0].name", "apps[1].path", "apps[1].wokers"] {
        assert!(wrong.stderr.contains(expected), "{expected} in {}", wrong.stderr);
    }

    let none = check(&[]);
    assert_eq!(none.status.code(), Some(1));
    assert!(none.stderr.contains("apps.json: no such file"), "{}", none.stderr);
}

#[test]
fn libraries_are_checked_for_programs() {
    let (good, bad) = (library("probe"), library("stampless"));
    let report = |paths: &[&PathBuf]| {
        let ended = Launch::command("check").args(["--format", "json"]).args(paths).run();
        (ended.status.code(), serde_json::from_str::<Value>(&ended.stdout).unwrap())
    };
    let (code, both) = report(&[&good, &bad]);
    assert_eq!((code, &both["ok"]), (Some(1), &json!(false)));
    let names: Vec<_> =
        both["apps"].as_array().unwrap().iter().map(|app| (&app["name"], &app["ok"])).collect();
    assert_eq!(names, [(&json!("probe"), &json!(true)), (&json!("stampless"), &json!(false))]);

    let (code, one) = report(&[&good]);
    assert_eq!((code, &one["ok"]), (Some(0), &json!(true)));
    let hash = one["apps"][0]["hash"].as_str().unwrap();
    assert!(hash.len() == 64 && hash.chars().all(|digit| digit.is_ascii_hexdigit()), "{hash}");
}

#[test]
fn a_temporary_folder_that_cannot_be_used_is_told() {
    let library = library("probe");
    let refused = |launch: Launch, because: &str| {
        let ended = launch.arg(&library).run();
        assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
        assert!(ended.stderr.contains(because), "{because:?} in {}", ended.stderr);
        assert!(ended.stderr.ends_with("set TMPDIR to another folder)"), "{}", ended.stderr);
    };
    // Nobody makes folders there.
    refused(Launch::command("check").env("TMPDIR", "/proc"), "cannot create the folder /proc/atoll-");

    let launch = Launch::command("check");
    let user = std::fs::metadata(launch.folder()).unwrap().uid();
    let common = launch.folder().join(format!("tmp/atoll-{user}"));
    std::fs::write(&common, "").unwrap();
    let is_file = format!(
        "{} for staged copies is not safe: it is a file; expected a folder that only user {user} can write to",
        common.display()
    );
    refused(launch, &is_file);

    let launch = Launch::command("check");
    let common = launch.folder().join(format!("tmp/atoll-{user}"));
    std::fs::create_dir(&common).unwrap();
    match std::os::unix::fs::chown(&common, Some(12_345), None) {
        Ok(()) => refused(
            launch,
            "is not safe: it belongs to user 12345; expected a folder that only user 0 can \
            write to",
        ),
        Err(error) => println!("not tried, as only root gives a folder to somebody else: {error}"),
    }
}

#[test]
fn the_exit_code_tells_what_is_wrong() {
    let broken = Launch::command("check").args(["--format", "json"]).write("apps.json", "[{}]").run();
    let report: Value = serde_json::from_str(&broken.stdout).unwrap();
    assert_eq!((broken.status.code(), &report["ok"], &report["apps"]), (Some(1), &json!(false), &json!([])));
    assert_eq!(report["diagnostics"][0]["field"], "apps[0].name");
    assert!(report["error"].as_str().unwrap().starts_with("apps.json:1:2: apps[0].name: "), "{report}");

    let none = Launch::command("check").write("apps.json", "[]").run();
    assert_eq!((none.status.code(), none.stdout.as_str()), (Some(0), "apps.json: no apps registered yet"));

    for wrong in [&["--fromat", "json"][..], &["x.so", "--config", "apps.json"], &["--format", "xml"]] {
        let ended = check(wrong);
        assert_eq!(
            (ended.status.code(), ended.stdout.as_str()),
            (Some(2), ""),
            "{wrong:?}: {}",
            ended.stderr
        );
    }
}

/// The fixture `probe`, and where one of its sections is in it.
fn probe_with(section: &str) -> (Vec<u8>, std::ops::Range<usize>) {
    let bytes = fs::read(library("probe")).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let (offset, size) = file.section_by_name(section).unwrap().file_range().unwrap();
    (bytes, offset as usize..(offset + size) as usize)
}

/// What the command says of a library that it refuses.
#[track_caller]
fn refused(library: &[u8]) -> String {
    let ended = Launch::command("check").arg("app.so").write("app.so", library).run();
    assert_eq!(ended.status.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(staged_copies(&ended), Vec::<PathBuf>::new());
    ended.stdout
}

#[test]
fn a_library_whose_headers_are_damaged_is_refused() {
    let mut library = fs::read(library("probe")).unwrap();
    // Two program headers, which say what is loaded.
    library[0x40..0x80].fill(0);
    let said = refused(&library);
    contains(&said, &["the library is damaged: ", "rebuild it, or copy it again"]);
}

#[test]
fn a_library_that_ends_the_process_ends_only_the_one_that_tries_it() {
    let (mut library, init) = probe_with(".init");
    library[init.start..init.start + 2].copy_from_slice(&[0x0f, 0x0b]);
    let said = refused(&library);
    contains(&said, &["opening it ended the preflight process with signal 4 (SIGILL)", "is damaged, or "]);

    // A jump to itself.
    library[init.start..init.start + 2].copy_from_slice(&[0xeb, 0xfe]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libapp.so");
    fs::write(&path, library).unwrap();
    let limit = Duration::from_millis(500);
    let opener = Opener::new(atoll()).with_limit(limit);
    let staging = Staging::within(folder.path()).unwrap();
    let found = check_library(&staging, &Source::locate(&path, "app"), "app", 1 << 30, Some(&opener));
    assert!(
        matches!(found, Err(CheckError::Open(OpenFailure::Hangs { limit: found })) if found == limit),
        "{found:?}"
    );
}

#[test]
fn no_damage_ends_what_checks_it() {
    let original = fs::read(library("probe")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::within(folder.path()).unwrap();
    let path = folder.path().join("libapp.so");
    // Some damage makes a loop of the dynamic linker's work: the command waits longer than this test can.
    let opener = Opener::new(atoll()).with_limit(Duration::from_secs(2));
    let mut reasons = Vec::new();
    for seed in 0..200 {
        fs::write(&path, mutated(&original, seed)).unwrap();
        let found = check_library(&staging, &Source::locate(&path, "app"), "app", 1 << 30, Some(&opener));
        reasons.extend(found.err().map(|error| error.to_string()));
    }
    let count = |word: &str| reasons.iter().filter(|reason| reason.contains(word)).count();
    let (damaged, died) = (count("the library is damaged"), count("opening it ended the preflight process"));
    println!("of 200: {} refused, {damaged} without opening them, {died} ended the process", reasons.len());
    assert!(damaged > died, "most of what would end a process is seen before: {reasons:#?}");
}

/// The place of this text in a library's strings, and the library.
fn string(library: &[u8], text: &str) -> usize {
    let text = [b"\0", text.as_bytes(), b"\0"].concat();
    let mut places = (0..library.len() - text.len()).filter(|&at| library[at..].starts_with(&text));
    places.next().expect("the text is there") + 1
}

/// The hash of a version's name, as the System V ABI has it.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0, |hash: u32, byte| {
        let hash = hash.wrapping_mul(16).wrapping_add(byte.into());
        (hash ^ ((hash >> 24) & 0xf0)) & 0x0fff_ffff
    })
}

#[test]
fn why_a_library_cannot_be_opened_is_told_with_what_to_do() {
    let original = fs::read(library("probe")).unwrap();
    let mut library = original.clone();
    let at = string(&library, "libgcc_s.so.1");
    library[at..at + 13].copy_from_slice(b"libgcc_x.so.1");
    contains(
        &refused(&library),
        &[
            "libgcc_x.so.1: cannot open shared object file: No such file or directory",
            "it needs the shared library libgcc_x.so.1, which is not installed",
        ],
    );

    // A version of the C library that there is not yet.
    let mut library = original;
    let (old, new) = ("GLIBC_2.34", "GLIBC_2.99");
    let at = string(&library, old);
    library[at..at + new.len()].copy_from_slice(new.as_bytes());
    let (old, new) = (hash(old).to_le_bytes(), hash(new).to_le_bytes());
    let (_, versions) = probe_with(".gnu.version_r");
    for at in versions.clone().filter(|at| at % 4 == 0) {
        if library[at..at + 4] == old {
            library[at..at + 4].copy_from_slice(&new);
        }
    }
    contains(
        &refused(&library),
        &[
            "version `GLIBC_2.99' not found",
            "it was built for a newer C library than this machine's glibc 2.",
        ],
    );
}

#[test]
fn a_temporary_folder_that_others_could_write_to_is_refused() {
    let launch = Launch::command("check").arg(library("probe"));
    let user = fs::metadata(launch.folder()).unwrap().uid();
    let common = launch.folder().join(format!("tmp/atoll-{user}"));
    let target = launch.folder().join("target");
    fs::create_dir(&common).unwrap();
    fs::write(&target, "mine").unwrap();
    std::os::unix::fs::symlink(&target, common.join(".lock")).unwrap();
    fs::set_permissions(&common, fs::Permissions::from_mode(0o777)).unwrap();
    let ended = launch.run();
    assert_eq!(ended.status.code(), Some(1));
    contains(
        &ended.stderr,
        &["is not safe: others can write to it (its mode is 777)", "remove it, or set TMPDIR"],
    );
    assert_eq!(fs::read(ended.folder().join("target")).unwrap(), b"mine");
}
