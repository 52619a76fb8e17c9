//! The peers: what they are called, and how each is started.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use clap::ValueEnum;
use serde_json::json;

use crate::tools::Tools;

/// A server that is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Peer {
    Bare,
    Atoll,
    AtollProcess,
    Multiplexed,
    Pooled,
    Node,
    Deno,
    Bun,
    Workerd,
    Wasmtime,
    Extism,
}

/// What a peer needs to be there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Need {
    /// Atoll's command and the library of the app `hello`.
    Atoll,
    /// The servers in Rust whose apps are native code.
    Servers,
    /// The servers in Rust whose apps are WebAssembly.
    Wasm,
    /// The command `node`.
    Node,
    /// A package of npm's.
    Package(&'static str),
}

impl Peer {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 11] = [
        Self::Bare,
        Self::Atoll,
        Self::AtollProcess,
        Self::Multiplexed,
        Self::Pooled,
        Self::Node,
        Self::Deno,
        Self::Bun,
        Self::Workerd,
        Self::Wasmtime,
        Self::Extism,
    ];

    /// What the others are compared with.
    pub(crate) const BASE: Self = Self::Bare;

    /// What it is called in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare actix-web",
            Self::Atoll => "Atoll",
            Self::AtollProcess => "Atoll, app in a process",
            Self::Multiplexed => "process, multiplexed",
            Self::Pooled => "process, pooled HTTP",
            Self::Node => "node, Worker",
            Self::Deno => "Deno, Worker",
            Self::Bun => "Bun, Worker",
            Self::Workerd => "workerd",
            Self::Wasmtime => "wasmtime",
            Self::Extism => "Extism",
        }
    }

    pub(crate) fn need(self) -> Need {
        match self {
            Self::Atoll | Self::AtollProcess => Need::Atoll,
            Self::Node => Need::Node,
            Self::Deno => Need::Package("deno"),
            Self::Bun => Need::Package("bun"),
            Self::Workerd => Need::Package("workerd"),
            Self::Bare | Self::Multiplexed | Self::Pooled => Need::Servers,
            Self::Wasmtime | Self::Extism => Need::Wasm,
        }
    }

    /// The way of a request through it.
    pub(crate) fn way(self) -> &'static str {
        match self {
            Self::Bare => "a handler in the server",
            Self::Atoll => "the server, a port, a native library on a separate thread",
            Self::AtollProcess => {
                "the server, a port in shared memory, a native library in a sandboxed process"
            }
            Self::Multiplexed => {
                "actix-web, frames of many requests over one Unix socket per front thread, a native process with one thread"
            }
            Self::Pooled => {
                "actix-web, HTTP/1.1 over pooled Unix sockets (hyper), a native process: actix-web with one thread"
            }
            Self::Node => "`node:http`, `postMessage`, a Worker of `worker_threads`, and back",
            Self::Deno => "`Deno.serve`, `postMessage`, a Worker, and back",
            Self::Bun => "`Bun.serve`, `postMessage`, a Worker, and back",
            Self::Workerd => "a `fetch` handler; no second isolate, no `postMessage`",
            Self::Wasmtime => {
                "actix-web, a new instance for each request on the same thread: pooling allocator, `InstancePre`, compiled ahead of time"
            }
            Self::Extism => "actix-web, a plugin that is reused, one per server thread, on the same thread",
        }
    }

    /// The threads that it has by itself on a machine with so many cores, as far as requests pass through them.
    pub(crate) fn threads(self, cores: usize) -> String {
        match self {
            Self::Bare | Self::Wasmtime | Self::Extism => format!("{cores} of the server"),
            Self::Atoll | Self::AtollProcess => format!("{cores} of the server, 1 of the app"),
            Self::Multiplexed | Self::Pooled => format!("{cores} of the front, 1 of the app"),
            Self::Node | Self::Deno | Self::Bun => "1 of the server, 1 of the app".to_owned(),
            Self::Workerd => "1".to_owned(),
        }
    }

    /// Whether it starts an app at the app's first request.
    pub(crate) fn starts_apps(self) -> bool {
        !matches!(self, Self::Bare | Self::Workerd)
    }

    /// What its first request to an app does.
    pub(crate) fn start(self) -> &'static str {
        match self {
            Self::Bare | Self::Workerd => "",
            Self::Atoll => "checks, copies and opens the library, starts the thread",
            Self::AtollProcess => {
                "checks and copies the library, has a process that waits open it in its sandbox"
            }
            Self::Multiplexed | Self::Pooled => "starts the process",
            Self::Node | Self::Deno | Self::Bun => "starts the Worker, compiles the script",
            Self::Wasmtime => "maps the module, which is compiled already",
            Self::Extism => "compiles the module, makes the plugin",
        }
    }

    /// The command that serves at this address; `folder` is this peer's own.
    pub(crate) fn command(
        self,
        tools: &Tools,
        address: SocketAddr,
        folder: &Path,
        cold: u32,
    ) -> anyhow::Result<Command> {
        let mut command = Command::new(tools.program(self)?);
        let port = address.port().to_string();
        match self {
            Self::Atoll | Self::AtollProcess => {
                let config = folder.join("apps.json");
                let names = std::iter::once("hello".to_owned()).chain((0..cold).map(cold_name));
                let apps: Vec<_> =
                    names.map(|name| json!({ "name": name, "path": tools.library() })).collect();
                let isolation = if self == Self::Atoll { "thread" } else { "process" };
                let registry = json!({ "defaults": { "isolation": isolation }, "apps": apps });
                serde_json::to_writer(File::create(&config).context("no registry for Atoll")?, &registry)?;
                command.args(["serve", "--listen", &address.to_string(), "--config"]).arg(config);
            }
            Self::Node => _ = command.env("NODE_ENV", "production").arg(tools.script("node.mjs")).arg(port),
            Self::Deno => {
                command.env("DENO_DIR", folder).env("DENO_NO_UPDATE_CHECK", "1");
                command.args(["run", "--quiet", "--no-config", "--allow-net", "--allow-read"]);
                command.arg(tools.script("deno.mjs")).arg(port);
            }
            Self::Bun => {
                command.env("NODE_ENV", "production").env("DO_NOT_TRACK", "1");
                command.arg("run").arg(tools.script("bun.mjs")).arg(port);
            }
            Self::Workerd => {
                command.arg("serve").arg(tools.script("workerd.capnp"));
                command.arg(format!("--socket-addr=http={address}"));
            }
            Self::Bare | Self::Multiplexed | Self::Pooled | Self::Wasmtime | Self::Extism => {
                command.arg(address.to_string());
            }
        }
        Ok(command)
    }

    /// The name of its server, where that is one of those in Rust.
    pub(crate) fn server(self) -> Option<&'static str> {
        match self {
            Self::Bare => Some("bare"),
            Self::Multiplexed => Some("multiplexed"),
            Self::Pooled => Some("pooled"),
            Self::Wasmtime => Some("wasmtime"),
            Self::Extism => Some("extism"),
            _ => None,
        }
    }
}

/// The name of an app that is there to be started first.
pub(crate) fn cold_name(number: u32) -> String {
    format!("cold-{number}")
}
