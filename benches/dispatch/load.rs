//! Clients: one connection that waits, and many that are served by one thread.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

use crate::request;

/// One keep-alive connection on the calling thread.
pub(crate) struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Answer,
}

impl Client {
    pub(crate) fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("the server listens");
        stream.set_nodelay(true).expect("a connection takes the option");
        Self { stream, request: request::bytes(server), answer: Answer::default() }
    }

    /// Sends requests one after the other.
    pub(crate) fn run(&mut self, requests: u64) -> Duration {
        let begun = Instant::now();
        for _ in 0..requests {
            self.stream.write_all(&self.request).expect("the server reads");
            while !self.answer.is_complete() {
                let read = self.stream.read(self.answer.space()).expect("the server answers");
                self.answer.grow(read);
            }
        }
        begun.elapsed()
    }
}

/// Many keep-alive connections on the calling thread; each sends its next request when it has its answer.
pub(crate) struct Clients {
    runtime: Runtime,
    connections: Vec<(tokio::net::TcpStream, Answer)>,
    request: Vec<u8>,
}

impl Clients {
    pub(crate) fn connect(server: SocketAddr, count: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime can be made");
        let connections = runtime.block_on(join_all((0..count).map(|_| async {
            let stream = tokio::net::TcpStream::connect(server).await.expect("the server listens");
            stream.set_nodelay(true).expect("a connection takes the option");
            (stream, Answer::default())
        })));
        Self { runtime, connections, request: request::bytes(server) }
    }

    /// Sends so many requests over all connections together.
    pub(crate) fn run(&mut self, requests: u64) -> Duration {
        let left = Cell::new(requests);
        let request = &self.request;
        let begun = Instant::now();
        self.runtime.block_on(join_all(self.connections.iter_mut().map(|(stream, answer)| {
            let left = &left;
            async move {
                while let Some(next) = left.get().checked_sub(1) {
                    left.set(next);
                    stream.write_all(request).await.expect("the server reads");
                    while !answer.is_complete() {
                        let read = stream.read(answer.space()).await.expect("the server answers");
                        answer.grow(read);
                    }
                }
            }
        })));
        begun.elapsed()
    }
}

/// What has come of an answer.
struct Answer {
    buffer: Box<[u8; 4096]>,
    filled: usize,
}

impl Default for Answer {
    fn default() -> Self {
        Self { buffer: Box::new([0; 4096]), filled: 0 }
    }
}

impl Answer {
    fn space(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    fn grow(&mut self, read: usize) {
        assert!(read > 0, "the server closed the connection");
        self.filled += read;
    }

    /// Whether the answer is there as a whole; then it is dropped, for the next one.
    fn is_complete(&mut self) -> bool {
        const END: &[u8] = b"\r\n\r\n";
        const LENGTH: &str = "content-length: ";
        let text = &self.buffer[..self.filled];
        let Some(end) = text.windows(END.len()).position(|window| window == END) else { return false };
        let head = std::str::from_utf8(&text[..end]).expect("the head is text");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let at = head.find(LENGTH).expect("the answer says its length") + LENGTH.len();
        let digits = head[at..].split('\r').next().unwrap_or("");
        let length: usize = digits.parse().expect("the length is a number");
        if self.filled < end + END.len() + length {
            return false;
        }
        assert_eq!(self.filled, end + END.len() + length, "there is more than was asked for");
        self.filled = 0;
        true
    }
}
