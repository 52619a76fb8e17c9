//! A large body that is sent back.

use std::time::{Duration, Instant};

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::body::{chunked, head};
use super::{block_on, runtime};
use crate::request::Target;

/// So much is written and read at once.
const PIECE: usize = 256 << 10;

/// A connection that sends large bodies and reads them back at the same time.
pub(crate) struct Echo {
    runtime: Runtime,
    stream: BufReader<TcpStream>,
    head: Vec<u8>,
    body: Vec<u8>,
    compared: bool,
}

impl Echo {
    /// The size of a body, in MiB.
    pub(crate) const MIB: u64 = 64;

    pub(crate) fn connect(target: &Target) -> Self {
        let runtime = runtime();
        let stream = block_on(&runtime, TcpStream::connect(target.server)).expect("the server listens");
        stream.set_nodelay(true).expect("a connection takes the option");
        let body: Vec<u8> = (0..Self::MIB << 17).flat_map(u64::to_le_bytes).collect();
        let length = body.len().to_string();
        let head = target.request("POST", "/echo", &[("content-length", &length)]);
        let stream = BufReader::with_capacity(PIECE, stream);
        Self { runtime, stream, head, body, compared: false }
    }

    /// Sends the body so many times. Only the first one that comes back is compared with it, and of the others the
    /// length.
    pub(crate) fn run(&mut self, times: u64) -> Duration {
        let begun = Instant::now();
        for _ in 0..times {
            let compare = !std::mem::replace(&mut self.compared, true);
            block_on(&self.runtime, echo(&mut self.stream, &self.head, &self.body, compare));
        }
        begun.elapsed()
    }
}

async fn echo(stream: &mut BufReader<TcpStream>, request: &[u8], body: &[u8], compare: bool) {
    // Both halves are of the same connection; nothing is buffered of an answer that has ended.
    let (reading, mut writing) = stream.get_mut().split();
    let mut reading = BufReader::with_capacity(PIECE, reading);
    let write = async {
        writing.write_all(request).await.expect("the server reads");
        writing.write_all(body).await.expect("the server reads");
    };
    let read = async {
        head(&mut reading, "200").await;
        let mut at = 0;
        let length = chunked(&mut reading, |piece| {
            assert!(!compare || body[at..].starts_with(piece), "something else came back");
            at += piece.len();
        });
        assert_eq!(length.await, body.len(), "as much comes back as was sent");
    };
    futures_util::future::join(write, read).await;
}
