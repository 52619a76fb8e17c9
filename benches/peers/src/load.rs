//! Clients: one connection that waits, and many that are served by one thread.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;

use crate::request::{self, Target};

/// What every peer answers.
pub(crate) const EXPECTED: &[u8] = br#"{"name":"tobe"}"#;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer as a whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

/// One keep-alive connection on the calling thread.
pub(crate) struct Client {
    stream: TcpStream,
    server: SocketAddr,
    received: Received,
}

impl Client {
    pub(crate) fn connect(server: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, server, received: Received::default() })
    }

    /// One request to this app.
    pub(crate) fn ask(&mut self, app: &str) -> anyhow::Result<Answer> {
        self.stream.write_all(&request(self.server, app))?;
        loop {
            self.receive()?;
            if let Some(answer) = self.received.whole()? {
                return Ok(answer);
            }
        }
    }

    /// Sends requests one after the other for so long; how long each took.
    pub(crate) fn run(&mut self, time: Duration) -> anyhow::Result<Vec<Duration>> {
        let request = request(self.server, "hello");
        let mut times = Vec::with_capacity(1 << 17);
        let begun = Instant::now();
        while begun.elapsed() < time {
            let sent = Instant::now();
            self.stream.write_all(&request)?;
            loop {
                self.receive()?;
                if self.received.is_expected()? {
                    break;
                }
            }
            times.push(sent.elapsed());
        }
        Ok(times)
    }

    fn receive(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read(self.received.space()).context("no answer in time")?;
        self.received.grow(read)
    }
}

/// Sends requests for so long over so many connections, each its next one when it has its answer, after
/// `warm_up`; `begin` is called between the two. How many requests that were, and how long they took.
pub(crate) fn many(
    server: SocketAddr,
    connections: u32,
    warm_up: Duration,
    time: Duration,
    begin: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<(u64, Duration)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let request = request(server, "hello");
    runtime.block_on(async {
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(connect(server).await?);
        }
        turn(&mut open, &request, warm_up).await?;
        begin()?;
        let begun = Instant::now();
        let requests = turn(&mut open, &request, time).await?;
        Ok((requests, begun.elapsed()))
    })
}

type Connection = (tokio::net::TcpStream, Received);

async fn connect(server: SocketAddr) -> anyhow::Result<Connection> {
    let stream = tokio::net::TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok((stream, Received::default()))
}

/// Sends requests over all connections for so long; how many.
async fn turn(connections: &mut [Connection], request: &[u8], time: Duration) -> anyhow::Result<u64> {
    let begun = Instant::now();
    let all = try_join_all(connections.iter_mut().map(async |(stream, received)| {
        let mut requests = 0_u64;
        while begun.elapsed() < time {
            stream.write_all(request).await?;
            loop {
                let read = stream.read(received.space()).await?;
                received.grow(read)?;
                if received.is_expected()? {
                    break;
                }
            }
            requests += 1;
        }
        anyhow::Ok(requests)
    }));
    let counts = tokio::time::timeout(time + PATIENCE, all).await.context("no answer in time")??;
    Ok(counts.into_iter().sum())
}

/// The request to this app, with the headers that a browser sends.
fn request(server: SocketAddr, app: &str) -> Vec<u8> {
    Target::app(server, app).get(request::PATH)
}

/// What has come of an answer.
struct Received {
    buffer: Box<[u8; 4096]>,
    filled: usize,
}

impl Default for Received {
    fn default() -> Self {
        Self { buffer: Box::new([0; 4096]), filled: 0 }
    }
}

impl Received {
    fn space(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    fn grow(&mut self, read: usize) -> anyhow::Result<()> {
        ensure!(read > 0, "the server closed the connection, or its answer is too long");
        self.filled += read;
        Ok(())
    }

    /// Whether the answer is there as a whole, and is the expected one; then it is dropped, for the next one.
    fn is_expected(&mut self) -> anyhow::Result<bool> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let Some((head, body)) = self.parse(&mut headers)? else { return Ok(false) };
        ensure!(head.code == Some(200) && body == EXPECTED, "the server answered {:?}", self.text());
        self.filled = 0;
        Ok(true)
    }

    /// The answer, if it is there as a whole; then it is dropped, for the next one.
    fn whole(&mut self) -> anyhow::Result<Option<Answer>> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let Some((head, body)) = self.parse(&mut headers)? else { return Ok(None) };
        let answer = Answer {
            status: head.code.unwrap_or_default(),
            content_type: header(&head, "content-type").unwrap_or_default().to_owned(),
            body: body.to_vec(),
        };
        self.filled = 0;
        Ok(Some(answer))
    }

    fn parse<'h, 'b>(
        &'b self,
        headers: &'h mut [httparse::Header<'b>],
    ) -> anyhow::Result<Option<(httparse::Response<'h, 'b>, &'b [u8])>> {
        let bytes = &self.buffer[..self.filled];
        let mut head = httparse::Response::new(headers);
        let httparse::Status::Complete(end) = head.parse(bytes)? else { return Ok(None) };
        let Some(length) = header(&head, "content-length") else {
            bail!("the answer does not say its length: {:?}", self.text());
        };
        let body = &bytes[end..];
        ensure!(body.len() <= length.parse()?, "there is more than was asked for: {:?}", self.text());
        Ok((body.len() == length.parse::<usize>()?).then_some((head, body)))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer[..self.filled]).into_owned()
    }
}

fn header<'b>(head: &httparse::Response<'_, 'b>, name: &str) -> Option<&'b str> {
    let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(found.value).ok()
}
