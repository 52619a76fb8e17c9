//! Apps that are processes: each is started when it is asked for first, and reached over a Unix socket.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};

use crate::tied::tied;

/// How a process is spoken to; the first argument of the program `app`.
#[derive(Clone, Copy, Debug)]
pub enum Speech {
    /// HTTP/1.1.
    Http,
    /// The texts of [`crate::exchange`] in frames, many at once over one connection.
    Frames,
}

impl Speech {
    fn argument(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Frames => "frames",
        }
    }
}

/// The processes of all apps, for all threads.
pub struct Processes {
    speech: Speech,
    /// Where the sockets are.
    folder: tempfile::TempDir,
    running: Mutex<HashMap<String, Arc<Process>>>,
}

/// One app's process, which ends with this.
pub struct Process {
    child: Child,
    socket: PathBuf,
}

impl Processes {
    /// None yet.
    ///
    /// # Errors
    /// There is no place for their sockets.
    pub fn new(speech: Speech) -> io::Result<Self> {
        Ok(Self { speech, folder: tempfile::tempdir()?, running: Mutex::default() })
    }

    /// The process of this app.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn app(&self, name: &str) -> io::Result<Arc<Process>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(process) = running.get(name) {
            return Ok(process.clone());
        }
        let process = Arc::new(Process::start(self.speech, self.folder.path().join(name))?);
        running.insert(name.to_owned(), process.clone());
        Ok(process)
    }
}

impl Process {
    /// The process gets its listener as standard input: clients can connect before it runs.
    fn start(speech: Speech, socket: PathBuf) -> io::Result<Self> {
        let listener = OwnedFd::from(UnixListener::bind(&socket)?);
        let program = std::env::current_exe()?.with_file_name("app");
        let mut command = Command::new(program);
        let child = tied(command.arg(speech.argument()).stdin(listener)).spawn()?;
        Ok(Self { child, socket })
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
