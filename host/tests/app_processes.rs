//! Apps in separate processes: what happens when a process ends, hangs, or its host is gone.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Value, json};
use support::{Call, Connection, Host, Launch, Load, library, versioned, wait_until};

const ADMIN: [&str; 2] = ["--admin", "127.0.0.1:0"];

/// The apps `bad` (fixture `misbehave`) and `good` (fixture `probe`), each in a sandboxed process that may use the folder of
/// the test, with these settings for `bad`.
fn start(settings: Value) -> Host {
    start_with("misbehave", settings)
}

/// As [`start`], with another fixture as `bad`.
fn start_with(fixture: &str, settings: Value) -> Host {
    let launch = Launch::serve(json!([])).args(ADMIN);
    let sandbox = json!({ "files": [format!("rw:{}", launch.folder().display())] });
    let mut bad = json!({ "name": "bad", "path": library(fixture) });
    bad.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let apps = [bad, json!({ "name": "good", "path": library("probe") })];
    let registry = json!({ "defaults": { "isolation": "process", "sandbox": sandbox }, "apps": apps });
    launch.write("apps.json", registry.to_string()).start()
}

/// The numbers of the processes of an app.
fn processes(host: &Host, app: &str) -> Vec<u32> {
    let name = |process: &u32| fs::read_to_string(format!("/proc/{process}/comm")).ok();
    let mut processes = host.app_processes();
    processes.retain(|process| name(process).is_some_and(|name| name.trim_end() == format!("atoll:{app}")));
    processes
}

fn process(host: &Host, app: &str) -> u32 {
    let processes = processes(host, app);
    assert_eq!(processes.len(), 1, "{processes:?}");
    processes[0]
}

fn kill(process: u32) {
    // SAFETY: the process is the host's child, whose number stays its own until the host has waited for it.
    assert_eq!(unsafe { libc::kill(process as libc::pid_t, libc::SIGKILL) }, 0);
}

/// Starts a request that blocks its worker, and waits until it does.
fn block(host: &Host) -> Connection {
    let (file, entered) = (host.path("unblock"), host.path("entered"));
    let _ = fs::remove_file(&entered);
    let mut connection = host.connect();
    connection.send(&Call::get(&format!("/apps/bad/block?file={file}&entered={entered}"))).unwrap();
    wait_until("the worker is blocked", || fs::exists(&entered).unwrap());
    connection
}

#[test]
fn processes_wait_for_each_kind_of_sandbox_and_an_app_gets_one_of_its_kind() {
    let kinds =
        [json!(null), json!("standard"), json!("strict"), json!({ "udp": true }), json!({ "connect": [80] })];
    let registry = |count: usize| {
        let app = |(number, sandbox): (usize, &Value)| json!({ "name": format!("app{number}"), "path": library("probe"), "sandbox": sandbox });
        let apps: Vec<_> = kinds.iter().take(count).enumerate().map(app).collect();
        json!({ "defaults": { "isolation": "process" }, "apps": apps }).to_string()
    };
    // Two for each kind, and no more than six.
    for (count, expected) in [(1, 2), (2, 4), (5, 6)] {
        let host = Launch::serve(json!([])).args(ADMIN).write("apps.json", registry(count)).start();
        wait_until("processes wait", || host.app_processes().len() == expected);
        // That of the last kind, which is not ended for others, once all are there.
        let name = format!("app{}", count - 1);
        wait_until("an app gets one that has waited", || {
            let stop = Call::post(&format!("/api/v1/apps/{name}/stop"), "");
            assert_eq!(Connection::open(host.admin()).unwrap().call(&stop).unwrap().status, 204);
            let waiting = host.app_processes();
            assert_eq!(host.get(&format!("/apps/{name}/start")).status, 200);
            waiting.contains(&process(&host, &name))
        });
        wait_until("another one waits", || host.app_processes().len() == expected + 1);
        // Of the first kind, none may wait any more.
        assert_eq!(host.get("/apps/app0/start").status, 200);
        wait_until("no more than that wait", || {
            let apps =
                (0..count).map(|number| processes(&host, &format!("app{number}")).len()).sum::<usize>();
            host.app_processes().len() == apps + expected
        });
    }
}

