//! A host within a test, as those have it who write apps.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::fs;
use std::time::Duration;

use atoll_host::internal::lifecycle::Phase;
use atoll_host::testing::{Builder, TestHost, TestHostError};
use serde_json::json;
use support::{Call, Connection, Reply, library, versioned, wait_until};

fn get(host: &TestHost, path: &str) -> Reply {
    let address = host.base_url().strip_prefix("http://").unwrap().parse().unwrap();
    Connection::open(address).unwrap().call(&Call::get(path)).unwrap()
}

#[test]
fn a_library_is_served_and_reloaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libv.so");
    fs::write(&path, versioned(1)).unwrap();
    let host = TestHost::builder().app("v", &path).settings(json!({ "workers": 2 })).start().unwrap();
    assert_eq!(host.url("v", "x?y"), format!("{}/apps/v/x?y", host.base_url()));
    let app = host.app("v").unwrap();
    assert_eq!((app.phase(), app.settings().workers), (Phase::Cold, 2));
    assert_eq!(get(&host, "/apps/v/").text(), "1");
    assert_eq!(app.phase(), Phase::Serving);

    assert_eq!(host.reload("v").unwrap(), 2);
    // A library is watched, as in any host.
    fs::write(folder.path().join("next"), versioned(2)).unwrap();
    fs::rename(folder.path().join("next"), &path).unwrap();
    wait_until("the new library serves", || get(&host, "/apps/v/").text() == "2");

    fs::write(&path, "no library").unwrap();
    let error = host.reload("v").unwrap_err();
    assert!(matches!(&error, TestHostError::Reload { app, .. } if app == "v"), "{error}");
    assert!(error.to_string().starts_with("v was not reloaded: "), "{error}");
    assert_eq!(get(&host, "/apps/v/").text(), "2");
    host.stop();
    assert_eq!(app.phase(), Phase::Closing);
}

#[test]
fn hosts_are_beside_each_other_and_say_what_panicked() {
    let start = || TestHost::builder().app("probe", library("probe")).start().unwrap();
    let (one, other) = (start(), start());
    assert_ne!(one.base_url(), other.base_url());
    drop(other);
    assert_eq!(one.reload("probe").unwrap(), 1, "the first generation, which nobody had asked for yet");
    let reply = get(&one, "/apps/probe/panic");
    assert_eq!(reply.status, 500);
    assert!(
        reply.text().contains("A handler of the app `probe` panicked: this handler panics"),
        "{}",
        reply.text()
    );
}

#[test]
fn an_app_in_a_process_may_fault() {
    let settings = json!({ "isolation": "process", "sandbox": "strict" });
    let host = TestHost::builder()
        .app("faults", library("faults"))
        .settings(settings)
        .app("probe", library("probe"))
        .start()
        .unwrap();
    assert_eq!(get(&host, "/apps/faults/").status, 200);
    let first = host.app("faults").unwrap().serving().unwrap().process().unwrap();
    assert_ne!(first.id, std::process::id());
    assert_eq!(get(&host, "/apps/faults/now/null").status, 502);
    wait_until("the next process serves", || get(&host, "/apps/faults/").status == 200);
    assert_eq!(get(&host, "/apps/probe/start").status, 200);
    assert_eq!(host.reload("faults").unwrap(), 3);
    host.stop();
    wait_until("no process is left", || !std::path::Path::new(&format!("/proc/{}", first.id)).exists());
}

#[test]
#[should_panic(expected = "an app's settings are an object: [1]")]
fn settings_that_are_none_are_told_at_once() {
    let _builder = TestHost::builder().app("a", ".").settings(json!([1]));
}

#[test]
fn a_host_that_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let crate_of = |name: &str, manifest: &str, source: &str| {
        let folder = folder.path().join(name);
        fs::create_dir_all(folder.join("src")).unwrap();
        let package = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n{manifest}\n[workspace]\n");
        fs::write(folder.join("Cargo.toml"), package).unwrap();
        fs::write(folder.join("src/lib.rs"), source).unwrap();
        TestHost::builder().app(name, folder)
    };
    let error = |host: Builder| host.start().unwrap_err().to_string();
    let nowhere = error(TestHost::builder().app("a", folder.path().join("nowhere")));
    assert!(nowhere.starts_with("a: no such path: "), "{nowhere}");
    let twice = error(TestHost::builder().app("a", ".").app("a", "."));
    assert!(twice.contains("the apps of this test:"), "{twice}");
    let setting = error(TestHost::builder().app("a", ".").settings(json!({ "worker": 1 })));
    assert!(setting.contains("workers"), "{setting}");
    let ordinary = error(crate_of("ordinary", "", ""));
    assert!(ordinary.contains("ordinary does not build a cdylib"), "{ordinary}");
    let broken = error(crate_of("broken", "[lib]\ncrate-type = [\"cdylib\"]", "fn app( {}"));
    assert!(broken.starts_with("the build failed:"), "{broken}");
    let slow = crate_of("slow", "[lib]\ncrate-type = [\"cdylib\"]", "");
    // It ends by itself too, so that nothing is left should this test fail.
    let script = "fn main() { std::thread::sleep(std::time::Duration::from_secs(100)); }";
    fs::write(folder.path().join("slow/build.rs"), script).unwrap();
    let slow = error(slow.build_deadline(Duration::from_secs(1)));
    assert_eq!(slow, "the build took longer than 1s; set another limit with `Builder::build_deadline`");
    let no_app = TestHost::builder().start().unwrap().reload("a").unwrap_err();
    assert_eq!(no_app.to_string(), "unknown app `a`: add it with `Builder::app`");
}
