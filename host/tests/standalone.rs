//! An app by itself: `cargo run` in its crate.

// The rule spares only the functions marked as tests, and not those that they call.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Call, Host, Launch, Load, compile, library, patched, versioned, wait_until};
use tempfile::TempDir;

fn manifest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml")
}

/// The target folder that the tests are built in; what standalone mode needs is mostly there already.
fn target() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_atoll")).ancestors().nth(2).unwrap()
}

/// The folder with the program and the library of `hello`.
fn built() -> PathBuf {
    support::program("hello")
}

/// The program of `hello` in a folder of its own, so that its library can be exchanged.
struct Alone {
    folder: TempDir,
}

impl Alone {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("hello-").tempdir_in(built()).unwrap();
        std::fs::hard_link(built().join("hello"), folder.path().join("hello")).unwrap();
        Self { folder }
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("libhello.so")
    }

    fn launch(&self) -> Launch {
        Launch::program(self.folder.path().join("hello")).args(["--listen", "127.0.0.1:0"])
    }

    fn start(&self) -> Host {
        self.launch().start()
    }

    /// As `cp` does.
    fn write(&self, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.library(), bytes).unwrap();
    }

    /// As `mv` does.
    fn rename(&self, bytes: impl AsRef<[u8]>) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, bytes).unwrap();
        std::fs::rename(new, self.library()).unwrap();
    }

    /// As `cargo` does.
    fn relink(&self, bytes: impl AsRef<[u8]>) {
        let new = self.folder.path().join("new");
        let _ = std::fs::remove_file(&new);
        std::fs::write(&new, bytes).unwrap();
        let _ = std::fs::remove_file(self.library());
        std::fs::hard_link(new, self.library()).unwrap();
    }
}

/// Ends the command as an operator does, and checks that it leaves nothing behind.
#[track_caller]
fn end(host: Host, leave: &Path) {
    let temporary = host.temporary_files();
    let ended = host.stop();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hot-lib-reloader-"), "it has panicked: {}", ended.stderr);
    let left: Vec<_> = temporary.iter().filter(|file| file.extension().is_some() && file.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
    let beside: Vec<_> = std::fs::read_dir(leave).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!beside.iter().any(|name| name.to_string_lossy().starts_with("libhello-")), "{beside:?}");
}

#[test]
fn cargo_run_serves_the_app_at_the_root() {
    // What takes long is built without a limit on its time.
    let folder = built();
    let host = Launch::cargo()
        .args(["run", "--quiet", "--package", "hello", "--manifest-path"])
        .arg(manifest())
        .arg("--target-dir")
        .arg(target())
        .args(["--", "--listen", "127.0.0.1:0"])
        .start();
    wait_until("the app serves", || host.get("/greet/tobe").status == 200);
    assert_eq!(host.get("/greet/tobe").json(), json!({ "name": "tobe" }));
    for path in ["/", "/nonexistent_route", "/apps/hello/greet/tobe"] {
        assert_eq!(host.get(path).json(), json!({ "hello": "serverless world!" }), "{path}");
    }
    end(host, &folder);
}

#[test]
fn an_address_that_is_taken_is_told() {
    let alone = Alone::new();
    let host = alone.start();
    let address = host.address().to_string();
    wait_until("it says how to reload it", || {
        host.stdout().contains("run `cargo build --package hello --lib` to reload it")
    });
    let ended = Launch::program(alone.folder.path().join("hello")).args(["--listen", &address]).run();
    assert_eq!(ended.status.code(), Some(1));
    let expected = format!("hello: cannot listen on {address}: Address already in use");
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
    assert!(ended.stderr.ends_with("; choose another address with --listen"), "{}", ended.stderr);
    end(host, alone.folder.path());
}

#[test]
fn a_library_built_with_the_program_has_nothing_of_the_server() {
    let contains = |name: &str| {
        let bytes = std::fs::read(built().join(name)).unwrap();
        bytes.windows(5).any(|window| window == b"actix")
    };
    assert!(contains("hello"));
    assert!(!contains("libhello.so"));
}

