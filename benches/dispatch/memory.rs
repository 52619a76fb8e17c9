//! What a loaded app takes of memory when it has nothing to do.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};
use serde::{Deserialize, Serialize};

use crate::child::{Child, Job};
use crate::cpu;
use crate::host::{self, Host};
use crate::library::Copied;
use crate::table::{Row, Samples, Table, Unit};

/// How many apps are loaded.
const APPS: usize = 200;

/// How many of them are, each in a process.
const PROCESSES: usize = 50;

/// What follows the library in the arguments of a child whose apps are in processes.
const IN_PROCESSES: &str = "in-processes";

/// Each sample is a process of its own.
const SAMPLES: usize = 10;

/// What a child prints.
#[derive(Debug, Deserialize, Serialize)]
struct Weight {
    /// Until all apps have answered once, in seconds.
    started: f64,
    /// By how much the process has grown, in KiB: all memory in RAM. Of app processes: their memory, with their part of what
    /// they share.
    resident: u64,
    /// The part of it that is no file's: heaps, stacks, and the pages of libraries that were written to.
    anonymous: u64,
}

pub(crate) fn bench(criterion: &mut Criterion, table: &mut Table) {
    let mut group = criterion.benchmark_group("memory");
    group.sampling_mode(SamplingMode::Flat).sample_size(SAMPLES);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(1));
    let library = RefCell::new(None);
    let kinds = [
        ("200-idle-apps", "memory of a loaded app at rest, of 200", APPS, None),
        ("50-idle-processes", "memory of an app process at rest, of 50", PROCESSES, Some(IN_PROCESSES)),
    ];
    for (id, name, apps, place) in kinds {
        let (started, resident, anonymous) =
            (Samples::of(SAMPLES), Samples::of(SAMPLES), Samples::of(SAMPLES));
        // What criterion reports is the time in which they start.
        group.bench_function(id, |bencher| {
            let mut library = library.borrow_mut();
            let path = library.get_or_insert_with(|| Copied::of("hello")).path();
            let path = path.to_str().expect("the temporary folder has a plain name");
            let arguments: Vec<&str> = [path].into_iter().chain(place).collect();
            bencher.iter_custom(|iterations| {
                let mut time = Duration::ZERO;
                for _ in 0..iterations {
                    let child = Child::start(Job::WeighApps, &arguments);
                    let weight: Weight =
                        serde_json::from_str(&child.output()).expect("the child prints its weight");
                    let took = Duration::from_secs_f64(weight.started);
                    time += took;
                    started.push(apps as u64, took, None);
                    resident.push_value(weight.resident as f64 / apps as f64);
                    anonymous.push_value(weight.anonymous as f64 / apps as f64);
                }
                time
            });
        });
        table.add(Row::new(name, Unit::Memory).with(resident));
        table.add(Row::new("  of which not pages of files", Unit::Memory).with(anonymous));
        table.add(Row::new("  time to its first answer", Unit::Time).with(started));
    }
    group.finish();
}

/// Loads many apps in a process that has little else in it, and prints what they take.
pub(crate) fn weigh_apps(arguments: &[String]) {
    let library = arguments.first().expect("the bench names a library");
    let library = Copied::from_file(Path::new(library));
    let (host, names, weighed): (_, _, fn() -> Held) = match arguments.get(1) {
        Some(place) => {
            assert_eq!(place, IN_PROCESSES);
            let names = host::names(PROCESSES + 1);
            (Host::with_processes(&names, library), names, held_by_processes)
        }
        None => {
            let names = host::names(APPS + 1);
            (Host::with_apps(&names, library), names, held)
        }
    };
    let weight = host.run(async {
        let work = weigh(&host, &names, weighed);
        tokio::time::timeout(Duration::from_secs(60), work).await.expect("apps start within a minute")
    });
    println!("{}", serde_json::to_string(&weight).expect("numbers can be written"));
}

async fn weigh(host: &Host, names: &[String], weighed: fn() -> Held) -> Weight {
    let (first, rest) = names.split_first().expect("there are some");
    // What the host needs once, whatever apps it has.
    ask(host, first).await;
    let before = at_rest(weighed).await;
    let begun = Instant::now();
    for name in rest {
        ask(host, name).await;
    }
    let started = begun.elapsed().as_secs_f64();
    let after = at_rest(weighed).await;
    Weight {
        started,
        resident: after.resident.saturating_sub(before.resident),
        anonymous: after.anonymous.saturating_sub(before.anonymous),
    }
}

async fn ask(host: &Host, name: &str) {
    let app = host.registry().get(name).expect("it is registered");
    host::send(&app).await;
}

/// The memory of a process, in KiB.
#[derive(Clone, Copy)]
struct Held {
    resident: u64,
    anonymous: u64,
}

/// The least within half a second: what is under way just now does not count.
async fn at_rest(weighed: fn() -> Held) -> Held {
    let mut least = weighed();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(25)).await;
        let now = weighed();
        if now.resident < least.resident {
            least = now;
        }
    }
    least
}

/// All that is in RAM of this process.
fn held() -> Held {
    let memory = Memory::of("self");
    Held { resident: memory.field("Rss:"), anonymous: memory.field("Anonymous:") }
}

/// What app processes have, each with its part of what it shares.
fn held_by_processes() -> Held {
    cpu::app_processes().fold(Held { resident: 0, anonymous: 0 }, |held, process| {
        let memory = Memory::of(&process.to_string());
        let (resident, anonymous) = (memory.field("Pss:"), memory.field("Pss_Anon:"));
        Held { resident: held.resident + resident, anonymous: held.anonymous + anonymous }
    })
}

/// What the system says of a process's memory.
struct Memory(String);

impl Memory {
    fn of(process: &str) -> Self {
        let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"));
        Self(text.expect("the system lists the memory"))
    }

    fn field(&self, name: &str) -> u64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        number.unwrap_or_else(|| panic!("the system says nothing of {name}"))
    }
}
