//! A host of the fleet, with its network and its clients.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::clients::Clients;
use super::link::{Link, Network};
use super::servers::Servers;
use crate::support::{Call, Connection, Host, LIMIT, Launch};

/// What hosts log.
const LOG: &str = "warn,atoll_host::admin::fleet=info,async_nats=off";

/// What a host may take longer to see the fleet for each app that another one reports to it: all of them share this machine.
const EACH: Duration = Duration::from_micros(100);

/// How often it is looked at, which takes time of the machine as well.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Member {
    pub(super) name: String,
    host: Option<Host>,
    links: Vec<Link>,
    clients: Clients,
}

impl Member {
    /// Starts a host that reaches each server by a link, and its clients, who rest.
    pub(super) fn start(
        name: &str,
        servers: &Servers,
        apps: &[Value],
        more: Value,
        clients: usize,
    ) -> Result<Self, String> {
        let links = servers.ports().into_iter().map(Link::to).collect::<Result<Vec<_>, _>>();
        let links = links.map_err(|error| format!("no link to NATS: {error}"))?;
        let nats: Vec<_> = links.iter().map(Link::url).collect();
        let fleet = json!({ "nats": nats, "host": name, "replicas": servers.replicas() });
        let mut config = json!({ "fleet": fleet, "apps": apps });
        if let (Value::Object(config), Value::Object(more)) = (&mut config, more) {
            config.extend(more);
        }
        let host = Launch::serve(config).args(["--admin", "127.0.0.1:0"]).env("RUST_LOG", LOG).start();
        host.wait_for_log(&["joined the fleet default as"]);
        let clients = Clients::start(host.address(), clients);
        Ok(Self { name: name.to_owned(), host: Some(host), links, clients })
    }

    pub(super) fn host(&self) -> &Host {
        self.host.as_ref().expect("it runs, except within `kill` and `restart`")
    }

    pub(super) fn set_network(&self, network: Network) {
        self.links.iter().for_each(|link| link.set(network));
    }

    /// The clients send requests from now on.
    pub(super) fn use_it(&self) {
        self.clients.resume(self.host().address());
    }

    /// Kills the host, and starts it from its disk after `meanwhile`.
    pub(super) fn kill(&mut self, meanwhile: impl FnOnce()) {
        self.clients.rest();
        if let Some(mut host) = self.host.take() {
            host.signal(libc::SIGKILL);
            let ended = host.ended();
            meanwhile();
            self.host = Some(ended.serve_again().env("RUST_LOG", LOG).start());
        }
        self.use_it();
    }

    /// Stops the host in an orderly way, and starts it from its disk.
    pub(super) fn restart(&mut self) {
        self.clients.rest();
        if let Some(host) = self.host.take() {
            self.host = Some(host.stop().serve_again().env("RUST_LOG", LOG).start());
        }
        self.use_it();
    }

    /// What the app answers.
    pub(super) fn answer(&self) -> String {
        let reply = self.host().get("/apps/app/");
        if reply.status == 200 { reply.text() } else { format!("status {}", reply.status) }
    }

    /// What `atoll ls --fleet --format json` prints there.
    pub(super) fn status(&self) -> Option<Value> {
        let ended = self.host().again("ls").args(["--fleet", "--format", "json"]).run();
        ended.status.success().then(|| serde_json::from_str(&ended.stdout).ok()).flatten()
    }

    /// The number of the generation that serves the app.
    pub(super) fn generation(&self) -> Option<u64> {
        let ended = self.host().again("ls").args(["--format", "json"]).run();
        let status: Value = serde_json::from_str(&ended.stdout).ok()?;
        status["apps"][0]["serving"]["number"].as_u64()
    }

    /// Ends the clients and the host: the requests that were sent, and how many failed.
    pub(super) fn stop(mut self) -> (u64, u64) {
        let counts = self.clients.stop();
        if let Some(host) = self.host.take() {
            host.stop();
        }
        counts
    }

    /// Waits until it is connected, and sees so many hosts with so many apps each.
    pub(super) fn wait_for_hosts(&self, count: usize, apps: usize) -> Result<(), String> {
        let limit = LIMIT + EACH * u32::try_from(count * count * apps).unwrap_or(u32::MAX);
        let begun = Instant::now();
        while !self.sees_hosts(count) {
            if begun.elapsed() > limit {
                return Err(format!("{} does not see {count} hosts within {limit:?}", self.name));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Whether it is connected, and sees so many hosts.
    fn sees_hosts(&self, count: usize) -> bool {
        let reply =
            Connection::open(self.host().admin()).and_then(|mut admin| admin.call(&Call::get("/metrics")));
        let hosts = format!("\natoll_fleet_hosts{{fleet=\"default\"}} {count}\n");
        reply.is_ok_and(|reply| {
            let text = reply.text();
            text.contains("\natoll_fleet_connected{fleet=\"default\"} 1\n") && text.contains(&hosts)
        })
    }
}
