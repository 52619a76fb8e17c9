//! What a service manager and an operator expect of a server: signals, sockets that are handed over, one host for a file.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod installed;
mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use seccompiler::{BpfProgram, apply_filter, compile_from_json};
use serde_json::{Value, json};
use support::{Host, Launch, atoll, library, versioned, wait_until};

/// The next words that a service manager is told.
fn told(socket: &UnixDatagram) -> String {
    let mut words = [0; 128];
    let length = socket.recv(&mut words).unwrap();
    String::from_utf8_lossy(&words[..length]).trim_end().to_owned()
}

#[test]
fn a_service_manager_is_told_when_the_host_serves_and_when_it_ends() {
    let launch = Launch::serve("[]");
    let path = launch.folder().join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let host = launch.env("NOTIFY_SOCKET", &path).start();
    assert_eq!(told(&socket), "READY=1");
    assert_eq!(host.get("/healthz").status, 200);
    let ended = host.stop();
    assert_eq!(told(&socket), "STOPPING=1");
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn a_socket_that_is_handed_over_is_listened_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    fcntl_setfd(&listener, FdFlags::empty()).unwrap();
    // As a service manager does: the socket is descriptor 3, and the variables name the process. (In `sh`, the number of a
    // descriptor may have one digit only.)
    let script = format!("LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve 3<&{}", listener.as_raw_fd());
    let launch = Launch::program("bash").args(["-c", &script]).arg(atoll()).write("apps.json", "[]");
    // A request that comes before the host is answered when it is there.
    let client = std::net::TcpStream::connect(address).unwrap();
    let host = launch.start();
    assert_eq!(host.address(), address);
    assert_eq!(host.get("/healthz").status, 200);
    client.shutdown(Shutdown::Both).unwrap();
}

#[test]
fn what_is_handed_over_and_is_no_listening_socket_is_an_error() {
    let script = "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve 3</dev/null";
    let ended = Launch::program("sh").args(["-c", script]).arg(atoll()).write("apps.json", "[]").run();
    assert_eq!(ended.status.code(), Some(1));
    let words = ["the sockets from the service manager", "is no TCP or Unix socket that listens"];
    support::contains(&ended.stderr, &words);
}

