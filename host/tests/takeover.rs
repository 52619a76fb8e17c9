//! A host takes over from another one on the same sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod steady;
mod support;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use serde_json::json;
use steady::{Connect, Steady, Stream};
use support::{Host, LIMIT, Launch, atoll, contains, example, library, wait_for, wait_until};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio_tungstenite::tungstenite::{self, Message};

fn apps() -> serde_json::Value {
    json!([
        { "name": "probe", "path": library("probe"), "preload": true },
        { "name": "streams", "path": library("streams") },
    ])
}

/// A command that is to take over from a host, in its folder.
fn successor(host: &Host, arguments: &[&str]) -> Launch {
    host.again("serve").arg("--takeover").args(arguments)
}

/// Takes over from a host.
#[track_caller]
fn take_over(host: &Host, arguments: &[&str]) -> Host {
    let new = successor(host, arguments).start();
    new.wait_for_log(&["took over from process", &host.pid().to_string()]);
    new
}

fn tcp(address: SocketAddr) -> Connect {
    Arc::new(move || {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Box::new(stream) as Box<dyn Stream>)
    })
}

fn unix(path: &Path) -> Connect {
    let path = path.to_owned();
    Arc::new(move || {
        let stream = UnixStream::connect(&path)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Box::new(stream) as Box<dyn Stream>)
    })
}

fn tls(address: SocketAddr, root: CertificateDer<'static>) -> Connect {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    Arc::new(move || {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let client = ClientConnection::new(config.clone(), "localhost".try_into().unwrap()).unwrap();
        Ok(Box::new(StreamOwned::new(client, stream)) as Box<dyn Stream>)
    })
}

/// Opens a WebSocket, and checks that it works.
fn websocket(address: SocketAddr) -> tungstenite::WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    tungstenite::client::client(format!("ws://{address}/apps/streams/ws"), stream).unwrap().0
}

/// The code with which a WebSocket is closed.
fn close_code(mut socket: tungstenite::WebSocket<TcpStream>) -> u16 {
    loop {
        match socket.read().unwrap() {
            Message::Close(Some(frame)) => return frame.code.into(),
            Message::Close(None) => panic!("it is closed without a code"),
            _ => {}
        }
    }
}

