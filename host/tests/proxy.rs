//! The host behind nginx and behind Caddy, with the settings that the book has for them.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod installed;
mod proxies;
mod support;

use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use proxies::{nginx_with, replace, settings, start};
use serde_json::{Value, json};
use support::{Call, Connection, Host, Launch};
use tokio_tungstenite::tungstenite::{self, Message};

fn nginx(program: &Path, host: SocketAddr, listen: SocketAddr) -> Launch {
    let site = replace(&settings("proxy.md", "nginx"), "127.0.0.1:3000", &host.to_string());
    nginx_with(program, &site, "apps", listen)
}

fn nginx_of_the_dashboard(program: &Path, host: SocketAddr, listen: SocketAddr) -> Launch {
    let site = replace(&settings("proxy.md", "The dashboard"), "127.0.0.1:3001", &host.to_string());
    let site = replace(&site, "/etc/nginx", "/etc/ssl");
    nginx_with(program, &site, "admin", listen).write("atoll.htpasswd", "operator:{PLAIN}password\n")
}

fn caddy(program: &Path, host: SocketAddr, listen: SocketAddr) -> Launch {
    let site = replace(&settings("proxy.md", "Caddy"), "127.0.0.1:3000", &host.to_string());
    let any_name = format!("http://:{} {{\nbind 127.0.0.1", listen.port());
    let site = replace(&site, "apps.example.com {", &any_name);
    let all = format!("{{\nadmin off\nauto_https off\n}}\n{site}");
    let launch = Launch::program(program).write("Caddyfile", all);
    let folder = launch.folder().to_owned();
    launch
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(folder.join("Caddyfile"))
        .env("XDG_DATA_HOME", folder.join("data"))
        .env("XDG_CONFIG_HOME", folder.join("config"))
}

fn behind(name: &str, launch: fn(&Path, SocketAddr, SocketAddr) -> Launch) {
    let Some([program]) = installed::all([name]) else { return };
    let apps = ["probe", "streams"].map(|name| json!({ "name": name, "path": support::library(name) }));
    let host = Host::start(json!(apps), &["--trusted-proxy", "127.0.0.1"]);
    let (_proxy, address) = start(|listen| launch(&program, host.address(), listen));
    apps_are_told_who_asks(address);
    answers_are_passed_on(address);
    events_come_one_by_one(address);
    bodies_without_a_length_arrive(address);
    websockets_are_opened(address);
}

fn ask(address: SocketAddr, call: &Call) -> support::Reply {
    Connection::open(address).unwrap().call(call).unwrap()
}

fn apps_are_told_who_asks(address: SocketAddr) {
    let lies = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-prefix", "/evil"),
    ];
    let call = Call::get("/apps/probe/seen/a%20b?c=d");
    let call = lies.iter().fold(call, |call, (name, value)| call.header(name, value));
    let reply = ask(address, &call);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let seen = reply.json();
    assert_eq!(seen["prefix"], "/apps/probe");
    assert_eq!((&seen["path"], &seen["query"]), (&json!("/seen/a%20b"), &json!("c=d")));
    assert!(seen["peer"].as_str().unwrap().starts_with("127.0.0.1"), "{seen}");
    let headers = seen["headers"].as_array().unwrap();
    let header = |wanted: &str| -> Vec<&Value> {
        headers.iter().filter(|header| header[0] == wanted).map(|header| &header[1]).collect()
    };
    assert!(header("host").iter().all(|value| value.as_str().unwrap().starts_with("localhost")));
    for (name, lie) in lies {
        for value in header(name) {
            assert!(!value.as_str().unwrap().contains(lie), "{name} is believed: {seen}");
        }
    }
    assert_eq!(header("x-forwarded-proto"), ["http"]);
}

fn answers_are_passed_on(address: SocketAddr) {
    let mut connection = Connection::open(address).unwrap();
    for _ in 0..200 {
        let reply = connection.call(&Call::get("/apps/probe/get-only")).unwrap();
        assert_eq!((reply.status, reply.text()), (200, "got".to_owned()));
    }
    ask(address, &Call::get("/apps/none/")).problem(404, "unknown-app");
    let mut cookies = ask(address, &Call::get("/apps/probe/headers"));
    cookies.headers.retain(|(name, _)| name == "set-cookie");
    assert_eq!(cookies.headers.len(), 2);
}