#[test]
fn a_file_has_one_host() {
    let host = Host::start(json!([]), &[]);
    let config = host.folder().join("apps.json");
    let second = |command| {
        Launch::command(command)
            .args(["--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .env("TMPDIR", host.folder().join("tmp"))
    };
    for command in ["serve", "dev"] {
        let refused = second(command).run();
        assert_eq!(refused.status.code(), Some(1));
        let expected = format!("another host (process {}) is serving", host.pid());
        assert!(refused.stderr.contains(&expected), "{}", refused.stderr);
    }
    assert_eq!(host.get("/healthz").status, 200);
}

#[test]
fn a_lock_that_cannot_be_taken_is_told() {
    let host = Host::start(json!([]), &[]);
    let (config, lock) = (host.path("apps.json"), host.control_file("lock"));
    let lock = lock.parent().unwrap().to_owned();
    // One that answers hears signals.
    assert_eq!(host.get("/healthz").status, 200);
    let ended = host.stop();
    // It leads to where nobody makes folders.
    std::os::unix::fs::symlink("/proc/none", &lock).unwrap();
    let refused = Launch::command("serve")
        .args(["--listen", "127.0.0.1:0", "--config", &config])
        .env("TMPDIR", ended.folder().join("tmp"))
        .run();
    assert_eq!(refused.status.code(), Some(1));
    let expected = format!("atoll: cannot lock {}: ", lock.display());
    assert!(refused.stderr.contains(&expected), "{}", refused.stderr);
    assert!(refused.stderr.ends_with("(remove it, or set TMPDIR to another folder)"), "{}", refused.stderr);
}

#[test]
fn without_notifications_a_host_looks_at_its_files_itself() {
    for (limit, words) in [
        ("instances", ["cannot use inotify", "every 2s (see fs.inotify.max_user_instances)"]),
        ("watches", ["cannot watch ", "falling back to polling (see fs.inotify.max_user_watches)"]),
    ] {
        let setup = format!("echo 0 > /proc/sys/user/max_inotify_{limit}");
        let Some(launch) = Launch::isolated(&setup, "serve") else { return };
        let apps = json!([{ "name": "v", "path": "libv.so" }]).to_string();
        let launch =
            launch.args(["--listen", "127.0.0.1:0"]).write("apps.json", apps).write("libv.so", versioned(1));
        let host = launch.start();
        host.wait_for_log(&["WARN", words[0], words[1]]);
        assert_eq!(host.get("/apps/v/").text(), "1");
        host.replace("libv.so", versioned(2));
        wait_until("the new library serves", || host.get("/apps/v/").text() == "2");
        assert_eq!(host.log_lines(&[words[0]]).len(), 1, "it is said once");
    }
}

#[test]
fn sighup_reads_everything_again_and_ends_nothing() {
    let app = json!({ "name": "probe", "path": library("probe") });
    let mut host = Host::start(json!([app]), &[]);
    assert_eq!(host.get("/apps/probe/start").status, 200);
    host.signal(libc::SIGHUP);
    host.wait_for_log(&["SIGHUP"]);
    host.wait_for_log(&["apps.json: nothing changed"]);
    host.replace("apps.json", json!([app, { "name": "other", "path": library("probe") }]).to_string());
    host.signal(libc::SIGHUP);
    wait_until("the new app is there", || host.get("/apps/other/start").status == 200);
    assert_eq!(host.log_lines(&["probe#2"]), Vec::<String>::new(), "its library is the same");
}

/// `atoll serve` with these listeners as a service manager passes them, with their names.
fn with_passed(listeners: &[(&str, &dyn AsRawFd)], arguments: &[&str]) -> Launch {
    let descriptors: Vec<_> = listeners.iter().map(|(_, listener)| listener.as_raw_fd()).collect();
    // Moved out of the way first: one may have the number that another is to get.
    let moves: String = (0..descriptors.len()).map(|n| format!(" {}<&{}", 20 + n, descriptors[n])).collect();
    let places: String = (0..descriptors.len()).map(|n| format!(" {}<&{}", 3 + n, 20 + n)).collect();
    let names: Vec<_> = listeners.iter().map(|(name, _)| *name).collect();
    let script = format!(
        "exec{moves}; LISTEN_PID=$$ LISTEN_FDS={} LISTEN_FDNAMES={} exec \"$0\" \"$@\"{places}",
        names.len(),
        names.join(":")
    );
    let launch = Launch::program("bash").args(["-c", &script]).arg(atoll()).args(arguments);
    launch.write("apps.json", "[]")
}

fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    fcntl_setfd(&listener, FdFlags::empty()).unwrap();
    listener
}

fn is_served(address: std::net::SocketAddr) -> bool {
    support::Connection::open(address).unwrap().call(&support::Call::get("/healthz")).unwrap().status == 200
}

#[test]
fn all_sockets_that_are_passed_are_served() {
    let (first, second) = (listener(), listener());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let unix = UnixListener::bind(&path).unwrap();
    fcntl_setfd(&unix, FdFlags::empty()).unwrap();
    let host = with_passed(&[("web", &first), ("other", &second), ("local", &unix)], &["serve"]).start();
    for listener in [&first, &second] {
        assert!(is_served(listener.local_addr().unwrap()));
    }
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 OK"), "{answer}");
    wait_until("the host names its sockets", || {
        host.stdout().lines().any(|line| line.starts_with("Listening on ") && line.ends_with("http.sock"))
    });
    assert!(host.stop().status.success());
    assert!(path.exists(), "it is the service manager's");
}

#[test]
fn sockets_are_chosen_by_name_and_by_address() {
    let (first, second) = (listener(), listener());
    let address = second.local_addr().unwrap().to_string();
    let arguments = ["serve", "--listen", "fd:web", "--listen", &address];
    let _host = with_passed(&[("web", &first), ("other", &second)], &arguments).start();
    for listener in [&first, &second] {
        assert!(is_served(listener.local_addr().unwrap()));
    }
}

#[test]
fn a_socket_that_nobody_would_serve_is_an_error() {
    let (first, second) = (listener(), listener());
    for command in ["serve", "dev"] {
        let launch = with_passed(&[("web", &first), ("other", &second)], &[command, "--listen", "fd:web"]);
        let ended = launch.run();
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        let words =
            ["no --listen uses the socket `other` (number 2)", "--listen fd:NAME", "FileDescriptorName="];
        support::contains(&ended.stderr, &words);
    }
    let ended = with_passed(&[("web", &first)], &["serve", "--listen", "fd:none"]).run();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    support::contains(&ended.stderr, &["passed no socket `none` for --listen", "FileDescriptorName=none"]);
}

/// The system calls that a unit allows, as the systemd that is installed has them in its groups.
fn allowed(analyze: &Path, unit: &str) -> BTreeSet<String> {
    // An allowlist always has these.
    let mut allowed: BTreeSet<String> = members(analyze, "@default").into_iter().collect();
    for names in unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let denied = names.strip_prefix('~');
        let calls = denied.unwrap_or(names).split_whitespace().flat_map(|name| members(analyze, name));
        let calls: BTreeSet<String> = calls.collect();
        match denied {
            Some(_) => allowed.retain(|call| !calls.contains(call)),
            None => allowed.extend(calls),
        }
    }
    allowed
}

