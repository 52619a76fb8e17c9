//! Clients with WebSockets. They do the least that a client can, so that the server is measured.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::body::{head, skip};
use super::{block_on, runtime};
use crate::request::Target;

/// The example of RFC 6455.
const HANDSHAKE: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// Open WebSockets.
pub(crate) struct Sockets {
    runtime: Runtime,
    streams: Vec<BufReader<TcpStream>>,
}

impl Sockets {
    /// Opens so many WebSockets to a path of an app.
    pub(crate) fn connect(target: &Target, path: &str, count: usize) -> Self {
        let runtime = runtime();
        let request = &target.request("GET", path, &HANDSHAKE);
        let connect = join_all((0..count).map(|_| async {
            let stream = TcpStream::connect(target.server).await.expect("the server listens");
            stream.set_nodelay(true).expect("a connection takes the option");
            let mut stream = BufReader::with_capacity(32 << 10, stream);
            stream.write_all(request).await.expect("the server reads");
            head(&mut stream, "101").await;
            stream
        }));
        let streams = block_on(&runtime, connect);
        Self { runtime, streams }
    }

    /// Each asks for so many messages, and takes them.
    pub(crate) fn pushes(&mut self, messages: u64) -> Duration {
        let ask = &text(&messages.to_string());
        self.each(async |stream| {
            stream.write_all(ask).await.expect("the server reads");
            for _ in 0..messages {
                message(stream).await;
            }
        })
    }

    /// Each sends so many messages, the next one when the one before has come back.
    pub(crate) fn echoes(&mut self, messages: u64) -> Duration {
        let sent = &text(&atoll_bare::message(0));
        self.each(async |stream| {
            for _ in 0..messages {
                stream.write_all(sent).await.expect("the server reads");
                message(stream).await;
            }
        })
    }

    fn each(&mut self, work: impl AsyncFn(&mut BufReader<TcpStream>)) -> Duration {
        let begun = Instant::now();
        block_on(&self.runtime, join_all(self.streams.iter_mut().map(|stream| work(stream))));
        begun.elapsed()
    }
}

/// A client's frame: one text message, of fewer than 126 bytes. The mask is all zeros, which leaves the text as it is.
fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("the text is short");
    assert!(length < 126, "a longer text has its length elsewhere");
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}

/// Reads a frame of the server's that is a message of the benches.
async fn message(stream: &mut BufReader<TcpStream>) {
    let first = stream.read_u8().await.expect("the server sends");
    assert_eq!(first, 0x81, "the frame is a whole text");
    let length = stream.read_u8().await.expect("the server sends");
    assert_eq!(usize::from(length), atoll_bare::message(0).len(), "the text is the message");
    skip(stream, usize::from(length), |_| ()).await;
}
