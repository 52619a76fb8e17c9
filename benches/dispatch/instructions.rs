//! How many instructions of the server a request takes, counted by valgrind's callgrind in all threads and libraries, without the
//! kernel. What else the machine does makes no difference to them, so they are held to a budget.

use std::cell::{OnceCell, RefCell};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs, io, slice};

use criterion::{Criterion, SamplingMode};

use crate::child::{Child, Job};
use crate::library::Copied;
use crate::load::Client;
use crate::request::Target;
use crate::servers::{self, Atoll};
use crate::table::{Row, Samples, Table, Unit};

/// How many are sent one after the other for each sample of the time that criterion reports, which is that under valgrind.
const REQUESTS: u64 = 100;

/// How many are sent before anything is counted: the first one starts an app.
const WARM_UP: u64 = 50;

/// As few samples as criterion takes.
const SAMPLES: usize = 10;

/// What is compared.
struct Kind {
    id: &'static str,
    name: &'static str,
    /// The app, which is a package as well.
    app: &'static str,
    /// Serves the same without a host.
    without: Without,
    /// How many instructions more the host may take for a request: in an optimised build, and in one that is not.
    budgets: [f64; 2],
}

/// A server without a host.
#[derive(Clone, Copy)]
enum Without {
    Bare,
    Axum,
}

const KINDS: [Kind; 2] = [
    Kind {
        id: "plain",
        name: "instructions of a request",
        app: "hello",
        without: Without::Bare,
        budgets: [16_000.0, 292_000.0],
    },
    Kind {
        id: "axum",
        name: "instructions of a request to an axum app",
        app: "bench-axum",
        without: Without::Axum,
        budgets: [57_000.0, 570_000.0],
    },
];

/// Counts; whether all that is counted is within its budget.
pub(crate) fn bench(criterion: &mut Criterion, table: &mut Table) -> bool {
    if !has_valgrind() {
        return true;
    }
    let mut group = criterion.benchmark_group("instructions");
    group.sampling_mode(SamplingMode::Flat).sample_size(SAMPLES);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(1));
    let mut is_within = true;
    for Kind { id, name, app, without, budgets } in KINDS {
        let library = OnceCell::new();
        let library = || library.get_or_init(|| Copied::of(app)).path();
        let start_host =
            || Counted::start(&["host", app, path_text(&library())], &|server| Target::app(server, app));
        let start_without = || Counted::start(&[without.name()], &|server| without.target(server, app));
        let mut count = |side: &str, start: &dyn Fn() -> Counted| {
            let server = RefCell::new(None);
            group.bench_function(format!("{id}-{side}"), |bencher| {
                let mut server = server.borrow_mut();
                let server = server.get_or_insert_with(start);
                bencher.iter_custom(|iterations| server.ask(iterations * REQUESTS));
            });
            Some(server.into_inner()?.each_beyond(start()))
        };
        let (host, base) = (count("host", &start_host), count(without.name(), &start_without));
        let (Some(host), Some(base)) = (host, base) else { continue };
        let budget = budgets[usize::from(cfg!(debug_assertions))];
        is_within &= host - base <= budget;
        for (name, count) in [
            (name, host),
            ("  the same without a host", base),
            ("  beyond that", host - base),
            ("  its budget", budget),
        ] {
            let samples = Samples::of(1);
            samples.push_value(count);
            table.add(Row::new(name, Unit::Instructions).with(samples));
        }
    }
    group.finish();
    is_within
}

/// Whether there is one.
///
/// # Panics
/// In CI, where there has to be.
fn has_valgrind() -> bool {
    let is_there = Command::new("valgrind").arg("--version").output().is_ok();
    assert!(is_there || env::var_os("CI").is_none(), ".ci/install-programs installs valgrind");
    if !is_there {
        eprintln!("skipped: instructions are counted by valgrind, which is not installed");
    }
    is_there
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("the temporary folder has a plain name")
}

impl Without {
    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Axum => "alone",
        }
    }

    fn target(self, server: SocketAddr, app: &str) -> Target {
        match self {
            Self::Bare => Target::app(server, app),
            Self::Axum => Target { server, prefix: String::new() },
        }
    }
}

/// A server under callgrind, with a client.
struct Counted {
    child: Child,
    client: Client,
    asked: u64,
    folder: tempfile::TempDir,
}

impl Counted {
    fn start(server: &[&str], target: &dyn Fn(SocketAddr) -> Target) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let output = format!("--callgrind-out-file={}", counts(folder.path()).display());
        let valgrind = ["valgrind", "--quiet", "--tool=callgrind", &output];
        let mut child = Child::start_within(&valgrind, Job::Serve, server);
        let address = child.line().parse().expect("the child prints its address");
        let mut client = Client::connect(&target(address));
        client.run(WARM_UP);
        Self { child, client, asked: WARM_UP, folder }
    }

    fn ask(&mut self, requests: u64) -> Duration {
        self.asked += requests;
        self.client.run(requests)
    }

    /// Ends it: how many requests it had, and how many instructions it took in all.
    fn end(self) -> (u64, u64) {
        drop(self.client);
        self.child.end();
        let text = fs::read_to_string(counts(self.folder.path())).expect("callgrind writes its counts");
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
        (self.asked, total.expect("callgrind counts the total"))
    }

    /// The instructions of each request that this server had and the other one, which is equal, had not.
    fn each_beyond(self, other: Self) -> f64 {
        let ((few, least), (many, all)) = (other.end(), self.end());
        all.saturating_sub(least) as f64 / (many - few) as f64
    }
}

fn counts(folder: &Path) -> PathBuf {
    folder.join("callgrind.out")
}

/// Serves what the arguments name until standard input ends.
pub(crate) fn serve(arguments: &[String]) {
    let mut host = None;
    let address = match arguments {
        [server] if server == Without::Bare.name() => servers::start_bare(),
        [server] if server == Without::Axum.name() => servers::start_axum(),
        [_, app, library] => {
            let library = Copied::from_file(Path::new(library));
            host.insert(Atoll::with_apps(library, slice::from_ref(app))).address
        }
        _ => panic!("the bench names a server, or an app with its library"),
    };
    println!("{address}");
    io::copy(&mut io::stdin(), &mut io::sink()).expect("standard input can be read");
}
