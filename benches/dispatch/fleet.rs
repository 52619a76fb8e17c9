//! Calls of an app on another host of a fleet, against a request and its reply over NATS with nothing else.

use std::cell::OnceCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use actix_web::rt::System;
use atoll_host::Host;
use atoll_host::internal::http_server::Server;
use atoll_host::internal::signals::stop_signals;
use criterion::Criterion;
use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::comparison::{Comparison, Connect};
use crate::library::Copied;
use crate::table::{Table, Unit};

/// How many calls are in flight at once.
const MANY: usize = 64;

const ONE_CALL: Comparison = Comparison {
    id: "fleet-1-call",
    name: "a call of an app on another host, 1 in flight",
    unit: Unit::Time,
    sides: ["call", "nats"],
    base: "NATS request and reply",
    of: "call",
    each: 1,
    warm_up: 10,
    slice: 250,
};

const MANY_CALLS: Comparison = Comparison {
    id: "fleet-64-calls",
    name: "calls of an app on another host, 64 in flight",
    unit: Unit::Rate("/s"),
    warm_up: 10 * MANY as u64,
    slice: 32 * MANY as u64,
    ..ONE_CALL
};

/// The app that is called. It has no method of this name, and answers so.
const APP: &str = "hello";

/// The subject of the requests over NATS alone.
const SUBJECT: &str = "bench";

pub(crate) fn bench(criterion: &mut Criterion, table: &mut Table) {
    let Some(program) = nats_server() else {
        return println!("nats-server is not installed: calls between hosts are not measured");
    };
    let fleet = OnceCell::<Rc<Fleet>>::new();
    for (comparison, count) in [(ONE_CALL, 1), (MANY_CALLS, MANY)] {
        comparison.bench(criterion, table, || {
            let fleet = fleet.get_or_init(|| Rc::new(Fleet::start(&program)));
            let (address, url) = (fleet.caller.address, fleet.nats.url.clone());
            let call: Connect = Box::new(move || {
                let mut client = Calls::connect(address, count);
                Box::new(move |calls| client.run(calls))
            });
            let request: Connect = Box::new(move || {
                let mut client = Requests::connect(&url, count);
                Box::new(move |requests| client.run(requests))
            });
            [call, request]
        });
    }
}

/// The server in `PATH`, or where `.ci/install-programs` has unpacked it.
fn nats_server() -> Option<PathBuf> {
    let unpacked = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/debian/usr/sbin");
    let path = env::var_os("PATH")?;
    let folders = env::split_paths(&path).chain([unpacked.into(), Path::new(unpacked).join("../bin")]);
    folders.map(|folder| folder.join("nats-server")).find(|file| file.is_file())
}

/// Two hosts, one of which has the app.
struct Fleet {
    caller: FleetHost,
    _server: FleetHost,
    nats: Nats,
}

impl Fleet {
    fn start(program: &Path) -> Self {
        let nats = Nats::start(program);
        let library = Copied::of(APP);
        let app = json!({ "name": APP, "path": library.path() });
        let server = FleetHost::start("server", &nats.url, &json!([app]), Some(library));
        let caller = FleetHost::start("caller", &nats.url, &json!([]), None);
        let begun = Instant::now();
        while !Calls::connect(caller.address, 1).is_answered() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the hosts do not see each other");
            thread::sleep(Duration::from_millis(50));
        }
        Self { caller, _server: server, nats }
    }
}

/// A NATS server, until it is dropped.
struct Nats {
    url: String,
    process: process::Child,
    _folder: tempfile::TempDir,
}

