//! Clients that listen to server-sent events.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::body::{chunked, head};
use super::{block_on, runtime};
use crate::request::Target;

/// Connections that listen.
pub(crate) struct Listeners {
    runtime: Runtime,
    streams: Vec<BufReader<TcpStream>>,
    target: Target,
}

impl Listeners {
    pub(crate) fn connect(target: &Target, count: usize) -> Self {
        let runtime = runtime();
        let connect = join_all((0..count).map(|_| TcpStream::connect(target.server)));
        let streams = block_on(&runtime, connect)
            .into_iter()
            .map(|stream| BufReader::with_capacity(32 << 10, stream.expect("the server listens")))
            .collect();
        Self { runtime, streams, target: target.clone() }
    }

    /// Each connection asks for so many events, and takes them.
    pub(crate) fn run(&mut self, events: u64) -> Duration {
        let request = self.target.get(&format!("/events/{events}"));
        let event = format!("data: {}\n\n", atoll_bare::message(0)).len();
        let expected = event * usize::try_from(events).expect("the events fit into memory");
        let begun = Instant::now();
        let request = &request;
        let listen = join_all(self.streams.iter_mut().map(|stream| async move {
            stream.write_all(request).await.expect("the server reads");
            head(stream, "200").await;
            assert_eq!(chunked(stream, |_| ()).await, expected, "all events come");
        }));
        block_on(&self.runtime, listen);
        begun.elapsed()
    }
}