#[test]
fn no_request_fails_while_libraries_take_over() {
    let alone = Alone::new();
    alone.write(versioned("1"));
    let host = alone.start();
    // While nothing serves, a library that is missing for a moment is a reason for a 503.
    wait_until("version 1 serves", || host.get("/").text() == "1");
    let load = Load::start(host.address(), &["/", "/a", "/b"]);
    for version in 2..=10 {
        let text = version.to_string();
        match version % 3 {
            0 => alone.write(versioned(&text)),
            1 => alone.rename(versioned(&text)),
            _ => alone.relink(versioned(&text)),
        }
        wait_until(&format!("version {text} serves"), || host.get("/").text() == text);
    }
    for reply in load.stop().concat() {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(host.mapped().len(), 1, "one library is loaded: {:?}", host.mapped());
    assert!(host.log_lines(&["pinned"]).is_empty());
    end(host, alone.folder.path());
}

#[test]
fn what_is_no_library_changes_nothing() {
    let alone = Alone::new();
    alone.write(versioned("1"));
    let host = alone.start();
    wait_until("version 1 serves", || host.get("/").text() == "1");
    let second = versioned("2");
    alone.write(&second[..second.len() / 2]);
    host.wait_for_log(&["incomplete", "generation 1 keeps serving"]);
    assert_eq!(host.get("/").text(), "1");
    alone.rename("no library at all, and long enough to be the beginning of one: it has more than 64 bytes");
    host.wait_for_log(&["not a library", "generation 1 keeps serving"]);
    assert_eq!(host.get("/").text(), "1");
    std::fs::remove_file(alone.library()).unwrap();
    host.wait_for_log(&["was removed"]);
    assert_eq!(host.get("/").text(), "1");
    alone.write(second);
    wait_until("version 2 serves", || host.get("/").text() == "2");
    end(host, alone.folder.path());
}

#[test]
fn the_library_may_be_built_later() {
    let alone = Alone::new();
    let host = alone.start();
    host.wait_for_log(&["no library at", "build it"]);
    host.get("/").problem(503, "unavailable");
    alone.relink(versioned("1"));
    wait_until("version 1 serves", || host.get("/").text() == "1");
    alone.relink(versioned("2"));
    wait_until("version 2 serves", || host.get("/").text() == "2");
    end(host, alone.folder.path());
}

#[test]
fn an_app_that_crashes_is_loaded_again() {
    let alone = Alone::new();
    alone.write(patched("misbehave", "by-hand"));
    let host = alone.start();
    for crash in 1..=3 {
        wait_until("it serves", || host.get("/").text() == "by hand");
        host.get("/panic").problem(502, "bad-gateway");
        wait_until("the crash is logged", || host.log_lines(&["panicked in main"]).len() == crash);
    }
    wait_until("it serves", || host.get("/").text() == "by hand");
    assert_eq!(host.mapped().len(), 1, "one library is loaded: {:?}", host.mapped());
    // The one that watches for changes is another one after a crash.
    alone.relink(versioned("2"));
    wait_until("version 2 serves", || host.get("/").text() == "2");
    end(host, alone.folder.path());
}

#[test]
fn a_library_whose_code_still_runs_is_not_closed() {
    let alone = Alone::new();
    alone.write(patched("misbehave", "well"));
    let host = alone.start();
    let (entered, file) = (alone.folder.path().join("entered"), alone.folder.path().join("file"));
    let block = format!("/block?entered={}&file={}", entered.display(), file.display());
    let mut blocked = host.connect();
    blocked.send(&Call::get(&block)).unwrap();
    wait_until("the handler has the request", || entered.exists());
    alone.relink(versioned("2"));
    wait_until("version 2 serves", || host.get("/").text() == "2");
    host.wait_for_log(&["hello#1 is pinned"]);
    assert_eq!(blocked.receive("GET").unwrap().status, 502);
    assert_eq!(host.mapped().len(), 2, "both libraries are loaded: {:?}", host.mapped());
    std::fs::write(file, "").unwrap();
    alone.relink(versioned("3"));
    wait_until("version 3 serves", || host.get("/").text() == "3");
    end(host, alone.folder.path());
}

#[test]
fn two_programs_share_a_folder() {
    let alone = Alone::new();
    alone.write(versioned("1"));
    let hosts = [alone.start(), alone.start()];
    for version in ["1", "2", "3"] {
        alone.rename(versioned(version));
        for host in &hosts {
            wait_until(&format!("version {version} serves"), || host.get("/").text() == version);
        }
    }
    for host in hosts {
        end(host, alone.folder.path());
    }
}

#[test]
fn its_methods_are_there_and_other_apps_are_not() {
    let alone = Alone::new();
    alone.write(std::fs::read(library("rpc")).unwrap());
    let host = alone.start();
    let call = |path: &str, method: &str, params: Value| {
        let body = json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 });
        host.call(&Call::post(path, body.to_string()).header("content-type", "application/json"))
    };
    assert_eq!(call("/rpc/hello", "sum", json!([1, 2])).json()["result"], 3);
    let error =
        call("/rpc/hello", "forward", json!({ "app": "other", "method": "sum" })).json()["error"].clone();
    assert_eq!(error["code"], -32004, "{error}");
    // All other paths are the app's.
    assert_eq!(call("/seen/rpc/other", "sum", json!([])).json()["path"], "/seen/rpc/other");
    call("/rpc/other", "sum", json!([])).problem(404, "app-error");
    end(host, alone.folder.path());
}

