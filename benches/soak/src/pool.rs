//! `soak pool`: connections of a load balancer, which are reused after pauses of any length.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::support::Launch;
use crate::table::Table;

/// Reuses the connections of a pool after random pauses.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many connections.
    #[arg(long, default_value_t = 200)]
    connections: usize,
    /// How many seconds the run takes.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// The longest pause of a connection, in seconds.
    #[arg(long, default_value_t = 70)]
    pause: u64,
    /// The host's --keep-alive, in seconds.
    #[arg(long, default_value_t = 75)]
    keep_alive: u64,
    /// Divides all of these times.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    faster: u32,
}

/// What is sent: a load balancer must not send it a second time.
const REQUEST: &[u8] = b"POST /apps/probe/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\nping";

/// How a response ends.
const BODY: &[u8] = b"\r\n\r\nping";

/// How long a response may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the connections have seen.
#[derive(Debug, Default)]
struct Seen {
    sent: AtomicU64,
    reused: AtomicU64,
    lost: AtomicU64,
}

pub(crate) fn run(args: &Args) -> Result<Table, String> {
    let [seconds, pause, keep_alive] =
        [args.seconds, args.pause, args.keep_alive].map(|time| Duration::from_secs(time) / args.faster);
    let limit = format!("{}ms", keep_alive.as_millis());
    let host = Launch::serve(json!([{ "name": "probe", "path": "libprobe.so" }]))
        .env("RUST_LOG", "warn")
        .library("probe")
        .args(["--keep-alive", &limit])
        .start();
    // The app has started before the first request counts.
    host.post("/apps/probe/echo", "ping");

    let seen = Arc::new(Seen::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut connections = JoinSet::new();
        let end = Instant::now() + seconds;
        for _ in 0..args.connections {
            connections.spawn(reuse(host.address(), pause, end, seen.clone()));
        }
        connections.join_all().await;
    });

    let [sent, reused, lost] =
        [&seen.sent, &seen.reused, &seen.lost].map(|count| count.load(Ordering::Relaxed));
    let mut table = Table::new(format!(
        "{} connections, reused after 0 to {pause:?}, for {seconds:?}; --keep-alive {limit}",
        args.connections
    ));
    table.row("requests sent", sent);
    table.check("of these on a reused connection", reused, "some", reused > 0);
    table.check("requests lost", lost, 0, lost == 0);
    Ok(table)
}

/// Sends a request on one connection again and again, with pauses. After one that is lost, it is another connection.
async fn reuse(address: SocketAddr, pause: Duration, end: Instant, seen: Arc<Seen>) {
    let mut connection = None;
    while Instant::now() < end {
        seen.sent.fetch_add(1, Ordering::Relaxed);
        seen.reused.fetch_add(u64::from(connection.is_some()), Ordering::Relaxed);
        connection = match tokio::time::timeout(PATIENCE, call(address, connection)).await {
            Ok(Ok(connection)) => Some(connection),
            failed => {
                eprintln!("soak: a request is lost: {failed:?}");
                seen.lost.fetch_add(1, Ordering::Relaxed);
                None
            }
        };
        sleep(pause.mul_f64(fastrand::f64()).min(end.saturating_duration_since(Instant::now()))).await;
    }
}

/// Sends a request on a connection, or on a new one, and reads the response.
async fn call(address: SocketAddr, connection: Option<TcpStream>) -> std::io::Result<TcpStream> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => TcpStream::connect(address).await?,
    };
    connection.write_all(REQUEST).await?;
    let mut response = Vec::new();
    while !response.ends_with(BODY) {
        if connection.read_buf(&mut response).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    if response.starts_with(b"HTTP/1.1 200 ") {
        Ok(connection)
    } else {
        Err(std::io::Error::other(String::from_utf8_lossy(&response).into_owned()))
    }
}
