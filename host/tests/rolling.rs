//! Two hosts behind nginx and behind HAProxy, with the settings that the book has for them, restarted one after the other or
//! replaced by new ones while clients send requests: none fails.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod installed;
mod proxies;
mod support;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use proxies::{nginx_with, replace, settings, start};
use serde_json::json;
use support::{Call, Connection, Host, Launch, wait_until};

const CLIENTS: usize = 8;

/// How often hosts take over from each other.
const TAKEOVERS: usize = 10;

/// How often hosts are restarted, unless this variable has another number: each time takes the delay of two hosts.
const RESTARTS: usize = 1;
const RESTARTS_VARIABLE: &str = "ATOLL_TEST_RESTARTS";

/// A host whose clients' requests are in its log.
fn host(address: SocketAddr, more: &[&str]) -> Host {
    let apps = json!([{ "name": "probe", "path": support::library("probe") }]);
    let launch = Launch::command("serve").write("apps.json", apps.to_string());
    with_options(launch, address, more).start()
}

fn with_options(launch: Launch, address: SocketAddr, more: &[&str]) -> Launch {
    launch.args(["--access-log", "--shutdown-delay", "3s", "--listen", &address.to_string()]).args(more)
}

/// The ways in which a host is replaced by another one.
type Replace<'a> = &'a dyn Fn(Host, SocketAddr, &[&str], &dyn Fn()) -> (Host, Option<Host>);

/// Stops a host, and starts another one.
fn restart(
    mut old: Host,
    address: SocketAddr,
    more: &[&str],
    wait_for_answers: &dyn Fn(),
) -> (Host, Option<Host>) {
    old.signal(libc::SIGTERM);
    wait_until("it has ended", || !old.is_running());
    wait_for_answers();
    (host(address, more), None)
}

/// Has another host take over, while the old one finishes what it has.
fn take_over(old: Host, address: SocketAddr, more: &[&str], _: &dyn Fn()) -> (Host, Option<Host>) {
    let new = with_options(old.again("serve").arg("--takeover"), address, more).start();
    new.wait_for_log(&["took over from process"]);
    (new, Some(old))
}

fn restarts() -> usize {
    let wanted = std::env::var(RESTARTS_VARIABLE).ok();
    wanted.map_or(RESTARTS, |wanted| wanted.parse().expect("it is a number"))
}

fn is_used(host: &Host) -> bool {
    !host.log_lines(&["/apps/probe/"]).is_empty()
}

/// An address that stays free between two hosts.
fn address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Sends requests until it is stopped, and counts them. Anything but the right answer is a failure.
fn send(address: SocketAddr, number: usize, stopping: &AtomicBool, answered: &AtomicUsize) {
    let body = "x".repeat(1000);
    let get = Call::get("/apps/probe/get-only");
    let post = Call::post("/apps/probe/echo", body.clone());
    // Each third client sends bodies, which no proxy sends twice.
    let (call, expected) = if number % 3 == 2 { (post, &*body) } else { (get, "got") };
    let mut connection = None::<Connection>;
    while !stopping.load(Ordering::Relaxed) {
        let open = connection.get_or_insert_with(|| Connection::open(address).unwrap());
        let request = answered.load(Ordering::Relaxed);
        let reply = open.call(&call).unwrap_or_else(|error| panic!("{error} at about request {request}"));
        assert_eq!((reply.status, &*reply.text()), (200, expected), "at about request {request}");
        answered.fetch_add(1, Ordering::Relaxed);
        if reply.header("connection").as_deref() == Some("close") {
            connection = None;
        }
        // Constant, and not all that the machine can bear: other tests run beside this one.
        thread::sleep(Duration::from_millis(2));
    }
}