fn events_come_one_by_one(address: SocketAddr) {
    let mut events = Connection::open(address).unwrap();
    events.send(&Call::get("/apps/streams/events")).unwrap();
    assert_eq!(events.head().unwrap().status, 200);
    for text in ["one", "two"] {
        assert_eq!(ask(address, &Call::post("/apps/streams/tell", text)).text(), "1");
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains(&format!("data: {text}\n\n")) {
            heard.extend(events.chunk().unwrap().expect("the events go on"));
        }
    }
}

fn bodies_without_a_length_arrive(address: SocketAddr) {
    let body: Vec<u8> = (0..3_u32 << 20).map(|n| (n % 251) as u8).collect();
    let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
    let reply = ask(address, &Call::post("/apps/streams/count", body.clone()).chunked(10_000));
    assert_eq!(reply.text(), format!("{} {sum}", body.len()));
    assert!(ask(address, &Call::post("/apps/probe/echo", body.clone())).body == body);
}

fn websockets_are_opened(address: SocketAddr) {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(support::LIMIT)).unwrap();
    let (mut socket, _) =
        tungstenite::client::client(format!("ws://{address}/apps/streams/ws"), stream).unwrap();
    for text in ["hello", &"x".repeat(100_000)] {
        socket.send(Message::text(text)).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text(text));
    }
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
}

#[test]
fn behind_nginx() {
    behind("nginx", nginx);
}

#[test]
fn behind_caddy() {
    behind("caddy", caddy);
}

#[test]
fn the_dashboard_changes_things_behind_nginx_on_another_name() {
    let Some([program]) = installed::all(["nginx"]) else { return };
    let launch = Launch::serve(json!([{ "name": "probe", "path": support::library("probe") }]));
    let host = launch
        .write("token", "the-token")
        .args(["--admin", "127.0.0.1:0", "--admin-token-file", "token"])
        .args(["--admin-origin", "https://admin.example.com"])
        .start();
    let admin = host.admin();
    let (_proxy, address) = start(|listen| nginx_of_the_dashboard(&program, admin, listen));
    // `operator:password`, as the browser sends it once it has asked for it.
    let of_page = |method: &str, path: &str, headers: &[(&str, &str)]| {
        let all = [("host", "admin.example.com"), ("authorization", "Basic b3BlcmF0b3I6cGFzc3dvcmQ=")];
        let lines: String =
            all.iter().chain(headers).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut connection = Connection::open(address).unwrap();
        connection
            .write(format!("{method} {path} HTTP/1.1\r\n{lines}content-length: 0\r\n\r\n").as_bytes())
            .unwrap();
        connection.receive(method).unwrap()
    };
    assert_eq!(ask(address, &Call::get("/")).status, 401, "the proxy asks for the password");
    let page = of_page("GET", "/", &[]);
    assert!(page.status == 200 && page.text().contains("<html"), "{}", page.text());
    let (start, token) = ("/api/v1/apps/probe/start", ("x-atoll-token", "the-token"));
    let (origin, site) = (("origin", "https://admin.example.com"), ("sec-fetch-site", "same-origin"));
    of_page("GET", "/api/v1/status", &[site]).problem(401, "unauthorized");
    assert_eq!(of_page("GET", "/api/v1/status", &[site, token]).json()["apps"][0]["phase"], "cold");

    of_page("POST", start, &[origin, site]).problem(401, "unauthorized");
    of_page("POST", start, &[("origin", "https://evil.example"), token]).problem(403, "forbidden");
    of_page("POST", start, &[origin, ("sec-fetch-site", "cross-site"), token]).problem(403, "forbidden");
    assert_eq!(of_page("POST", start, &[origin, site, token]).json()["generation"], 1);
    // On the machine itself it goes on as before.
    let local = Call::post(start, "").header("authorization", "Bearer the-token");
    assert_eq!(ask(admin, &local).status, 200);
    let mut rebound = Connection::open(admin).unwrap();
    rebound.write(b"GET /api/v1/status HTTP/1.1\r\nhost: evil.example\r\n\r\n").unwrap();
    rebound.receive("GET").unwrap().problem(403, "forbidden");
}
