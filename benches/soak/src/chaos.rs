//! `soak chaos`: everything that may go wrong, at random. What has to hold: the host lives, every request is answered,
//! and nothing is left of an app that is removed.

mod attack;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use atoll_host::internal::admin::HostStatus;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::isolation::Isolation;
use crate::process::resident_kib;
use crate::support::{Call, Connection, Host, Launch, library, patched, wait_until};
use crate::table::Table;

/// Does everything that may go wrong, at random, with a seed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For how many seconds.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// The seed of a run that is to be repeated.
    #[arg(long)]
    seed: Option<u64>,
    /// How many clients there are.
    #[arg(long, default_value_t = 6)]
    clients: u64,
}

/// The apps: a name, the fixture that it is made of, and the marks that say how its library behaves.
const APPS: [(&str, &str, &[&str]); 8] = [
    ("steady", "versioned", &["1", "2", "3"]),
    ("wild", "misbehave", &["a", "b", "c"]),
    ("crashing", "misbehave", &["by-hand", "returns", "panics", "app-panics"]),
    ("idler", "versioned", &["4", "5", "6"]),
    ("runtime", "tokio-axum", &["7", "8", "9"]),
    ("process", "process", &["1", "2", "3"]),
    ("openssl", "shared-libraries", &["4", "5", "6"]),
    (FAULTY, "faults", &["7", "8", "9"]),
];

/// The app that faults, always in a process.
const FAULTY: &str = "faulty";

/// The app whose count must not be lost.
const COUNTER: &str = "counter";

pub(crate) fn run(args: &Args) -> Result<Table, String> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(0..1_000_000));
    eprintln!("seed {seed}");
    let setup = format!("mount -t tmpfs -o size=256m tmpfs tmp && ulimit -n {}", attack::OPEN_FILES);
    let launch =
        Launch::isolated(&setup, "serve").ok_or("cannot mount a file system: run the soak as root")?;
    let mut launch = launch
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--h2c"])
        .write("apps.json", registry(&all_apps(), 1, |_| Isolation::Thread))
        .env("RUST_LOG", "off");
    for (name, fixture, marks) in APPS {
        launch = launch.write(&file(name), patched(fixture, marks[0]));
    }
    let host = launch.write(&file(COUNTER), counter(0)).start();
    let resident_before = resident_kib(&host);

    let stop = Arc::new(AtomicBool::new(false));
    let books = Arc::new(Books::default());
    let clients: Vec<JoinHandle<()>> = (0..args.clients)
        .map(|client| {
            let (stop, books, address) = (stop.clone(), books.clone(), host.address());
            let folder = host.folder().to_owned();
            let random = Rng::with_seed(seed.wrapping_add(client + 1));
            std::thread::spawn(move || Client { address, folder, books, random }.run(&stop))
        })
        .collect();

    let mut world = World { host: &host, random: Rng::with_seed(seed), registered: all_apps() };
    let begun = Instant::now();
    let mut deeds = 0_u64;
    while begun.elapsed() < Duration::from_secs(args.seconds) {
        world.deed().map_err(|error| error.to_string())?;
        deeds += 1;
        std::thread::sleep(Duration::from_millis(world.random.u64(0..60)));
    }
    world.mend().map_err(|error| error.to_string())?;
    stop.store(true, Ordering::SeqCst);
    let crashed_clients = clients.into_iter().filter_map(|client| client.join().err()).count();

    wait_until_all_answer(&host)?;
    let counted = host.get(&format!("/apps/{COUNTER}/")).json()["count"].as_u64();
    host.replace("apps.json", registry(&[], 1, |_| Isolation::Thread));
    wait_until("all apps are removed", || {
        status(&host).is_ok_and(|status| {
            let pinned = status.pinned.len();
            // What is in processes has no heap here.
            status.apps.is_empty() && status.process.heaps == pinned && host.mapped().len() <= pinned
        })
    });
    let status = status(&host)?;
    let resident_after = resident_kib(&host);
    let mapped = host.mapped().len();
    let ended = host.stop();

    let get = |count: &AtomicU64| count.load(Ordering::SeqCst);
    let (sent, answered, left) = (get(&books.sent), get(&books.answered), get(&books.left));
    let unanswered = sent - answered - left;
    let (increments, unsure) = (get(&books.increments), get(&books.unsure));
    let mut table = Table::new(format!("chaos for {} s, seed {seed}: {deeds} deeds", args.seconds));
    table.row("requests sent", sent);
    table.row("of which the client left", left);
    for (code, count) in books.statuses.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        table.row("answered with a status and count", format!("{code}: {count}"));
    }
    table.check("requests not answered", unanswered, 0, unanswered == 0);
    table.check("clients that gave up", crashed_clients, 0, crashed_clients == 0);
    let count_kept = counted.is_some_and(|count| (increments..=increments + unsure).contains(&count));
    let expected =
        if unsure == 0 { increments.to_string() } else { format!("{increments} to {}", increments + unsure) };
    table.check("the counter's count over its reloads", counted.unwrap_or(0), expected, count_kept);
    table.check("heaps left after all apps are removed", status.process.heaps, 0, status.process.heaps == 0);
    table.check("generations pinned", status.pinned.len(), 0, status.pinned.is_empty());
    table.check("libraries mapped", mapped, 0, mapped == 0);
    table.row("resident at the start, KiB", resident_before);
    table.row("resident at the end, KiB", resident_after);
    table.check("host ended with", ended.status, "exit status: 0", ended.status.success());
    Ok(table)
}

