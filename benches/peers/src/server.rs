//! A peer that runs, as a child process.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::load::{Client, EXPECTED};
use crate::peer::Peer;
use crate::proc::Tree;
use crate::tied::tied;
use crate::tools::Tools;

/// How long a server may take until it answers, and until it has ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether one has.
const PACE: Duration = Duration::from_millis(20);

/// A server, which ends with this.
pub(crate) struct Server {
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts a peer on a free port, and checks its answer.
    pub(crate) fn start(peer: Peer, tools: &Tools, folder: &Path, cold: u32) -> anyhow::Result<Self> {
        let folder = folder.join(format!("{peer:?}"));
        std::fs::create_dir(&folder)?;
        let log = folder.join("log");
        let address = free_address()?;
        let mut command = peer.command(tools, address, &folder, cold)?;
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        command.env("TMPDIR", &folder).env("XDG_STATE_HOME", &folder).current_dir(&folder);
        let child = tied(&mut command).spawn().context("its server cannot be started")?;
        let mut server = Self { peer, address, child, log };
        server.wait_until_ready().with_context(|| server.last_words())?;
        Ok(server)
    }

    /// The process, with those that it has started.
    pub(crate) fn tree(&self) -> anyhow::Result<Tree> {
        Ok(Tree::of(self.child.id())?)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut client = loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("its server has ended: {status}");
            }
            match Client::connect(self.address) {
                Ok(client) => break client,
                Err(error) if begun.elapsed() > PATIENCE => return Err(error.context("it does not listen")),
                Err(_) => sleep(PACE),
            }
        };
        let answer = client.ask("hello")?;
        ensure!(answer.status == 200, "it answers with status {}", answer.status);
        ensure!(answer.content_type == "application/json", "it answers with type {:?}", answer.content_type);
        ensure!(answer.body == EXPECTED, "it answers {:?}", String::from_utf8_lossy(&answer.body));
        ensure!(self.tree()?.listens(self.address.port())?, "another process listens at its port");
        Ok(())
    }

    /// The end of what it has written.
    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string());
        let lines: Vec<_> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(8)..];
        format!(
            "{} wrote: {}",
            self.peer.name(),
            if last.is_empty() { "nothing".into() } else { last.join("\n  ") }
        )
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(self.child.id().cast_signed()).ok_or_else(|| anyhow!("no such process"))?;
        if self.child.try_wait()?.is_none() {
            kill_process(pid, Signal::TERM)?;
        }
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > PATIENCE / 6 {
                self.child.kill()?;
                self.child.wait()?;
            }
            sleep(PACE);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{} cannot be ended: {error}", self.peer.name());
        }
    }
}

/// A port that is free now. Who takes it in between is found out by [`Tree::listens`].
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
