//! `soak streams`: many open streams and WebSockets on one app while it is replaced, and bodies that fit in no memory.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::StreamExt;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::isolation;
use crate::process::{check_open_files, open_files, resident_at_rest_kib, resident_kib, settle, status};
use crate::support::{Call, Host, Launch, library, wait_until};
use crate::table::Table;

/// Keeps many streams and WebSockets open on an app that is replaced.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many clients of server-sent events, and how many of WebSockets.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// How many reloads.
    #[arg(long, default_value_t = 20)]
    reloads: usize,
    /// How many MiB are sent up, and down.
    #[arg(long, default_value_t = 2048)]
    mebibytes: usize,
    #[command(flatten)]
    place: isolation::IsolationArgs,
}

/// The message after which clients do not come again.
const LAST: u64 = 0;

/// What the clients have seen.
#[derive(Debug, Default)]
struct Seen {
    messages: AtomicU64,
    /// Connections that have ended.
    connections: AtomicU64,
    /// Ends that are not those of an app that is replaced, and messages that are out of order.
    faults: AtomicU64,
    stop: AtomicBool,
}

impl Seen {
    /// Notes message `number`, after `last` on this connection.
    fn message(&self, number: u64, last: &mut u64) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        if *last != 0 && number != *last + 1 {
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
        *last = number;
    }

