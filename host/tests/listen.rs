//! Where a host listens: several addresses, names, Unix sockets, and connections that a proxy passes on.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};
use support::{Call, Connection, Host, LIMIT, Launch, contains, wait_for, wait_until};

fn launch(arguments: &[&str]) -> Launch {
    let apps = json!([{ "name": "probe", "path": support::library("probe") }]);
    Launch::command("serve").args(arguments).write("apps.json", apps.to_string())
}

/// The addresses in the line that names all of them.
fn listening(host: &Host) -> Vec<String> {
    wait_for("the host names its addresses", || {
        let output = host.stdout();
        let line = output.lines().find_map(|line| line.strip_prefix("Listening on "))?.to_owned();
        Some(line.split(", ").map(str::to_owned).collect())
    })
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn get(address: impl Into<SocketAddr>) -> u16 {
    Connection::open(address.into()).unwrap().call(&Call::get("/healthz")).unwrap().status
}

/// Sends a request on a stream that ends with its answer, and returns the answer's head and body.
fn ask(stream: &mut (impl Read + Write), path: &str, headers: &str) -> (String, String) {
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: a\r\n{headers}\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// The values of a header that an app has seen.
fn seen(body: &str, name: &str) -> Vec<String> {
    let seen: Value = serde_json::from_str(body).unwrap();
    let headers = seen["headers"].as_array().unwrap();
    let values = headers.iter().filter(|header| header[0] == name);
    values.map(|header| header[1].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_host_listens_on_all_addresses() {
    let host = launch(&["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"]).start();
    let addresses = listening(&host);
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    for address in &addresses {
        assert_eq!(get(address.parse::<SocketAddr>().unwrap()), 200);
    }
    assert!(host.stop().status.success());
}

#[test]
fn a_name_is_all_of_its_addresses() {
    let host = launch(&["--listen", "localhost:0"]).start();
    let port = host.address().port();
    assert_eq!(get(([127, 0, 0, 1], port)), 200);
    // Where the machine has IPv6 and the name stands for it, too.
    if host.stdout().contains("[::1]") {
        assert_eq!(get(([0, 0, 0, 0, 0, 0, 0, 1], port)), 200);
    }
}

#[test]
fn a_port_alone_is_on_all_interfaces() {
    let is_there = |launch: Launch, port: u16| {
        let host = launch.spawn();
        wait_until("the host serves", || host.stdout().contains("Serving "));
        assert_eq!(get(([127, 0, 0, 1], port)), 200);
        assert_eq!(get(([127, 0, 0, 2], port)), 200);
        assert!(host.stop().status.success());
    };
    for form in ["", ":"] {
        let port = free_port();
        is_there(launch(&["--listen", &format!("{form}{port}")]), port);
    }
    let port = free_port();
    is_there(launch(&[]).env("PORT", port.to_string()), port);
    let ended = launch(&[]).env("PORT", "http").run();
    assert!(!ended.status.success());
    contains(&ended.stderr, &["the variable PORT is not a port: expected a number from 1 to 65535"]);
    // An option comes before it.
    let host = launch(&["--listen", "127.0.0.1:0"]).env("PORT", "1").start();
    assert_eq!(get(host.address()), 200);
}

#[test]
fn what_is_no_address_is_an_error_with_examples() {
    for address in ["localhost:http", "unix:", "fd:"] {
        let ended = launch(&["--listen", address]).run();
        assert_eq!(ended.status.code(), Some(2));
        contains(&ended.stderr, &["expected an address such as 127.0.0.1:3000", "unix:/run/atoll.sock"]);
    }
    let ended = launch(&["--listen", "no-such-name.invalid:0"]).run();
    assert_eq!(ended.status.code(), Some(1));
    contains(&ended.stderr, &["cannot listen on no-such-name.invalid:0"]);
}

#[test]
fn a_unix_socket_is_served_with_its_permissions() {
    let host = launch(&["--listen", "unix:http.sock,mode=640", "--listen", "127.0.0.1:0"]).start();
    let path = host.folder().join("http.sock");
    let metadata = std::fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    let (head, body) = ask(&mut unix(&path), "/apps/probe/seen/x", "x-forwarded-for: 1.2.3.4\r\n");
    assert!(head.contains(" 200 OK"), "{head}");
    assert_eq!(seen(&body, "x-forwarded-for"), [""; 0], "its client is not trusted");
    // Another host does not take its place.
    let second = Launch::command("serve")
        .args(["--config", "other.json", "--listen", &format!("unix:{}", path.display())])
        .write("other.json", "[]");
    let ended = second.run();
    assert_eq!(ended.status.code(), Some(1));
    contains(&ended.stderr, &["another process does", "--listen"]);
    assert_eq!(get(host.address()), 200);
    assert!(host.stop().status.success());
    assert!(!path.exists());
}

#[test]
fn clients_of_a_unix_socket_are_trusted_by_name() {
    let host = launch(&["--listen", "unix:http.sock", "--listen", "127.0.0.1:0", "--trusted-proxy", "unix"]);
    let host = host.start();
    let headers = "x-forwarded-for: 1.2.3.4\r\nx-forwarded-proto: https\r\n";
    let (_, body) = ask(&mut unix(&host.folder().join("http.sock")), "/apps/probe/seen/x", headers);
    assert_eq!(seen(&body, "x-forwarded-for"), ["1.2.3.4"]);
    assert_eq!(seen(&body, "x-forwarded-proto"), ["https"]);
    let (_, body) = ask(&mut TcpStream::connect(host.address()).unwrap(), "/apps/probe/seen/x", headers);
    assert_eq!(seen(&body, "x-forwarded-for"), ["127.0.0.1"], "those of TCP are not");
}

#[test]
fn a_unix_socket_alone_is_enough() {
    let host = launch(&["--listen", "unix:http.sock"]).spawn();
    wait_until("the host serves", || host.stdout().contains("unix:http.sock/apps/probe/"));
    let path = host.folder().join("http.sock");
    let (head, _) = ask(&mut unix(&path), "/apps/probe/seen/x", "");
    assert!(head.contains(" 200 OK"), "{head}");
    // A file that is no socket stays.
    assert!(host.stop().status.success());
    let ended = launch(&["--listen", "unix:apps.json"]).run();
    contains(&ended.stderr, &["cannot listen on apps.json", "exists and is no socket"]);
}

#[test]
fn a_proxy_names_its_clients_by_the_proxy_protocol() {
    let host =
        launch(&["--listen", "127.0.0.1:0", "--proxy-protocol", "127.0.0.1", "--header-timeout", "1s"]);
    let host = host.start();
    let v2 = [
        &b"\r\n\r\n\0\r\nQUIT\n"[..],
        &[0x21, 0x11, 0, 12],
        &[203, 0, 113, 7, 127, 0, 0, 1, 0x12, 0x34, 0, 80],
    ]
    .concat();
    for header in [&b"PROXY TCP4 203.0.113.7 127.0.0.1 4660 80\r\n"[..], &v2] {
        let mut stream = TcpStream::connect(host.address()).unwrap();
        stream.write_all(header).unwrap();
        let (head, body) = ask(&mut stream, "/apps/probe/seen/x", "");
        assert!(head.contains(" 200 OK"), "{head}");
        assert_eq!(seen(&body, "x-forwarded-for"), ["203.0.113.7"]);
        let all: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(all["peer"], "203.0.113.7:4660");
    }
    // A health check of the proxy itself.
    let mut stream = TcpStream::connect(host.address()).unwrap();
    stream.write_all(b"PROXY UNKNOWN\r\n").unwrap();
    let (_, body) = ask(&mut stream, "/apps/probe/seen/x", "");
    assert_eq!(seen(&body, "x-forwarded-for"), ["127.0.0.1"]);
    // Without a header it is closed, and so is one whose header does not come.
    for bytes in [&b"GET /healthz HTTP/1.0\r\nhost: a\r\n\r\n"[..], b"PROXY TCP4"] {
        let mut stream = TcpStream::connect(host.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // The connection may be reset, as what was sent is not read.
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"");
    }
    host.wait_for_log(&["WARN", "closed a connection of 127.0.0.1, which --proxy-protocol names"]);
    // Others cannot claim to be anyone.
    let mut other = Connection::open_from([127, 0, 0, 2].into(), host.address()).unwrap();
    other.write(b"PROXY TCP4 203.0.113.7 127.0.0.1 4660 80\r\n\r\n").unwrap();
    assert_eq!(other.receive("GET").unwrap().status, 400);
    let mut other = Connection::open_from([127, 0, 0, 2].into(), host.address()).unwrap();
    let reply = other.call(&Call::get("/apps/probe/seen/x")).unwrap();
    assert_eq!(seen(&reply.text(), "x-forwarded-for"), ["127.0.0.2"]);
}

#[test]
fn a_free_port_is_found_for_each_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let host =
        launch(&["--find-free-port", "--listen", &address.to_string(), "--listen", "127.0.0.2:0"]).start();
    let addresses = listening(&host);
    let found: SocketAddr = addresses[0].parse().unwrap();
    assert!(found.ip() == address.ip() && found.port() > address.port(), "{addresses:?}");
    assert_eq!(get(found), 200);
}