impl Nats {
    fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder for its data can be made");
        let mut process = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", "-1", "-js", "-sd"])
            .arg(folder.path())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server can be started");
        let mut lines =
            BufReader::new(process.stderr.take().expect("it is a pipe")).lines().map_while(Result::ok);
        let port = lines
            .find_map(|line| {
                Some(line.split_once("Listening for client connections on 127.0.0.1:")?.1.trim().to_owned())
            })
            .expect("it names its port");
        // What it writes later does not block it.
        thread::spawn(move || lines.for_each(drop));
        let url = format!("nats://127.0.0.1:{port}");
        let responder = url.clone();
        // It runs until the process ends.
        thread::spawn(move || runtime().block_on(respond(&responder)));
        Self { url, process, _folder: folder }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Answers requests until the server ends.
async fn respond(url: &str) {
    let client = async_nats::connect(url).await.expect("the server accepts clients");
    let mut requests = client.subscribe(SUBJECT).await.expect("the server accepts the subscription");
    while let Some(request) = requests.next().await {
        let reply = request.reply.expect("a request names where its reply goes");
        if client.publish(reply, request.payload).await.is_err() {
            return;
        }
    }
}

/// A host of the fleet, until it is dropped.
struct FleetHost {
    address: SocketAddr,
    end: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl FleetHost {
    fn start(name: &str, nats: &str, apps: &serde_json::Value, library: Option<Copied>) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the host can be made");
        let file = folder.path().join("apps.json");
        let config = json!({ "fleet": { "nats": [nats], "host": name }, "apps": apps });
        fs::write(&file, config.to_string()).expect("the file can be written");
        let (end, ended) = oneshot::channel();
        let (address, started) = crossbeam_channel::bounded(1);
        let thread = thread::spawn(move || {
            System::new().block_on(async {
                let host = Host::builder(file).without_preflight().start().expect("the host starts");
                let server = Server::bind(host.registry().clone(), "127.0.0.1:0");
                let server = server.expect("there is a free port").of_host(&host);
                address.send(server.addresses()[0]).expect("the bench waits for the address");
                let stops = stop_signals().expect("signals can be taken");
                tokio::select! {
                    ended = server.run(stops) => {
                        ended.expect("the server runs");
                        host.close().await;
                        process::exit(130);
                    }
                    _ = ended => host.close().await,
                }
            });
            drop((library, folder));
        });
        Self { address: started.recv().expect("the host starts"), end: Some((end, thread)) }
    }
}

impl Drop for FleetHost {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.end.take() {
            let _ = end.send(());
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the host ends without a panic");
        }
    }
}

/// Calls by JSON-RPC over HTTP, so many in one request: what that costs is shared by all of them.
struct Calls {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
    each: usize,
}

impl Calls {
    fn connect(address: SocketAddr, each: usize) -> Self {
        let stream = TcpStream::connect(address).expect("the host listens");
        stream.set_nodelay(true).expect("a connection takes the option");
        let call = |id| json!({ "jsonrpc": "2.0", "method": "bench", "params": [id], "id": id });
        let body = match each {
            1 => call(1),
            _ => (0..each).map(call).collect(),
        };
        let body = body.to_string();
        let head = format!("POST /rpc/{APP} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n");
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes();
        Self { stream: BufReader::new(stream), request, each }
    }

    /// The body of the answer.
    fn answer(&mut self) -> Vec<u8> {
        self.stream.get_mut().write_all(&self.request).expect("the host reads");
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("the host answers");
            if let Some(text) = line.strip_prefix("content-length: ") {
                length = text.trim_end().parse().expect("the length is a number");
            }
            if line.trim_end().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("the host answers");
        body
    }

    /// Whether the app has answered.
    fn is_answered(&mut self) -> bool {
        String::from_utf8_lossy(&self.answer()).contains("-32601")
    }

    fn run(&mut self, calls: u64) -> Duration {
        let each = self.each as u64;
        let begun = Instant::now();
        let rounds = calls.div_ceil(each);
        for _ in 0..rounds {
            assert!(self.is_answered(), "the app answers");
        }
        begun.elapsed().mul_f64(calls as f64 / (rounds * each) as f64)
    }
}

/// Requests over NATS, so many at once.
struct Requests {
    runtime: Runtime,
    client: async_nats::Client,
    each: usize,
}

impl Requests {
    fn connect(url: &str, each: usize) -> Self {
        let runtime = runtime();
        let client = runtime.block_on(async_nats::connect(url)).expect("the server accepts clients");
        Self { runtime, client, each }
    }

    fn run(&mut self, requests: u64) -> Duration {
        let each = self.each as u64;
        let rounds = requests.div_ceil(each);
        let begun = Instant::now();
        self.runtime.block_on(async {
            for _ in 0..rounds {
                let round = (0..each).map(|_| self.client.request(SUBJECT, PAYLOAD.into()));
                for reply in join_all(round).await {
                    assert_eq!(reply.expect("the responder answers").payload, PAYLOAD);
                }
            }
        });
        begun.elapsed().mul_f64(requests as f64 / (rounds * each) as f64)
    }
}

/// As long as the text of a call.
const PAYLOAD: &str = r#"{"jsonrpc":"2.0","id":1234567,"method":"bench","params":[17]}"#;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}