#[test]
fn a_process_that_is_killed_is_replaced_and_other_apps_do_not_notice() {
    let host = start(json!({}));
    assert_eq!(host.get("/apps/bad/").text(), "fine");
    let others = Load::start(host.address(), &["/apps/good/start"; 4]);
    let mut taken = block(&host);
    let killed = process(&host, "bad");
    // These wait in the ring behind the one that blocks.
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| host.get("/apps/bad/"))).collect();
        wait_until("they wait", || {
            let app = Connection::open(host.admin()).unwrap().call(&Call::get("/api/v1/apps/bad")).unwrap();
            app.json()["serving"]["waiting"] == 8
        });
        kill(killed);
        for reply in waiting {
            assert_eq!(reply.join().unwrap().text(), "fine", "the next process has them");
        }
    });
    taken.receive("GET").unwrap().problem(502, "bad-gateway");
    assert_ne!(process(&host, "bad"), killed);
    host.wait_for_log(&["bad#1", "signal 9 (SIGKILL)"]);
    for reply in others.stop().into_iter().flatten() {
        assert_eq!(reply.status, 200);
    }
    assert!(host.stop().status.success());
}

#[test]
fn a_worker_that_stays_blocked_is_killed_and_nothing_is_pinned() {
    let host = start(json!({ "deadline_ms": 300, "stop_timeout_ms": 100, "drain_timeout_ms": 100 }));
    // To start takes longer than the deadline on a busy machine.
    wait_until("the app serves", || host.get("/apps/bad/").text() == "fine");
    let mut blocked = block(&host);
    let first = process(&host, "bad");
    blocked.receive("GET").unwrap().problem(504, "deadline-exceeded");
    host.replace(
        "apps.json",
        json!([{ "name": "good", "path": library("probe"), "isolation": "process" }]).to_string(),
    );
    wait_until("its process is gone", || !host.app_processes().contains(&first));
    host.wait_for_log(&["bad#1", "killing its process", "worker 0"]);
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
    wait_until("its library is gone", || host.mapped().is_empty());
}

#[test]
fn a_worker_that_hangs_is_killed_and_replaced_while_it_serves() {
    let host = start(json!({ "hang_timeout_ms": 300 }));
    let mut taken = block(&host);
    let hung = process(&host, "bad");
    // They wait behind it, which makes it one that hangs.
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..4).map(|_| scope.spawn(|| host.get("/apps/bad/"))).collect();
        for reply in waiting {
            assert_eq!(reply.join().unwrap().text(), "fine", "the next process has them");
        }
    });
    taken.receive("GET").unwrap().problem(502, "bad-gateway");
    assert_ne!(process(&host, "bad"), hung);
    let what = "worker 0 took no message for hang_timeout_ms = 300, in GET /apps/bad/block";
    host.wait_for_log(&["bad#1", what, "and its process was killed"]);
    assert!(host.stop().status.success());
}

#[test]
fn what_ends_a_process_ends_that_of_the_app() {
    let host = start(json!({}));
    for (path, reason) in [
        ("exit", "exit was called"),
        ("abort", "abort was called"),
        ("panic-while-unwinding", "abort was called"),
    ] {
        // After some ends, the next start waits for a moment.
        wait_until("it serves", || host.get("/apps/bad/").text() == "fine");
        let ended = process(&host, "bad");
        host.get(&format!("/apps/bad/{path}")).problem(502, "bad-gateway");
        wait_until("its process is gone", || !host.app_processes().contains(&ended));
        host.wait_for_log(&["bad#", reason]);
    }
    assert_eq!(host.get("/apps/good/start").status, 200);
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
}

#[test]
fn processes_end_with_their_host() {
    let mut host = start(json!({}));
    assert_eq!((host.get("/apps/bad/").status, host.get("/apps/good/start").status), (200, 200));
    let processes = host.app_processes();
    assert!(processes.len() >= 2);
    // Nothing of the host can tell them.
    host.signal(libc::SIGKILL);
    let ended = host.ended();
    assert!(!ended.status.success());
    let is_there = |process: &u32| {
        fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    };
    wait_until("no process is left", || !processes.iter().any(is_there));
}

