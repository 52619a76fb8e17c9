//! A host that takes pushes, and the commands of its operator and of those who push.

use std::fs;
use std::net::SocketAddr;

use atoll_host::config::Config;
use serde_json::{Value, json};

use super::client::{Call, Connection, Reply};
use super::host::{Ended, Host, Launch};

/// A host that takes pushes.
#[derive(Debug)]
pub struct Server {
    pub host: Host,
    pub admin: SocketAddr,
}

/// The admin token of each.
pub const ADMIN_TOKEN: &str = "the-admin-token";

impl Server {
    pub fn start() -> Self {
        Self::of(Launch::serve("[]"))
    }

    pub fn of(launch: Launch) -> Self {
        let launch = launch.write("admin.token", ADMIN_TOKEN);
        let host = launch.args(["--admin", "127.0.0.1:0", "--admin-token-file", "admin.token"]).start();
        let admin = host.admin();
        Self { host, admin }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// A command of the operator on the host's machine.
    pub fn run(&self, command: &str, arguments: &[&str]) -> Ended {
        self.host.again(command).args(arguments).run()
    }

    /// A new token.
    pub fn token(&self, name: &str, arguments: &[&str]) -> String {
        let created = self.run("token", &[&["create", name], arguments].concat());
        assert!(created.status.success(), "{}", created.stderr);
        let secret = created.stdout.trim().to_owned();
        assert!(secret.starts_with("atoll_") && !created.stderr.contains(&secret), "{}", created.stderr);
        secret
    }

    /// `atoll COMMAND --to` this server, from another machine.
    pub fn remote(&self, command: &str, token: &str) -> Launch {
        Launch::command(command).args(["--to", &self.url()]).env("ATOLL_TOKEN", token)
    }

    /// `atoll push` of the app `app` with this library and these settings.
    pub fn push(&self, settings: Value, library: impl AsRef<[u8]>) -> Launch {
        let mut app = json!({ "name": "app", "path": "libapp.so" });
        app.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        self.remote("push", ADMIN_TOKEN)
            .write("libapp.so", library)
            .write("apps.json", json!([app]).to_string())
    }

    pub fn pushed(&self, settings: Value, library: impl AsRef<[u8]>) -> String {
        let ended = self.push(settings, library).run();
        assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
        ended.stdout
    }

    pub fn ask(&self, call: Call) -> Reply {
        let call = call.header("authorization", format!("Bearer {ADMIN_TOKEN}"));
        Connection::open(self.admin).unwrap().call(&call).unwrap()
    }

    pub fn versions(&self) -> Vec<Value> {
        let reply = self.ask(Call::get("/api/v1/apps/app/versions"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json().as_array().unwrap().clone()
    }

    /// The states of the versions, the newest first.
    pub fn states(&self) -> Vec<String> {
        self.versions().iter().map(|version| version["state"].as_str().unwrap().to_owned()).collect()
    }

    pub fn text(&self) -> String {
        self.host.get("/apps/app/").text()
    }

    /// The entry of the app in the folder.
    pub fn entry(&self) -> Option<Value> {
        let text = fs::read_to_string(self.host.path("apps.json")).unwrap();
        Config::entry(&text, "app").map(Value::Object)
    }

    pub fn library(&self) -> Option<Vec<u8>> {
        fs::read(self.host.path("app.so")).ok()
    }

    pub fn put(&self, app: &str, hash: &str, offset: usize, size: usize, body: &[u8]) -> Reply {
        let target = format!("/api/v1/apps/{app}/files/{hash}?offset={offset}&size={size}");
        self.ask(Call::new("PUT", &target).body(body))
    }
}
