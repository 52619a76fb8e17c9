//! The command under test on a terminal.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use pty_process::blocking::{Command, Pty, open};

use crate::support::{Host, atoll, wait_for, wait_until};

/// A command of `atoll` that runs on a terminal of its own. It is killed when this is dropped.
pub struct Terminal {
    child: Child,
    keyboard: Pty,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// `atoll` with these arguments, for a host.
    pub fn start(host: &Host, args: &[&str], env: &[(&str, &str)]) -> Self {
        let registry = host.path("apps.json");
        Self::command(host.folder(), &[args, &["--config", &registry]].concat(), env)
    }

    /// `atoll` with these arguments, in the folder of another command, which has its `TMPDIR` in it.
    pub fn command(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Self {
        let (keyboard, terminal) = open().unwrap();
        keyboard.resize(pty_process::Size::new(24, 160)).unwrap();
        let child = Command::new(atoll())
            .args(args)
            .current_dir(folder)
            .env("TMPDIR", folder.join("tmp"))
            .env("XDG_STATE_HOME", folder.join("state"))
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .envs(env.iter().copied())
            .spawn(terminal)
            .unwrap();
        let shown: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut screen, written) =
            (rustix::io::dup(&keyboard).map(std::fs::File::from).unwrap(), shown.clone());
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // At the end of the command, reading fails.
            while let Ok(size @ 1..) = screen.read(&mut piece) {
                written.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..size]);
            }
        });
        Self { child, keyboard, shown }
    }

    /// All that was ever written to it.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits until a text was written to it.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        wait_until(&format!("{text:?} on the terminal, which has {:?}", self.shown()), || {
            self.shown().contains(text)
        });
    }

    /// Types a text.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: the child has not been waited for, so that its number is still its own.
        let sent = unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
        assert_eq!(sent, 0, "the command has ended before the signal");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        wait_for("the command on the terminal ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended just now; then there is nobody to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
