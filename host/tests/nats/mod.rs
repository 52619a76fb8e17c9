//! A NATS server with JetStream, and the hosts of a fleet on it.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::path::{Path, PathBuf};

use atoll_host::config::FleetSettings;
use serde_json::{Value, json};

use super::support::{Ended, Host, Launch, wait_for, wait_until};

/// A NATS server, whose data outlives it.
pub(crate) struct Nats {
    program: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    /// More arguments.
    arguments: Vec<String>,
    server: Option<Host>,
}

impl Nats {
    /// Starts one on a free port.
    pub(crate) fn start(program: &Path) -> Self {
        Self::start_with(program, &[])
    }

    /// Starts one on a free port, with these arguments.
    pub(crate) fn start_with(program: &Path, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut nats = Self { program: program.to_owned(), folder, port: 0, arguments, server: None };
        nats.run("-1");
        nats
    }

    /// One that does not run yet, with the port that it will have.
    pub(crate) fn later(program: &Path) -> Self {
        let mut nats = Self::start(program);
        nats.stop();
        nats
    }

    fn run(&mut self, port: &str) {
        let store = self.folder.path().display().to_string();
        let arguments = ["-a", "127.0.0.1", "-p", port, "-js", "-sd", &store];
        let server = Launch::program(&self.program).args(arguments).args(&self.arguments).spawn();
        let line = server.wait_for_log(&["Listening for client connections on 127.0.0.1:"]);
        server.wait_for_log(&["Server is ready"]);
        self.port = line.rsplit(':').next().unwrap().trim().parse().unwrap();
        self.server = Some(server);
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        let mut server = self.server.take().expect("it runs");
        server.signal(libc::SIGKILL);
        server.ended();
    }

    /// Starts it again, on the same port and with its data.
    pub(crate) fn restart(&mut self) {
        self.run(&self.port.to_string());
    }

    /// Removes its data.
    pub(crate) fn forget(&self) {
        std::fs::remove_dir_all(self.folder.path().join("jetstream")).unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn settings(&self) -> FleetSettings {
        FleetSettings::on(vec![self.url().parse().unwrap()])
    }

    /// `atoll serve` of a host of this name, with more in its `apps.json`.
    pub(crate) fn launch(&self, name: &str, more: Value) -> Launch {
        let fleet = json!({ "nats": [self.url()], "host": name, "labels": { "zone": "z" } });
        let mut config = json!({ "fleet": fleet, "apps": [] });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Launch::serve(config)
    }

    /// A host of this name that has joined.
    pub(crate) fn host(&self, name: &str) -> Host {
        let host = self.launch(name, json!({})).start();
        host.wait_for_log(&["joined the fleet default as", name]);
        host
    }

    /// A command of someone who deploys the app `app`, with this library and these settings.
    pub(crate) fn deployer(&self, command: &str, library: impl AsRef<[u8]>, settings: Value) -> Launch {
        let mut app = json!({ "name": "app", "path": "libapp.so" });
        app.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let config = json!({ "fleet": { "nats": [self.url()] }, "apps": [app] });
        Launch::command(command)
            .write("libapp.so", library)
            .write("apps.json", config.to_string())
            .env("USER", "ann")
    }

    /// `atoll deploy app --fleet` without pauses.
    pub(crate) fn deploy(&self, library: impl AsRef<[u8]>) -> Launch {
        self.deployer("deploy", library, json!({})).args(["app", "--fleet", "--hold", "0"])
    }

    #[track_caller]
    pub(crate) fn deployed(&self, library: impl AsRef<[u8]>) -> Ended {
        let ended = self.deploy(library).run();
        assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
        ended
    }

    /// Waits until a host sees these hosts.
    #[track_caller]
    pub(crate) fn wait_for_hosts(&self, on: &Host, names: &[&str]) {
        wait_until("the hosts see each other", || {
            let status = status(on);
            let hosts = status["hosts"].as_array().unwrap();
            hosts.iter().map(|host| host["name"].as_str().unwrap()).eq(names.iter().copied())
        });
    }
}

/// What `atoll ls --fleet --format json` prints on a host.
#[track_caller]
pub(crate) fn status(on: &Host) -> Value {
    let ended = on.again("ls").args(["--fleet", "--format", "json"]).run();
    assert!(ended.status.success(), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

/// The app `app` in what a host sees of its fleet.
#[track_caller]
pub(crate) fn app(on: &Host) -> Value {
    let status = status(on);
    let apps = status["apps"].as_array().unwrap();
    apps.iter().find(|app| app["name"] == "app").cloned().unwrap_or_default()
}

/// Waits until the app answers with this text.
#[track_caller]
pub(crate) fn wait_for_text(on: &Host, text: &str) {
    let mut last = String::new();
    wait_for(&format!("the app answers {text}"), || {
        let reply = on.get("/apps/app/");
        last = format!("{} {}", reply.status, reply.text());
        (reply.text() == text).then_some(())
    });
}