#[test]
fn a_signal_to_all_processes_is_one_to_the_host() {
    let mut host = start(json!({}));
    let mut blocked = block(&host);
    for process in host.app_processes() {
        // SAFETY: as for `kill`.
        unsafe { libc::kill(process as libc::pid_t, libc::SIGTERM) };
    }
    host.signal(libc::SIGTERM);
    fs::write(host.path("unblock"), "").unwrap();
    assert_eq!(blocked.receive("GET").unwrap().text(), "no longer blocked");
    assert!(host.ended().status.success());
}

#[test]
fn a_fault_ends_the_process_and_is_reported_with_its_request_at_once() {
    let host = start_with("faults", json!({}));
    let others = Load::start(host.address(), &["/apps/good/start"; 2]);
    for (way, signal, cause) in [
        ("null", "SIGSEGV", "null pointer dereference"),
        ("overflow", "SIGSEGV", "stack overflow"),
        ("illegal", "SIGILL", "illegal instruction"),
        ("divide", "SIGFPE", "arithmetic trap"),
        ("free", "SIGABRT", "abort"),
    ] {
        wait_until("it serves", || host.get("/apps/bad/").status == 200);
        let ended = process(&host, "bad");
        host.get(&format!("/apps/bad/now/{way}")).problem(502, "bad-gateway");
        let line = host.wait_for_log(&["ERROR", &format!("ended its process {ended}"), signal, cause]);
        assert!(line.contains(&format!("during GET /apps/bad/now/{way} (request ")), "{line}");
    }
    host.wait_for_log(&["faults::ways::read_null"]);
    for reply in others.stop().into_iter().flatten() {
        assert_eq!(reply.status, 200);
    }
    let app = Connection::open(host.admin()).unwrap().call(&Call::get("/api/v1/apps/bad")).unwrap().json();
    let faults = app["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 5, "{faults:?}");
    assert!(faults.iter().all(|fault| fault["own_process"] == true));
    let history = app["history"].as_array().unwrap();
    let is_next = |step: &&Value| step["state"] == "staged" && step["generation"] != 1;
    let copies: Vec<_> =
        history.iter().filter(is_next).map(|step| step["reason"].as_str().unwrap()).collect();
    assert!(copies.len() >= 4, "{history:?}");
    assert!(copies.iter().all(|copy| copy.ends_with(", staged before")), "{copies:?}");
    assert!(host.stop().status.success());
}

#[test]
fn a_fault_is_reported_from_the_strictest_sandbox() {
    let app =
        json!({ "name": "bad", "path": library("faults"), "isolation": "process", "sandbox": "strict" });
    let host = Launch::serve(json!([app])).start();
    assert_eq!(host.get("/apps/bad/").status, 200);
    host.get("/apps/bad/later/overflow").problem(502, "bad-gateway");
    host.wait_for_log(&[
        "ERROR",
        "ended its process",
        "stack overflow",
        "during GET /apps/bad/later/overflow",
    ]);
    host.wait_for_log(&["faults::ways::deeper"]);
}

#[test]
fn more_memory_than_its_limit_ends_the_process_and_names_the_limit() {
    let host = start_with("faults", json!({ "sandbox": { "memory": "256MiB" } }));
    assert_eq!(host.get("/apps/bad/").status, 200);
    let ended = process(&host, "bad");
    host.get("/apps/bad/now/exhaust").problem(502, "bad-gateway");
    host.wait_for_log(&["bad#1", "bytes of memory (memory = 268435456 of its sandbox)"]);
    wait_until("it serves again", || host.get("/apps/bad/").status == 200);
    assert_ne!(process(&host, "bad"), ended);
    assert_eq!(host.get("/apps/good/start").status, 200);
}

#[test]
fn what_the_sandbox_denies_is_in_the_log_with_the_setting_that_allows_it() {
    let host = start_with("probe", json!({ "sandbox": "standard" }));
    let (file, entered) = (host.path("file"), host.path("entered"));
    for _ in 0..2 {
        assert_eq!(host.get(&format!("/apps/bad/block?file={file}&entered={entered}")).status, 500);
    }
    let (folder, what) = (host.folder().display(), "the sandbox denied to write to ");
    host.wait_for_log(&["WARN", "bad", what, &entered, &format!("add \"rw:{folder}\" to its `files`")]);
    assert_eq!(host.log_lines(&[what]).len(), 1, "once");
}

#[test]
fn what_is_in_force_is_shown() {
    let host = start(json!({}));
    assert_eq!(host.get("/apps/bad/").text(), "fine");
    let app = Connection::open(host.admin()).unwrap().call(&Call::get("/api/v1/apps/bad")).unwrap().json();
    let process_status = &app["serving"]["process"];
    assert_eq!(process_status["id"], process(&host, "bad"));
    let layers = process_status["sandbox"].as_array().unwrap();
    for layer in ["limits", "descriptors", "privileges", "files", "signals", "system-calls"] {
        assert!(layers.contains(&layer.into()), "{layers:?}");
    }
}

#[test]
fn an_app_that_writes_over_what_it_shares_with_the_host_harms_itself_only() {
    let host = start_with("faults", json!({ "workers": 2, "deadline_ms": 2000 }));
    let others = Load::start(host.address(), &["/apps/good/start"; 2]);
    for _ in 0..3 {
        wait_until("it serves", || host.get("/apps/bad/").status == 200);
        let ended = process(&host, "bad");
        // Whether it is answered depends on what is written over first.
        let reply = host.get("/apps/bad/beside/scribble");
        assert!(reply.status != 200 || reply.text() != "0", "it shares nothing that it can write");
        wait_until("its process is killed", || {
            // The host looks at what comes when somebody waits for it.
            let _ = host.get("/apps/bad/").status;
            !host.app_processes().contains(&ended)
        });
    }
    host.wait_for_log(&["ERROR", "bad#", "broke the port's protocol and was killed"]);
    for reply in others.stop().into_iter().flatten() {
        assert_eq!(reply.status, 200);
    }
    assert!(host.stop().status.success());
}

/// The memory of an app process that is its own, in KiB.
fn private_kib(process: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    let field = |line: &str| line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
    rollup.lines().filter(|line| line.starts_with("Private_")).filter_map(field).sum()
}

#[test]
fn reloads_leave_no_process_no_descriptor_and_no_memory() {
    let launch = Launch::serve(json!([])).write("libv.so", versioned(1));
    let apps = json!([{ "name": "v", "path": "libv.so", "isolation": "process" }]);
    let host = launch.write("apps.json", apps.to_string()).start();
    wait_until("it serves", || host.get("/apps/v/").text() == "1");
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().count();
    let (mut before, load) = (None, Load::start(host.address(), &["/apps/v/"; 2]));
    for version in 2..=60_u64 {
        host.replace("libv.so", versioned(version));
        wait_until("the next version serves", || host.get("/apps/v/").text() == version.to_string());
        if version == 10 {
            wait_until("the old ones are gone", || processes(&host, "v").len() == 1);
            before = Some(descriptors());
        }
    }
    for reply in load.stop().into_iter().flatten() {
        assert_eq!(reply.status, 200);
    }
    wait_until("the old ones are gone", || processes(&host, "v").len() == 1);
    // Those of clients may be a few more or less.
    wait_until("no descriptor is left", || descriptors() <= before.unwrap() + 8);
    let private = private_kib(process(&host, "v"));
    assert!(private < 16 << 10, "{private} KiB");
    assert!(host.stop().status.success());
}

#[test]
fn an_app_runs_with_the_strict_preset_and_as_another_user() {
    // SAFETY: no preconditions.
    let is_root = unsafe { libc::geteuid() } == 0;
    let app = |name: &str, sandbox: Value| json!({ "name": name, "path": library("hello"), "isolation": "process", "sandbox": sandbox });
    let mut apps = vec![app("strict", json!("strict"))];
    if is_root {
        apps.push(app("other", json!({ "user": "65534" })));
    }
    let host = Launch::serve(json!(apps)).start();
    assert_eq!(host.get("/apps/strict/greet/tobe").json(), json!({ "name": "tobe" }));
    if is_root {
        assert_eq!(host.get("/apps/other/greet/tobe").json(), json!({ "name": "tobe" }), "{}", host.log());
        let status = fs::read_to_string(format!("/proc/{}/status", process(&host, "other"))).unwrap();
        assert!(status.contains("Uid:\t65534\t65534"), "{status}");
    }
}

#[test]
fn each_app_has_its_data_folder_and_with_a_range_its_user() {
    // SAFETY: no preconditions.
    let is_root = unsafe { libc::geteuid() } == 0;
    let launch = Launch::serve(json!([]));
    // Other users reach the folders through those above.
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    let sandbox = if is_root { json!({ "user": "70000-70009" }) } else { json!("standard") };
    let defaults = json!({ "isolation": "process", "data": data, "sandbox": sandbox });
    let app = |name: &str| json!({ "name": name, "path": library("misbehave") });
    let probe = json!({ "name": "probe", "path": library("probe") });
    let registry = json!({ "defaults": defaults, "apps": [app("one"), app("two"), probe] });
    let host = launch.write("apps.json", registry.to_string()).start();
    let create = |app: &str, in_folder_of: &str| {
        let file = data.join(in_folder_of).join(format!("by-{app}"));
        host.call(&Call::post(&format!("/apps/{app}/lock?file={}", file.display()), "")).status
    };
    let env = host.get("/apps/probe/start").json()["env"].clone();
    assert_eq!(env["ATOLL_DATA_DIR"], data.join("probe").display().to_string());
    // Both have their folder before one of them tries that of the other.
    assert_eq!([create("one", "one"), create("two", "two")], [200, 200], "{}", host.log());
    assert_eq!([create("one", "two"), create("two", "one")], [500, 500]);
    let owner = |name: &str| fs::metadata(data.join(name)).unwrap().uid();
    if is_root {
        let users = [owner("one/by-one"), owner("two/by-two")];
        assert!(
            users.iter().all(|user| (70_000..70_010).contains(user)) && users[0] != users[1],
            "{users:?}"
        );
    }
    assert_eq!(fs::metadata(data.join("one")).unwrap().mode() & 0o777, 0o700);
    host.wait_for_log(&["WARN", "app=one", "the sandbox denied to write to", "two/by-one"]);
}

#[test]
fn an_app_in_the_standard_sandbox_reads_its_own_folder() {
    let app = |name: &str, more: Value| {
        let mut app = json!({ "name": name, "path": "app/libordinary.so", "isolation": "process" });
        app.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        app
    };
    let apps = [
        app("own", json!({ "dir": "app" })),
        // The folder of a library may have those of other apps.
        app("shared", json!({})),
        app("strict", json!({ "dir": "app", "sandbox": "strict" })),
    ];
    let launch = Launch::serve(json!(apps));
    fs::create_dir_all(launch.folder().join("app")).unwrap();
    let launch = launch.write("app/libordinary.so", fs::read(library("ordinary")).unwrap());
    let host = launch.write("app/file", "its file").start();
    let file = host.get("/apps/own/read/file");
    assert_eq!((file.status, file.text().as_str()), (200, "its file"), "{}", host.log());
    for app in ["shared", "strict"] {
        assert_eq!(host.get(&format!("/apps/{app}/read/file")).status, 500, "{app}");
        host.wait_for_log(&["WARN", app, "the sandbox denied to read", "app/file"]);
    }
}

#[test]
fn a_share_of_a_processor_needs_a_control_group() {
    let app = |name: &str, require: &str| {
        let sandbox = json!({ "cpu_percent": 50, "require": require });
        json!({ "name": name, "path": library("probe"), "isolation": "process", "sandbox": sandbox })
    };
    let host = Launch::serve(json!([app("full", "full"), app("part", "available")])).args(ADMIN).start();
    assert_eq!(host.get("/apps/part/start").status, 200, "{}", host.log());
    let status = |app: &str| {
        let path = format!("/api/v1/apps/{app}");
        Connection::open(host.admin()).unwrap().call(&Call::get(&path)).unwrap().json()
    };
    let process = processes(&host, "part");
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", process[0])).unwrap();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    let name = format!("app-{}-part-1", host.pid());
    let has_group = group.ends_with(&name);
    let layers = status("part")["serving"]["process"]["sandbox"].clone();
    assert_eq!(layers.as_array().unwrap().contains(&json!("control-group")), has_group, "{layers} {groups}");
    if has_group {
        assert_eq!(host.get("/apps/full/start").status, 200, "{}", host.log());
    } else {
        host.wait_for_log(&["WARN", "part#1: its sandbox lacks control-group: `cpu_percent` needs one: "]);
        host.get("/apps/full/start").problem(503, "unavailable");
        let reason = "cannot sandbox the process of the app: the sandbox cannot enforce `control-group`";
        host.wait_for_log(&["full", reason, "`cpu_percent` needs one", "does without it"]);
    }
    assert!(host.stop().status.success());
}
