//! `soak takeover`: a host is replaced again and again under load.

use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::isolation;
use crate::support::{Call, Connection, Launch, library, wait_until};
use crate::table::Table;

/// Replaces a host under load.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many takeovers.
    #[arg(long, default_value_t = 50)]
    count: usize,
    /// How many clients ask all the time: half of them keep their connections, half open one for each request.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// How many WebSockets are open at each takeover.
    #[arg(long, default_value_t = 50)]
    websockets: usize,
    #[command(flatten)]
    place: isolation::IsolationArgs,
}

/// How long it takes until a WebSocket is opened or closed at most.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    failed: AtomicU64,
    /// How long answers took.
    times: Mutex<Vec<Duration>>,
}

pub(crate) fn run(args: &Args) -> Result<Table, String> {
    let isolation = args.place.isolation;
    let app = json!({ "name": "app", "path": library("streams"), "isolation": isolation, "preload": true });
    let mut host = Launch::serve(json!([app])).start();
    let address = host.address();
    let (stopping, counts) = (AtomicBool::new(false), Counts::default());
    let (mut takeovers, mut closed, mut ended) = (Vec::new(), 0, 0);
    thread::scope(|scope| {
        for number in 0..args.connections {
            let (stopping, counts) = (&stopping, &counts);
            scope.spawn(move || ask(address, number % 2 == 0, stopping, counts));
        }
        let ran = (|| {
            let mut waiting = Vec::new();
            for _ in 0..args.count {
                let sockets = (0..args.websockets).map(|_| open(address)).collect::<Result<Vec<_>, _>>()?;
                let begun = Instant::now();
                let new = host.again("serve").args(["--takeover", "--listen", "127.0.0.1:0"]).start();
                new.wait_for_log(&["took over from process"]);
                takeovers.push(begun.elapsed());
                let closing = scope.spawn(|| sockets.into_iter().filter_map(close_code).collect::<Vec<_>>());
                waiting.push((std::mem::replace(&mut host, new), closing));
            }
            for (host, closing) in waiting {
                let codes = closing.join().map_err(|_| "a client of WebSockets has panicked")?;
                closed += codes.iter().filter(|code| **code == 1012).count();
                ended += usize::from(host.ended().status.success());
            }
            Ok::<_, String>(())
        })();
        stopping.store(true, Ordering::Relaxed);
        ran
    })?;
    wait_until("the host answers", || host.get("/readyz").status == 200);

    takeovers.sort();
    let sent = counts.sent.into_inner();
    let failed = counts.failed.into_inner();
    let mut times = counts.times.into_inner().unwrap_or_default();
    times.sort();
    let all = args.count * args.websockets;
    let mut table = Table::new(format!("{} takeovers under load, {isolation}", args.count));
    table.row("requests sent", sent);
    table.check("requests failed", failed, 0, failed == 0 && sent > 0);
    table.check("WebSockets closed with 1012", closed, all, closed == all);
    table.check("hosts that exited with 0", ended, args.count, ended == args.count);
    table.row("start and takeover, median ms", millis(&takeovers, 50));
    table.row("start and takeover, longest ms", millis(&takeovers, 100));
    table.row("answer, median ms", millis(&times, 50));
    table.row("answer, 99 % ms", millis(&times, 99));
    table.row("answer, longest ms", millis(&times, 100));
    Ok(table)
}

/// The time that so many percent of these do not exceed.
fn millis(times: &[Duration], percent: usize) -> String {
    let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    let time = times.get(place).copied().unwrap_or_default();
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}

/// Asks until it is stopped, and opens another connection when the host closes one with its answer.
fn ask(address: SocketAddr, is_kept: bool, stopping: &AtomicBool, counts: &Counts) {
    let call = Call::get("/apps/app/open");
    let mut connection = None::<Connection>;
    let mut times = Vec::new();
    while !stopping.load(Ordering::Relaxed) {
        counts.sent.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        let asked = connection.take().map_or_else(|| Connection::open(address), Ok).and_then(|mut open| {
            let reply = open.call(&call)?;
            Ok((reply, open))
        });
        match asked {
            Ok((reply, open)) if reply.status == 200 => {
                times.push(begun.elapsed());
                let may_go_on = reply.header("connection").as_deref() != Some("close");
                connection = (is_kept && may_go_on).then_some(open);
            }
            other => {
                if counts.failed.fetch_add(1, Ordering::Relaxed) < 10 {
                    eprintln!("failed: {:?}", other.map(|(reply, _)| (reply.status, reply.text())));
                }
            }
        }
        // Constant, and not all that the machine can bear: new hosts have to start meanwhile.
        thread::sleep(Duration::from_millis(1));
    }
    if let Ok(mut all) = counts.times.lock() {
        all.extend(times);
    }
}

fn open(address: SocketAddr) -> Result<WebSocket<TcpStream>, String> {
    let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    let opened = tungstenite::client::client(format!("ws://{address}/apps/app/ws"), stream);
    opened.map(|(socket, _)| socket).map_err(|error| error.to_string())
}

/// The code with which a WebSocket is closed; `None`: without one.
fn close_code(mut socket: WebSocket<TcpStream>) -> Option<u16> {
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}