/// Waits until every app serves its good library.
///
/// # Errors
/// One does not: what it answers, and what the host reports of it.
fn wait_until_all_answer(host: &Host) -> Result<(), String> {
    const LIMIT: Duration = Duration::from_secs(30);
    let begun = Instant::now();
    for name in all_apps() {
        loop {
            let reply = host.get(&good_path(name));
            if reply.status == 200 {
                break;
            }
            if begun.elapsed() > LIMIT {
                let answer = String::from_utf8_lossy(&reply.body).into_owned();
                let status = status(host)?;
                let app = status.apps.iter().find(|app| app.name == name);
                let pinned: Vec<_> = status.pinned.iter().filter(|pinned| pinned.app == name).collect();
                return Err(format!("{name} does not answer again: {answer}\n{app:#?}\n{pinned:#?}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// The host's status, from its admin listener: the control socket is in a file system that is mounted for the host alone.
fn status(host: &Host) -> Result<HostStatus, String> {
    let reply = Connection::open(host.admin())
        .and_then(|mut connection| connection.call(&Call::get("/api/v1/status")))
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&reply.body).map_err(|error| error.to_string())
}

fn all_apps() -> Vec<&'static str> {
    APPS.iter().map(|(name, ..)| *name).chain([COUNTER]).collect()
}

/// What a good library of this app answers with 200.
fn good_path(name: &str) -> String {
    format!("/apps/{name}/{}", if name == "runtime" { "greet/x" } else { "" })
}

fn file(name: &str) -> String {
    format!("lib{name}.so")
}

/// The counter with another patch number in its stamp: another library that does the same.
fn counter(number: u64) -> Vec<u8> {
    let mut bytes = std::fs::read(library(COUNTER)).expect("the library was built");
    let version = br#""version":"0.1.0""#;
    let place =
        bytes.windows(version.len()).position(|text| text == version).expect("the library has a stamp");
    bytes[place + version.len() - 2] = b'0' + (number % 10) as u8;
    bytes
}

fn registry(names: &[&str], workers: u64, mut isolation: impl FnMut(&str) -> Isolation) -> String {
    let app = |name: &&str| -> Value {
        let isolation = isolation(name);
        // What waits for a file that a client makes has to see it.
        let mut app = json!({
            "name": name, "path": file(name), "workers": workers, "isolation": isolation, "sandbox": null,
        });
        match *name {
            FAULTY => app["isolation"] = json!(Isolation::Process),
            "idler" => app["idle_timeout_ms"] = json!(20),
            // Its count is in one worker.
            COUNTER => app["workers"] = json!(1),
            _ => {}
        }
        app
    };
    let apps: Vec<Value> = names.iter().map(app).collect();
    json!({ "defaults": { "deadline_ms": 2000, "queue": 64, "max_restarts": 3 }, "apps": apps }).to_string()
}

/// What the clients count.
#[derive(Default)]
struct Books {
    sent: AtomicU64,
    answered: AtomicU64,
    left: AtomicU64,
    statuses: Mutex<BTreeMap<u16, u64>>,
    /// Increments of the counter that were answered, and those that were not carried out for sure.
    increments: AtomicU64,
    unsure: AtomicU64,
}

/// Asks for one thing after the other.
struct Client {
    address: SocketAddr,
    folder: PathBuf,
    books: Arc<Books>,
    random: Rng,
}

impl Client {
    fn run(mut self, stop: &AtomicBool) {
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            self.ask(number);
        }
    }

    fn ask(&mut self, number: u64) {
        let release = self.folder.join(format!("release-{}-{number}", self.random.u64(..)));
        let (call, blocks) = self.call(&release);
        let Ok(mut connection) = Connection::open(self.address) else {
            self.books.sent.fetch_add(1, Ordering::SeqCst);
            return;
        };
        self.books.sent.fetch_add(1, Ordering::SeqCst);
        let increments = call.target().starts_with("/apps/counter") && call.method() == "POST";
        let sent = connection.send(&call);
        if blocks {
            std::thread::sleep(Duration::from_millis(self.random.u64(0..30)));
            // Ends the handler or the thread that waits for the file.
            let _ = std::fs::write(&release, "");
        }
        if sent.is_ok() && self.random.u8(0..20) == 0 && !increments {
            self.books.left.fetch_add(1, Ordering::SeqCst);
            return;
        }
        match sent.and_then(|()| connection.receive(call.method())) {
            Ok(reply) => {
                self.books.answered.fetch_add(1, Ordering::SeqCst);
                *self.statuses().entry(reply.status).or_default() += 1;
                match reply.status {
                    200 if increments => _ = self.books.increments.fetch_add(1, Ordering::SeqCst),
                    // Cut off, late, or refused: it may have counted.
                    502 | 504 if increments => _ = self.books.unsure.fetch_add(1, Ordering::SeqCst),
                    _ => {}
                }
            }
            Err(error) => eprintln!("not answered: {error}: {call:?}"),
        }
    }

    fn statuses(&self) -> std::sync::MutexGuard<'_, BTreeMap<u16, u64>> {
        self.books.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request, and whether a handler or a thread will wait for the file `release`.
    fn call(&mut self, release: &Path) -> (Call, bool) {
        let file = release.display();
        let signal = attack::any_signal(&mut self.random);
        let harmless = attack::harmless_signal(&mut self.random);
        let calls = [
            ("/apps/steady/greet/x".to_owned(), false),
            ("/apps/idler/greet/x".to_owned(), false),
            ("/apps/runtime/greet/x".to_owned(), false),
            ("/apps/wild/".to_owned(), false),
            ("/apps/wild/drop-panics".to_owned(), false),
            ("/apps/wild/drop-panics-when-cancelled".to_owned(), false),
            (format!("/apps/wild/block?file={file}&entered={file}.entered"), true),
            (format!("POST /apps/wild/thread/own?file={file}"), true),
            ("/apps/wild/nothing/here".to_owned(), false),
            ("/apps/crashing/".to_owned(), false),
            ("/apps/crashing/return".to_owned(), false),
            ("/apps/crashing/panic".to_owned(), false),
            ("/apps/crashing/not-a-response".to_owned(), false),
            ("/apps/crashing/unasked".to_owned(), false),
            ("POST /apps/counter/".to_owned(), false),
            ("POST /apps/counter/".to_owned(), false),
            (format!("POST /apps/process/handle/tokio/{signal}"), false),
            (format!("POST /apps/process/handle/signal-hook/{signal}"), false),
            (format!("POST /apps/process/handle/sigaction/{signal}"), false),
            (format!("POST /apps/process/send/kill/{harmless}"), false),
            ("/apps/process/run".to_owned(), false),
            ("/apps/process/leave/0.05".to_owned(), false),
            ("/apps/openssl/openssl/context".to_owned(), false),
            ("/apps/openssl/openssl/handshake".to_owned(), false),
            ("/apps/openssl/native/shared/work".to_owned(), false),
            ("/apps/faulty/".to_owned(), false),
            ("/apps/faulty/now/null".to_owned(), false),
            ("/apps/faulty/later/overflow".to_owned(), false),
            ("/apps/faulty/thread/wild".to_owned(), false),
            ("/apps/faulty/beside/free".to_owned(), false),
            ("/apps/nobody/".to_owned(), false),
        ];
        let (target, blocks) = &calls[self.random.usize(0..calls.len())];
        let call = match target.strip_prefix("POST ") {
            Some(target) => Call::post(target, "x"),
            None => Call::get(target),
        };
        (call, *blocks)
    }
}

/// Changes what the host has.
struct World<'a> {
    host: &'a Host,
    random: Rng,
    registered: Vec<&'static str>,
}

impl World<'_> {
    fn deed(&mut self) -> std::io::Result<()> {
        let (name, fixture, marks) = APPS[self.random.usize(0..APPS.len())];
        let mark = marks[self.random.usize(0..marks.len())];
        match self.random.u8(0..20) {
            0..=3 => self.host.replace(&file(name), patched(fixture, mark)),
            4 => std::fs::write(self.path(name), patched(fixture, mark))?,
            5 => {
                std::fs::remove_file(self.path(name)).ok();
                std::fs::write(self.path(name), patched(fixture, mark))?;
            }
            6 => self.host.replace(&file(name), "this is no library"),
            7 => self.host.replace(&file(name), &patched(fixture, mark)[..10_000]),
            8 => {
                for number in 0..50 {
                    self.host.replace(&file(name), patched(fixture, marks[number % marks.len()]));
                }
            }
            9 | 10 => self.host.replace(&file(COUNTER), counter(self.random.u64(..))),
            11 => {
                // The counter stays: a removed app loses its count.
                self.registered = all_apps();
                self.registered.retain(|name| *name == COUNTER || self.random.bool());
                self.register();
            }
            12 => {
                self.registered = all_apps();
                self.register();
            }
            13 => self.host.replace("apps.json", "[{ \"name\": "),
            14 => attack::kill_app_process(self.host, COUNTER, &mut self.random),
            15 | 16 => attack::signal(self.host, attack::any_signal(&mut self.random)),
            17 => attack::use_up_descriptors(self.host.address()),
            18 => attack::fill_disk(&self.root().join("tmp"))?,
            _ => attack::flood_http2(self.host.address()),
        }
        Ok(())
    }

    fn register(&mut self) {
        let workers = self.random.u64(1..4);
        let random = &mut self.random;
        let any = |_: &str| if random.bool() { Isolation::Process } else { Isolation::Thread };
        let registry = registry(&self.registered, workers, any);
        self.host.replace("apps.json", registry);
    }

    /// Gives every app a good library, and registers them all.
    fn mend(&mut self) -> std::io::Result<()> {
        for (name, fixture, marks) in APPS {
            self.host.replace(&file(name), patched(fixture, marks[0]));
        }
        self.registered = all_apps();
        self.host.replace("apps.json", registry(&self.registered, 1, |_| Isolation::Thread));
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.host.folder().join(file(name))
    }

    /// The host's folder as the host sees it, with the file systems that are mounted for it alone.
    fn root(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.host.pid()));
        self.host.folder().components().skip(1).fold(root, |path, part| path.join(part))
    }
}