#[test]
fn no_request_fails_while_hosts_take_over_from_each_other() {
    const ROUNDS: usize = 3;
    let launch = Launch::serve(apps()).args(["--listen", "unix:http.sock"]);
    let arguments = ["--listen", "127.0.0.1:0", "--listen", "unix:http.sock"];
    let mut host = launch.start();
    let (address, socket) = (host.address(), host.folder().join("http.sock"));
    let inode = fs::metadata(&socket).unwrap().ino();
    let load = Steady::start(&[tcp(address), unix(&socket)]);
    load.wait_for_answers(100);
    let mut old = Vec::new();
    for _ in 0..ROUNDS {
        let sockets: Vec<_> = (0..8).map(|_| websocket(address)).collect();
        let new = take_over(&host, &arguments);
        assert_eq!(new.address(), address);
        host.wait_for_log(&[&format!("process {} has replaced this one", new.pid())]);
        load.wait_for_answers(200);
        // Clients of WebSockets are sent to the new host: the old one closes those that it has.
        let closed: Vec<_> = sockets.into_iter().map(|socket| thread::spawn(|| close_code(socket))).collect();
        old.push((host, closed));
        host = new;
    }
    for (host, closed) in old {
        let codes: Vec<_> = closed.into_iter().map(|code| code.join().unwrap()).collect();
        assert_eq!(codes, [1012; 8]);
        let ended = host.ended();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    }
    load.wait_for_answers(100);
    let answered = load.stop();
    assert!(answered > 500, "{answered}");
    println!("{answered} requests, none failed");
    // The file is the same one all the time, and the last host's to remove.
    assert_eq!(fs::metadata(&socket).unwrap().ino(), inode);
    assert_eq!(host.get("/readyz").status, 200);
    let ended = host.stop();
    assert_eq!(ended.status.code(), Some(0));
    assert!(!socket.exists());
    assert_eq!(ended.temporary_files(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn no_request_fails_over_tls() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let launch = Launch::serve(apps())
        .write("cert.pem", made.cert.pem())
        .write("key.pem", made.signing_key.serialize_pem());
    let arguments = [
        "--tls-cert",
        "cert.pem",
        "--tls-key",
        "key.pem",
        "--redirect-http",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.1:0",
    ];
    let host = launch.args(&arguments[..6]).start();
    let redirecting = wait_for("the host names its sockets", || {
        let shown = host.stdout();
        let (_, shown) = shown.split_once("Listening on ")?;
        let shown =
            shown.lines().next()?.split(", ").find(|shown| shown.ends_with("(redirects to HTTPS)"))?;
        shown.split(' ').next()?.parse::<SocketAddr>().ok()
    });
    let load = Steady::start(&[tls(host.address(), made.cert.der().clone())]);
    load.wait_for_answers(50);
    let new = take_over(&host, &arguments);
    assert_eq!(new.address(), host.address());
    assert_eq!(host.ended().status.code(), Some(0));
    load.wait_for_answers(50);
    load.stop();
    let mut client = TcpStream::connect(redirecting).unwrap();
    client.write_all(b"GET /x HTTP/1.0\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let location = format!("location: https://localhost:{}/x", new.address().port());
    contains(&answer.to_lowercase(), &["308", &location]);
}

#[test]
fn commands_reach_the_new_host_and_its_counts_continue() {
    let host = Launch::serve(apps()).args(["--admin", "127.0.0.1:0"]).start();
    let admin = host.admin();
    for _ in 0..5 {
        assert_eq!(host.get("/apps/probe/get-only").status, 200);
    }
    let new = take_over(&host, &["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(new.admin(), admin);
    assert_eq!(new.get("/apps/probe/get-only").status, 200);
    let ended = host.ended();
    assert_eq!(ended.status.code(), Some(0));
    let status = new.again("doctor").run();
    contains(&status.stdout, &[&format!("process {}", new.pid())]);
    let mut requests = 0;
    wait_until("both hosts' requests are counted", || {
        let usage = new.again("usage").args(["--format", "json"]).run();
        let usage: serde_json::Value = serde_json::from_str(&usage.stdout).unwrap();
        let apps = usage["apps"].as_array().unwrap();
        let now = apps.iter().filter(|entry| entry["app"] == "probe");
        let now: u64 = now.filter_map(|entry| entry["requests"].as_u64()).sum();
        assert!(now >= requests, "totals never go down: {now} after {requests}");
        requests = now;
        now == 6
    });
    // A third host is refused, by the lock that was handed over.
    let refused = new.again("serve").args(["--listen", "127.0.0.1:0"]).run();
    assert_eq!(refused.status.code(), Some(1));
    contains(&refused.stderr, &[&format!("another host (process {}) is serving", new.pid())]);
    assert!(new.stop().status.success());
}

/// An app that starts when there is a file.
fn gated(folder: &Path) -> serde_json::Value {
    json!([
        { "name": "probe", "path": library("probe"), "preload": true },
        {
            "name": "gated", "path": library("lifecycle"), "preload": true, "start_timeout_ms": 600_000,
            "env": { "STARTS_WITH": folder.join("gate") },
        },
    ])
}

/// A host, and one that takes over from it as soon as there is a file named `gate`.
fn taking_over() -> (Host, Host) {
    let launch = Launch::command("serve").args(["--listen", "127.0.0.1:0", "--listen", "unix:http.sock"]);
    let apps = gated(launch.folder()).to_string();
    let host = launch.write("apps.json", apps).write("gate", "").start();
    wait_until("the host is ready", || host.get("/readyz").status == 200);
    fs::remove_file(host.folder().join("gate")).unwrap();
    let new = successor(&host, &["--listen", "127.0.0.1:0", "--listen", "unix:http.sock"]).spawn();
    host.wait_for_log(&[&format!("process {} is taking over", new.pid())]);
    (host, new)
}

#[test]
fn two_hosts_at_once_do_not_take_over() {
    let (host, new) = taking_over();
    let second = successor(&host, &["--listen", "127.0.0.1:0"]).run();
    assert_eq!(second.status.code(), Some(1));
    let words = [
        &*format!("the running host (process {}) refuses the takeover", host.pid()),
        &*format!("process {} is taking over already", new.pid()),
    ];
    contains(&second.stderr, &words);
    fs::write(host.folder().join("gate"), "").unwrap();
    new.wait_for_log(&["took over from process"]);
    assert_eq!(host.ended().status.code(), Some(0));
    assert!(new.stop().status.success());
}

#[test]
fn the_old_host_continues_when_the_new_one_is_killed() {
    let (host, mut new) = taking_over();
    let socket = host.folder().join("http.sock");
    let load = Steady::start(&[tcp(host.address()), unix(&socket)]);
    load.wait_for_answers(50);
    new.signal(libc::SIGKILL);
    new.ended();
    host.wait_for_log(&["WARN", "has given up the takeover: it has ended before it served"]);
    load.wait_for_answers(100);
    // The next one succeeds.
    fs::write(host.folder().join("gate"), "").unwrap();
    let new = take_over(&host, &["--listen", "127.0.0.1:0", "--listen", "unix:http.sock"]);
    assert_eq!(host.ended().status.code(), Some(0));
    load.wait_for_answers(50);
    load.stop();
    assert!(new.stop().status.success());
}

#[test]
fn the_new_host_serves_when_the_old_one_ends_before() {
    for signal in [libc::SIGKILL, libc::SIGTERM] {
        let (mut host, new) = taking_over();
        let (address, socket) = (host.address(), host.folder().join("http.sock"));
        host.signal(signal);
        host.ended();
        // Nobody is turned away: the socket is the new host's already.
        let mut waiting = TcpStream::connect(address).unwrap();
        waiting.set_read_timeout(Some(LIMIT)).unwrap();
        waiting.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
        fs::write(new.folder().join("gate"), "").unwrap();
        let mut answer = String::new();
        waiting.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 OK"), "{answer}");
        new.wait_for_log(&["WARN", "continuing without it"]);
        assert!(UnixStream::connect(&socket).is_ok());
        assert!(new.again("ls").run().status.success());
        let mut new = new;
        new.signal(libc::SIGTERM);
        let ended = new.ended();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert!(!socket.exists());
        // What a host leaves that is killed is removed by the next one that starts.
        let left = ended.temporary_files();
        assert!(signal == libc::SIGKILL || left.is_empty(), "{left:?}");
    }
}

#[test]
fn what_keeps_the_new_host_from_starting_leaves_the_old_one_alone() {
    let host = Launch::serve(json!([{ "name": "probe", "path": "libprobe.so", "preload": true }]))
        .library("probe")
        .start();
    wait_until("the host is ready", || host.get("/readyz").status == 200);
    let load = Steady::start(&[tcp(host.address())]);
    let fails = |arguments: &[&str], words: &[&str]| {
        let failed = successor(&host, arguments).run();
        assert_eq!(failed.status.code(), Some(1), "{}", failed.stderr);
        contains(&failed.stderr, words);
        load.wait_for_answers(50);
    };
    let listen = ["--listen", "127.0.0.1:0"];
    fails(&["--listen", "192.0.2.1:1"], &["cannot listen on 192.0.2.1:1"]);
    fails(
        &[&listen[..], &["--tls-cert", "none", "--tls-key", "none"]].concat(),
        &["cannot read the certificate none"],
    );
    let library = fs::read(host.folder().join("libprobe.so")).unwrap();
    host.replace("libprobe.so", &library[..library.len() / 2]);
    fails(&listen, &["is not replaced, because the app probe did not start: ", "the library is incomplete"]);
    host.replace("libprobe.so", &library);
    let apps = fs::read_to_string(host.folder().join("apps.json")).unwrap();
    host.replace("apps.json", "[{");
    fails(&listen, &["apps.json"]);
    let alone = json!([{ "name": "probe", "path": "libprobe.so", "preload": true, "reload": "stop-first" }]);
    host.replace("apps.json", alone.to_string());
    fails(&listen, &["`\"reload\": \"stop-first\"` of probe does not allow"]);
    host.replace("apps.json", apps);
    load.stop();
    assert!(host.is_running());
    assert!(host.stop().status.success());
}

#[test]
fn addresses_may_change() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let host = Launch::serve(apps()).args(["--listen", "unix:http.sock"]).start();
    let (address, socket) = (host.address(), host.folder().join("http.sock"));
    let inode = fs::metadata(&socket).unwrap().ino();
    let new = take_over(&host, &["--listen", &other.to_string(), "--listen", "unix:http.sock,mode=660"]);
    assert_eq!(new.address(), other);
    assert_eq!(new.get("/apps/probe/get-only").text(), "got");
    let metadata = fs::metadata(&socket).unwrap();
    assert_eq!((metadata.ino(), metadata.permissions().mode() & 0o777), (inode, 0o660));
    assert_eq!(host.ended().status.code(), Some(0));
    // Nobody listens where no host is to listen any more.
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    // A Unix socket that was removed is made again.
    fs::remove_file(&socket).unwrap();
    let newest = take_over(&new, &["--listen", &other.to_string(), "--listen", "unix:http.sock"]);
    assert!(UnixStream::connect(&socket).is_ok());
    assert_eq!(new.ended().status.code(), Some(0));
    assert!(newest.stop().status.success());
}

#[test]
fn without_a_running_host_it_starts_and_one_of_another_kind_is_an_error() {
    let host = Launch::serve("[]").arg("--takeover").start();
    assert_eq!(host.get("/healthz").status, 200);
    assert!(host.stop().status.success());
    let mut ending = Launch::serve("[]").args(["--shutdown-delay", "1h"]).start();
    ending.signal(libc::SIGTERM);
    ending.wait_for_log(&["SIGTERM: not ready"]);
    let refused = successor(&ending, &["--listen", "127.0.0.1:0"]).run();
    contains(&refused.stderr, &["the host of apps.json cannot be replaced: it is shutting down"]);
    let dev = Launch::command("dev").args(["--listen", "127.0.0.1:0"]).write("apps.json", "[]").start();
    wait_until("it answers commands", || dev.again("ls").run().status.success());
    let refused = successor(&dev, &["--listen", "127.0.0.1:0"]).run();
    assert_eq!(refused.status.code(), Some(1));
    contains(
        &refused.stderr,
        &[
            "the host of apps.json cannot be replaced: it is shutting down, or it is `atoll dev`",
            "stop it first",
        ],
    );
}

#[test]
fn the_service_manager_learns_which_process_is_the_main_one() {
    let launch = Launch::serve("[]");
    let path = launch.folder().join("notify.sock");
    let notified = UnixDatagram::bind(&path).unwrap();
    notified.set_read_timeout(Some(LIMIT)).unwrap();
    let next = || {
        let mut words = [0; 128];
        let length = notified.recv(&mut words).unwrap();
        String::from_utf8_lossy(&words[..length]).trim_end().to_owned()
    };
    let host = launch.env("NOTIFY_SOCKET", &path).start();
    assert_eq!(next(), "READY=1");
    let new = successor(&host, &["--listen", "127.0.0.1:0"]).env("NOTIFY_SOCKET", &path).start();
    assert_eq!(next(), format!("MAINPID={}", new.pid()));
    assert_eq!(next(), "READY=1");
    assert_eq!(host.ended().status.code(), Some(0));
    assert!(new.stop().status.success());
    assert_eq!(next(), "STOPPING=1");
}

#[test]
fn sockets_of_a_service_manager_are_inherited_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let script = format!(
        "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec \"$0\" serve 3<&{}",
        listener.as_raw_fd()
    );
    let host = Launch::program("bash").args(["-c", &script]).arg(atoll()).write("apps.json", "[]").start();
    assert_eq!(host.address(), address);
    // By name, and as all that there are.
    let second = take_over(&host, &["--listen", "fd:web"]);
    let third = take_over(&second, &[]);
    for ended in [host.ended(), second.ended()] {
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    }
    assert_eq!((third.address(), third.get("/healthz").status), (address, 200));
    assert!(third.stop().status.success());
    assert!(TcpStream::connect(address).is_ok(), "it is the service manager's");
}

#[test]
fn a_program_with_a_host_takes_over_from_another_one() {
    let launch = Launch::program(example("embedding")).write("apps.json", apps().to_string());
    let host = launch.args(["apps.json", "127.0.0.1:0"]).start();
    wait_until("the host is ready", || host.get("/readyz").status == 200);
    let load = Steady::start(&[tcp(host.address())]);
    let new = host.beside(example("embedding")).args(["apps.json", "127.0.0.1:0"]).start();
    new.wait_for_log(&["took over from process"]);
    assert_eq!(new.address(), host.address());
    assert_eq!(host.ended().status.code(), Some(0));
    load.wait_for_answers(50);
    load.stop();
    assert_eq!(new.get("/").text(), "a page of the program's own\n");
    assert!(new.stop().status.success());
}
