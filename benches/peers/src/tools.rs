//! The programs of the peers, and how they get here.

mod cargo;
mod npm;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow, bail};

use crate::peer::{Need, Peer};

/// The folder of this comparison.
const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The programs that are there.
pub(crate) struct Tools {
    /// The servers in Rust by name, `atoll`, and the library of `hello`.
    built: HashMap<String, PathBuf>,
    /// `node` and the programs of packages by name, or why one is not there.
    scripted: HashMap<&'static str, Result<PathBuf, String>>,
}

impl Tools {
    /// Builds and installs what these peers need.
    ///
    /// # Errors
    /// Something cannot be built. What is not there of node and npm is told by [`Self::program`].
    pub(crate) fn get(peers: &[Peer], offline: bool) -> anyhow::Result<Self> {
        let mut tools = Self { built: HashMap::new(), scripted: HashMap::new() };
        let needs: Vec<Need> = peers.iter().map(|peer| peer.need()).collect();
        // The base is one of these.
        if needs.contains(&Need::Servers) {
            let manifest = Path::new(HERE).join("Cargo.toml");
            let mut what = vec!["--package=peer-servers", "--bins"];
            if needs.contains(&Need::Wasm) {
                what.push("--package=peer-wasm");
            }
            tools.built.extend(cargo::build(&manifest, &what, offline)?);
        }
        if needs.contains(&Need::Atoll) {
            let manifest = Path::new(HERE).join("../../Cargo.toml");
            tools.built.extend(cargo::build(&manifest, &["--bin=atoll"], offline)?);
            let library = ["--package=hello", "--lib", "--no-default-features"];
            tools.built.extend(cargo::build(&manifest, &library, offline)?);
        }
        let packages = npm::PACKAGES.iter().filter(|package| needs.contains(&Need::Package(package.name)));
        tools.scripted =
            npm::install(&Path::new(HERE).join("target/npm"), &packages.collect::<Vec<_>>(), offline);
        if needs.contains(&Need::Node) {
            let node = match first_line(Path::new("node"), "--version") {
                Ok(_) => Ok(PathBuf::from("node")),
                Err(error) => Err(format!("node is needed in PATH: {error:#}")),
            };
            tools.scripted.insert("node", node);
        }
        Ok(tools)
    }

    /// What serves this peer.
    ///
    /// # Errors
    /// It is not there, and why.
    pub(crate) fn program(&self, peer: Peer) -> anyhow::Result<&Path> {
        let name = match peer.need() {
            Need::Atoll => "atoll",
            Need::Servers | Need::Wasm => peer.server().unwrap_or_default(),
            Need::Node => "node",
            Need::Package(name) => name,
        };
        match (self.built.get(name), self.scripted.get(name)) {
            (Some(path), _) | (None, Some(Ok(path))) => Ok(path),
            (None, Some(Err(reason))) => bail!("{reason}"),
            (None, None) => bail!("{name} was not built"),
        }
    }

    /// The library of the app `hello`.
    pub(crate) fn library(&self) -> Option<&Path> {
        self.built.get("libhello.so").map(PathBuf::as_path)
    }

    /// A file of a JavaScript peer.
    pub(crate) fn script(&self, name: &str) -> PathBuf {
        Path::new(HERE).join("scripts").join(name)
    }

    /// The version of what a peer is made of.
    ///
    /// # Errors
    /// Its program does not say.
    pub(crate) fn version(&self, peer: Peer) -> anyhow::Result<String> {
        Ok(match peer {
            Peer::Bare | Peer::Multiplexed | Peer::Pooled => {
                format!("actix-web {}", cargo::locked("peer-servers", "actix-web")?)
            }
            Peer::Wasmtime => format!("wasmtime {}", cargo::locked("peer-wasm", "wasmtime")?),
            Peer::Extism => format!("extism {}", cargo::locked("peer-wasm", "extism")?),
            Peer::Atoll | Peer::AtollProcess | Peer::Node | Peer::Deno | Peer::Bun | Peer::Workerd => {
                let line = first_line(self.program(peer)?, "--version")?;
                let name = if peer.need() == Need::Atoll { Peer::Atoll } else { peer };
                let name = format!("{name:?}").to_lowercase();
                let number = line.trim_start_matches(&name).trim().trim_start_matches('v');
                // Deno says more of its build.
                format!("{name} {}", number.split(' ').next().unwrap_or(number))
            }
        })
    }
}

/// The first line that a program prints with this argument.
fn first_line(program: &Path, argument: &str) -> anyhow::Result<String> {
    let name = program.display();
    let output =
        Command::new(program).arg(argument).output().with_context(|| format!("{name} cannot be run"))?;
    if !output.status.success() {
        bail!("{name} {argument}: {}", output.status);
    }
    let text = String::from_utf8(output.stdout)?;
    text.lines().next().map(str::to_owned).ok_or_else(|| anyhow!("{name} {argument} says nothing"))
}
