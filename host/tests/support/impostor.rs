//! What listens at a host's control socket, and is no host.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::thread;

use super::host::{Ended, Host, Launch};

/// Takes the place of a host that has ended.
#[derive(Debug)]
pub struct Impostor(Ended);

impl Impostor {
    /// Each request to it gets this body, and what asks is hung up on if there is none.
    #[track_caller]
    pub fn replace(host: Host, body: Option<String>) -> Self {
        let path = host.control_file("sock");
        // One that answers hears signals.
        assert_eq!(host.get("/healthz").status, 200);
        let ended = host.stop();
        // As a host does, whose folder others leave alone.
        let folder = path.parent().unwrap();
        std::fs::create_dir(folder).unwrap();
        let lock = std::fs::File::open(folder).unwrap();
        lock.lock().unwrap();
        let listener = UnixListener::bind(path).unwrap();
        // It ends with the test's process.
        thread::spawn(move || {
            let _lock = lock;
            for mut client in listener.incoming().map(Result::unwrap) {
                let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
                // The head of a request without a body.
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                if let Some(body) = &body {
                    let length = body.len();
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                    // Who asks may be content with the beginning.
                    let _ = client.write_all((head + body).as_bytes());
                }
            }
        });
        Self(ended)
    }

    /// A command for the host of its registry.
    pub fn command(&self, subcommand: &str) -> Launch {
        Launch::command(subcommand)
            .arg("--config")
            .arg(self.0.folder().join("apps.json"))
            .env("TMPDIR", self.0.folder().join("tmp"))
    }
}