/// The system calls of a group, or the one of this name.
fn members(analyze: &Path, name: &str) -> Vec<String> {
    if !name.starts_with('@') {
        return vec![name.to_owned()];
    }
    let output = Command::new(analyze).args(["syscall-filter", name]).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.flat_map(|name| members(analyze, name)).collect()
}

/// How a unit allows a system call that has `MemoryDenyWriteExecute=yes` and `RestrictNamespaces=yes`, too.
fn rules(call: &str) -> Vec<Value> {
    let without = |index: u8, bits: i32| {
        let condition = json!({ "index": index, "type": "dword", "op": { "masked_eq": bits }, "val": 0 });
        json!({ "syscall": call, "args": [condition] })
    };
    let namespaces = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET;
    match call {
        "mmap" => vec![without(2, libc::PROT_WRITE), without(2, libc::PROT_EXEC)],
        "mprotect" | "pkey_mprotect" => vec![without(2, libc::PROT_EXEC)],
        "clone" | "unshare" => vec![without(0, namespaces)],
        "setns" => Vec::new(),
        call => vec![json!({ "syscall": call })],
    }
}

/// A filter that allows these system calls; those of other architectures are left out.
fn filter(mut allowed: BTreeSet<String>) -> BpfProgram {
    loop {
        let rules: Vec<_> = allowed.iter().flat_map(|name| rules(name)).collect();
        let eperm = json!({ "errno": libc::EPERM });
        let filter =
            json!({ "unit": { "mismatch_action": eperm, "match_action": "allow", "filter": rules } });
        let architecture = std::env::consts::ARCH.try_into().unwrap();
        match compile_from_json(filter.to_string().as_bytes(), architecture) {
            Ok(mut programs) => return programs.remove("unit").unwrap(),
            Err(error) => {
                let message = error.to_string();
                let unknown = allowed.iter().find(|name| message.contains(&format!(": {name} "))).cloned();
                let unknown = unknown.unwrap_or_else(|| panic!("{message}"));
                allowed.remove(&unknown);
            }
        }
    }
}

#[test]
fn apps_run_under_the_system_calls_of_the_unit() {
    let Some([analyze]) = installed::all(["systemd-analyze"]) else { return };
    let unit = std::fs::read_to_string(support::workspace().join("docs/deploy/atoll.service")).unwrap();
    let allowed = allowed(&analyze, &unit);
    assert!(allowed.len() > 200 && !allowed.contains("mount"), "{allowed:?}");
    let filter = filter(allowed);
    let app = |name: &str, isolation: &str, sandbox: &str| json!({ "name": name, "path": library("versioned"), "isolation": isolation, "sandbox": sandbox });
    let apps = json!([
        app("thread", "thread", "standard"),
        app("standard", "process", "standard"),
        app("strict", "process", "strict"),
    ]);
    let confined = thread::spawn(move || {
        // Of this thread, and of the processes that it starts, which end with it. They have no capabilities either.
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
            .unwrap();
        apply_filter(&filter).unwrap();
        let host = Launch::serve(apps).args(["--admin", "127.0.0.1:0"]).start();
        for name in ["thread", "standard", "strict"] {
            let reply = host.get(&format!("/apps/{name}/"));
            assert_eq!(reply.status, 200, "{name}: {}", host.log());
        }
        let described = host.again("describe").arg("strict").run();
        assert!(described.status.success(), "{}", described.stderr);
        assert!(!described.stdout.contains("lacks"), "{}", described.stdout);
    });
    confined.join().unwrap();
}
