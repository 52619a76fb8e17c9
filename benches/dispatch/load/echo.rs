//! A large body that is sent back.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::body::{chunked, head};
use super::{block_on, runtime};
use crate::request::Target;

/// So much is read at once.
const BUFFER: usize = 256 << 10;

/// A client that sends a large body and reads it back at the same time.
pub(crate) struct Echo {
    runtime: Runtime,
    server: SocketAddr,
    head: Vec<u8>,
    body: Vec<u8>,
    compared: bool,
}

impl Echo {
    /// The size of a body, in MiB.
    pub(crate) const MIB: u64 = 64;

    pub(crate) fn to(target: &Target) -> Self {
        let body: Vec<u8> = (0..Self::MIB << 17).flat_map(u64::to_le_bytes).collect();
        let length = body.len().to_string();
        let head = target.request("POST", "/echo", &[("content-length", &length)]);
        Self { runtime: runtime(), server: target.server, head, body, compared: false }
    }

    /// Sends the body so many times. Only the first one that comes back is compared with it, and of the others the
    /// length.
    pub(crate) fn run(&mut self, times: u64) -> Duration {
        let begun = Instant::now();
        for _ in 0..times {
            let compare = !std::mem::replace(&mut self.compared, true);
            block_on(&self.runtime, self.echo(compare));
        }
        begun.elapsed()
    }

    /// Each time over a new connection, as a server that has begun to answer before it had all of the request closes
    /// the connection at its end.
    async fn echo(&self, compare: bool) {
        let mut stream = TcpStream::connect(self.server).await.expect("the server listens");
        stream.set_nodelay(true).expect("a connection takes the option");
        let (reading, mut writing) = stream.split();
        let write = async {
            writing.write_all(&self.head).await.expect("the server reads");
            writing.write_all(&self.body).await.expect("the server reads");
        };
        let read = async {
            let mut reading = BufReader::with_capacity(BUFFER, reading);
            head(&mut reading, "200").await;
            let mut at = 0;
            let length = chunked(&mut reading, |piece| {
                assert!(!compare || self.body[at..].starts_with(piece), "something else came back");
                at += piece.len();
            });
            assert_eq!(length.await, self.body.len(), "as much comes back as was sent");
        };
        futures_util::future::join(write, read).await;
    }
}