#[test]
fn its_environment_is_that_of_a_registry_and_follows_its_files() {
    let alone = Alone::new();
    alone.write(std::fs::read(library("probe")).unwrap());
    let env = json!({ "PASSWORD": { "file": "password" }, "NAME": "${HOST_NAME}" });
    let app =
        json!({ "name": "hello", "path": "libhello.so", "inherit": [], "env_file": "a.env", "env": env });
    let launch = alone.launch().args(["--config", "apps.json"]).env("HOST_NAME", "db.example");
    let launch = launch.write("apps.json", json!([app]).to_string());
    let host = launch.write("a.env", "ONE=1\n").write("password", "s3cret\n").start();
    let environment = || host.get("/start").json()["env"].clone();
    wait_until("the app serves", || host.get("/start").status == 200);
    assert_eq!(environment(), json!({ "ONE": "1", "NAME": "db.example", "PASSWORD": "s3cret" }));
    host.replace("password", "other\n");
    wait_until("it has the other secret", || environment()["PASSWORD"] == "other");
    // The library is gone when the next one is loaded, but not for what cannot be read.
    host.replace("a.env", "ONE\n");
    host.wait_for_log(&[
        "ERROR",
        "hello: generation 3 failed to start",
        "a.env:1: ",
        "generation 2 keeps serving",
    ]);
    assert_eq!(environment()["ONE"], "1");
    end(host, alone.folder.path());
}

#[test]
fn its_shared_libraries_are_loaded_and_reloaded_with_it() {
    let alone = Alone::new();
    // The run path of this app is `$ORIGIN/lib`.
    let lib = alone.folder.path().join("lib");
    compile(&lib, "inner", 2, &[]);
    compile(&lib, "number", 1, &["-latoll_inner"]);
    alone.write(patched("beside", "one"));
    let host = alone.start();
    let answers = |text: &str| wait_until(text, || host.get("/").text() == text);
    answers("one 12");
    compile(&lib, "inner", 3, &[]);
    answers("one 13");
    alone.relink(patched("beside", "two"));
    answers("two 13");
    compile(&lib, "number", 4, &["-latoll_inner"]);
    answers("two 43");
    wait_until("the libraries before are gone", || host.mapped().len() == 3);
    end(host, alone.folder.path());
}
