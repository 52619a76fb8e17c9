//! Many connections with short requests.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::answer::Answer;
use super::{block_on, runtime};
use crate::request::{PATH, Target};

/// Many keep-alive connections on the calling thread; each sends its next request when it has its answer.
pub(crate) struct Clients {
    runtime: Runtime,
    connections: Vec<(TcpStream, Answer)>,
    requests: Vec<Vec<u8>>,
}

impl Clients {
    /// So many connections to the server of these targets, which are asked in turn.
    pub(crate) fn connect(targets: &[Target], count: usize) -> Self {
        let runtime = runtime();
        let server = targets[0].server;
        let connections = block_on(
            &runtime,
            join_all((0..count).map(|_| async {
                let stream = TcpStream::connect(server).await.expect("the server listens");
                stream.set_nodelay(true).expect("a connection takes the option");
                (stream, Answer::default())
            })),
        );
        let requests = targets.iter().map(|target| target.get(PATH)).collect();
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
                let request = &kinds[next as usize % kinds.len()];
                stream.write_all(request).await.expect("the server reads");
                while !answer.is_complete() {
                    let read = stream.read(answer.space()).await.expect("the server answers");
                    answer.grow(read);
                }
            }
        }));
        block_on(&self.runtime, asked);
        begun.elapsed()
    }
}
