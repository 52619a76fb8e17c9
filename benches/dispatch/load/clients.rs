//! Many connections with short requests.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::answer::Answer;
use super::{block_on, runtime};
use crate::request::{PATH, Target};

/// So many connections are opened at a time: a listener's queue has a place for 128, and who finds none tries again after
/// a second.
const OPENED_AT_ONCE: usize = 64;

/// Many keep-alive connections on the calling thread; each sends its next request when it has its answer.
pub(crate) struct Clients {
    runtime: Runtime,
    connections: Vec<(TcpStream, Answer)>,
    requests: Vec<Vec<u8>>,
}

impl Clients {
    /// So many connections to the server of these targets, which are asked in turn; each has had an answer.
    pub(crate) fn connect(targets: &[Target], count: usize) -> Self {
        let runtime = runtime();
        let server = targets[0].server;
        let requests: Vec<Vec<u8>> = targets.iter().map(|target| target.get(PATH)).collect();
        let connect = stream::iter(requests.iter().cycle().take(count))
            .map(async |request| {
                let mut stream = TcpStream::connect(server).await.expect("the server listens");
                stream.set_nodelay(true).expect("a connection takes the option");
                let mut answer = Answer::default();
                ask(&mut stream, &mut answer, request).await;
                (stream, answer)
            })
            .buffer_unordered(OPENED_AT_ONCE)
            .collect();
        let connections = block_on(&runtime, connect);
        Self { runtime, connections, requests }
    }

    /// Sends so many requests over all connections together.
    pub(crate) fn run(&mut self, requests: u64) -> Duration {
        let left = Cell::new(requests);
        let (left, kinds) = (&left, &self.requests);
        let begun = Instant::now();
        let asked = join_all(self.connections.iter_mut().map(|(stream, answer)| async move {
            while let Some(next) = left.get().checked_sub(1) {
                left.set(next);
                ask(stream, answer, &kinds[next as usize % kinds.len()]).await;
            }
        }));
        block_on(&self.runtime, asked);
        begun.elapsed()
    }
}

async fn ask(stream: &mut TcpStream, answer: &mut Answer, request: &[u8]) {
    stream.write_all(request).await.expect("the server reads");
    while !answer.is_complete() {
        let read = stream.read(answer.space()).await.expect("the server answers");
        answer.grow(read);
    }
}