/// Replaces both hosts behind a proxy, so many times.
fn replace_behind(
    addresses: [SocketAddr; 2],
    more: &[&str],
    proxy: impl Fn(SocketAddr) -> Launch,
    (rounds, replace): (usize, Replace<'_>),
) {
    let mut hosts = addresses.map(|address| Some(host(address, more)));
    let (_proxy, address) = start(proxy);
    let (stopping, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        // The clients end also when this fails.
        let _stop = Stop(&stopping);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (stopping, answered) = (&stopping, &answered);
                scope.spawn(move || send(address, number, stopping, answered))
            })
            .collect();
        let wait_for_answers = || {
            let before = answered.load(Ordering::Relaxed);
            wait_until("requests are answered", || {
                let ended = clients.iter().any(|client| client.is_finished());
                ended || answered.load(Ordering::Relaxed) > before + 200
            });
        };
        wait_until("both hosts get requests", || hosts.iter().flatten().all(is_used));
        let mut finishing = Vec::new();
        for _ in 0..rounds {
            for (host, address) in hosts.iter_mut().zip(addresses) {
                wait_for_answers();
                let Some(old) = host.take() else { continue };
                let (new, old) = replace(old, address, more, &wait_for_answers);
                finishing.extend(old);
                wait_until("the new one gets requests", || is_used(&new));
                *host = Some(new);
            }
        }
        wait_for_answers();
        stopping.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("no request fails");
        }
        for host in finishing {
            let ended = host.ended();
            assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        }
    });
    let count = answered.load(Ordering::Relaxed);
    assert!(count > 1000, "{count} requests");
    println!("{count} requests, none failed");
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The settings with the addresses of the hosts.
fn with_hosts(settings: &str, [one, two]: [SocketAddr; 2]) -> String {
    let settings = replace(settings, "127.0.0.1:3001", &one.to_string());
    replace(&settings, "127.0.0.1:3002", &two.to_string())
}

fn haproxy(program: &Path, hosts: [SocketAddr; 2], listen: SocketAddr, protocol: &str) -> Launch {
    let settings = with_hosts(&settings("load-balancers.md", "HAProxy"), hosts);
    let settings = settings.replace("default-server", &format!("default-server {protocol}"));
    let frontend = format!("frontend clients\n    bind {listen}\n    default_backend atoll\n");
    let launch = Launch::program(program).write("haproxy.cfg", format!("{settings}\n{frontend}"));
    let file = launch.folder().join("haproxy.cfg");
    launch.args(["-db", "-f"]).arg(file)
}

fn behind_nginx(how: (usize, Replace<'_>)) {
    let Some([program]) = installed::all(["nginx"]) else { return };
    let hosts = [address(), address()];
    let site = settings("proxy.md", "nginx");
    let (_, server) = site.split_once("\nserver {").unwrap();
    let (map, _) = site.split_once("upstream atoll {").unwrap();
    let upstream = with_hosts(&settings("load-balancers.md", "Two hosts behind nginx"), hosts);
    let site = format!("{map}{upstream}\nserver {{{server}");
    let proxy = |listen| nginx_with(&program, &site, "apps", listen);
    replace_behind(hosts, &["--trusted-proxy", "127.0.0.1"], proxy, how);
}

fn behind_haproxy(how: (usize, Replace<'_>)) {
    let Some([program]) = installed::all(["haproxy"]) else { return };
    let hosts = [address(), address()];
    let options = ["--trusted-proxy", "127.0.0.1", "--keep-alive", "10m"];
    replace_behind(hosts, &options, |listen| haproxy(&program, hosts, listen, ""), how);
}

#[test]
fn no_request_fails_behind_nginx() {
    behind_nginx((restarts(), &restart));
}

#[test]
fn no_request_fails_behind_nginx_with_takeovers() {
    behind_nginx((TAKEOVERS, &take_over));
}

#[test]
fn no_request_fails_behind_haproxy() {
    behind_haproxy((restarts(), &restart));
}

#[test]
fn no_request_fails_behind_haproxy_with_takeovers() {
    behind_haproxy((TAKEOVERS, &take_over));
}

#[test]
fn haproxy_names_its_clients_by_the_proxy_protocol() {
    let Some([program]) = installed::all(["haproxy"]) else { return };
    let hosts = [address(), address()];
    let running = hosts.map(|address| host(address, &["--proxy-protocol", "127.0.0.1"]));
    let (_proxy, address) = start(|listen| haproxy(&program, hosts, listen, "send-proxy-v2"));
    wait_until("HAProxy sees a host", || {
        Connection::open(address)
            .and_then(|mut proxy| proxy.call(&Call::get("/apps/probe/get-only")))
            .is_ok_and(|reply| reply.status == 200)
    });
    let mut client = Connection::open_from([127, 0, 0, 9].into(), address).unwrap();
    let port = client.local_address().port();
    let seen = client.call(&Call::get("/apps/probe/seen/x")).unwrap().json();
    assert_eq!(seen["peer"], format!("127.0.0.9:{port}"), "{seen}");
    assert!(running.iter().all(|host| host.log_lines(&["WARN", "--proxy-protocol"]).is_empty()));
}