    fn fault(&self, what: &str) {
        if !self.stop.load(Ordering::Relaxed) {
            eprintln!("soak: {what}");
            self.faults.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<Table, String> {
    let isolation = args.place.isolation;
    let settings =
        json!({ "name": "app", "path": "libapp.so", "drain_timeout_ms": 300, "isolation": isolation });
    let original = std::fs::read(library("streams")).map_err(|error| error.to_string())?;
    let host = Launch::serve(json!([settings])).env("RUST_LOG", "warn").write("libapp.so", &original).start();
    let mut table = Table::new(format!(
        "{} event streams and {} WebSockets {isolation} over {} reloads; {} MiB up and down",
        args.clients, args.clients, args.reloads, args.mebibytes
    ));
    large_bodies(&mut table, &host, args.mebibytes)?;
    let files_before = open_files(&host);

    let seen = Arc::new(Seen::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let address = host.address();
    let clients = {
        let (seen, count) = (seen.clone(), args.clients);
        std::thread::spawn(move || {
            runtime.block_on(async {
                let mut clients = tokio::task::JoinSet::new();
                for _ in 0..count {
                    clients.spawn(follow_events(address, seen.clone()));
                    clients.spawn(follow_websocket(address, seen.clone()));
                }
                clients.join_all().await;
            });
        })
    };
    let told = replace_and_tell(&host, &seen, original, args.reloads, 2 * args.clients)?;
    seen.stop.store(true, Ordering::Relaxed);
    host.call(&Call::post("/apps/app/tell", LAST.to_string()));
    wait_until("all clients have left", || clients.is_finished());
    clients.join().map_err(|_panic| "the clients have panicked".to_owned())?;

    settle(&host);
    wait_until("all streams have ended", || host.get("/apps/app/open").text() == "0");
    let faults = seen.faults.load(Ordering::Relaxed);
    let received = seen.messages.load(Ordering::Relaxed);
    let expected = told * 2 * args.clients as u64;
    table.row("messages told", told);
    table.row("messages received by the clients", received);
    table.check("messages that a client has not received", expected - received, 0, received == expected);
    table.row("connections that ended", seen.connections.load(Ordering::Relaxed));
    table.check("unexpected ends, and messages out of order", faults, 0, faults == 0);
    let pinned = status(&host)?.pinned.len();
    table.check("generations pinned", pinned, 0, pinned == 0);
    check_open_files(&mut table, files_before, open_files(&host));
    isolation.check_processes(&mut table, &host, 1, 1);
    Ok(table)
}

/// Sends and fetches more than could be held.
fn large_bodies(table: &mut Table, host: &Host, mebibytes: usize) -> Result<(), String> {
    let error = |error: std::io::Error| error.to_string();
    host.call(&Call::post("/apps/app/count", "warm"));
    let before = resident_at_rest_kib(host);
    let mut peak = before;
    let mut up = host.connect();
    let length = mebibytes << 20;
    let head =
        format!("POST /apps/app/count HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
    up.write(head.as_bytes()).map_err(error)?;
    let piece = vec![1_u8; 1 << 20];
    for number in 0..mebibytes {
        up.write(&piece).map_err(error)?;
        if number % 16 == 0 {
            peak = peak.max(resident_kib(host));
        }
    }
    let reply = up.receive("POST").map_err(error)?;
    let expected = format!("{length} {length}");
    table.check("bytes counted by the app", reply.text(), &expected, reply.text() == expected);

    let mut down = host.connect();
    down.send(&Call::get(&format!("/apps/app/zeros/{mebibytes}"))).map_err(error)?;
    down.head().map_err(error)?;
    let (mut received, mut next) = (0, 0);
    while let Some(chunk) = down.chunk().map_err(error)? {
        received += chunk.len();
        if received >= next {
            next += 16 << 20;
            peak = peak.max(resident_kib(host));
        }
    }
    table.check("bytes sent by the app", received, length, received == length);
    table.row("resident before large bodies, KiB", before);
    let growth = peak.saturating_sub(before);
    table.check("resident growth at its peak, KiB", growth, "< 16384", growth < 16_384);
    Ok(())
}

/// Replaces the app, and tells all that are connected, again and again; how often it told them.
fn replace_and_tell(
    host: &Host,
    seen: &Seen,
    mut library: Vec<u8>,
    reloads: usize,
    all: usize,
) -> Result<u64, String> {
    let mut told = 0;
    for reload in 0..=reloads {
        if reload > 0 {
            // A byte more is another library that does the same.
            library.push(0);
            host.replace("libapp.so", &library);
        }
        let generation = reload as u64 + 1;
        wait_until("all clients are connected to the app", || {
            let serves = status(host).is_ok_and(|status| {
                status.apps[0].serving.as_ref().is_some_and(|it| it.number == generation)
            });
            serves && host.get("/apps/app/open").text() == all.to_string()
        });
        for _ in 0..10 {
            told += 1;
            let reached = host.call(&Call::post("/apps/app/tell", told.to_string())).text();
            if reached != all.to_string() {
                return Err(format!("message {told} reached {reached} of {all} clients"));
            }
        }
        // What the app has sent and a client has not got when its stream is ended, is lost.
        wait_until("all clients have received all messages", || {
            seen.messages.load(Ordering::Relaxed) == told * all as u64
        });
    }
    Ok(told)
}

/// Follows server-sent events, and connects again when they end.
async fn follow_events(address: SocketAddr, seen: Arc<Seen>) {
    while !seen.stop.load(Ordering::Relaxed) {
        if let Err(error) = events(address, &seen).await {
            seen.fault(&format!("an event stream broke: {error}"));
        }
        seen.connections.fetch_add(1, Ordering::Relaxed);
    }
}

async fn events(address: SocketAddr, seen: &Seen) -> io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    stream.write_all(b"GET /apps/app/events HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let (mut last, mut line) = (0, String::new());
    // The chunk of no bytes is the end; without it the stream was cut off.
    while line.trim_end() != "0" {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.strip_prefix("data: ").map(|number| number.trim_end().parse()) {
            Some(Ok(LAST)) => break,
            Some(Ok(number)) => seen.message(number, &mut last),
            _ => {}
        }
    }
    Ok(())
}

/// Follows a WebSocket, and connects again when it is closed.
async fn follow_websocket(address: SocketAddr, seen: Arc<Seen>) {
    while !seen.stop.load(Ordering::Relaxed) {
        match websocket(address, &seen).await {
            Ok(Some(1012)) => {}
            Ok(code) => seen.fault(&format!("a WebSocket was closed with {code:?}")),
            Err(error) => seen.fault(&format!("a WebSocket broke: {error}")),
        }
        seen.connections.fetch_add(1, Ordering::Relaxed);
    }
}

/// The code that it was closed with.
async fn websocket(address: SocketAddr, seen: &Seen) -> tungstenite::Result<Option<u16>> {
    let stream = TcpStream::connect(address).await?;
    let url = format!("ws://{address}/apps/app/hear");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await?;
    let mut last = 0;
    while let Some(message) = socket.next().await.transpose()? {
        match message {
            Message::Text(text) => match text.parse() {
                Ok(LAST) => return Ok(Some(1012)),
                Ok(number) => seen.message(number, &mut last),
                Err(_) => seen.fault("a message is no number"),
            },
            Message::Close(frame) => return Ok(frame.map(|frame| frame.code.into())),
            _ => {}
        }
    }
    Ok(None)
}
