//! Requests over HTTP through the host, against the same handler in a bare actix-web server.

use std::cell::OnceCell;
use std::net::SocketAddr;
use std::time::Duration;

use criterion::{Criterion, SamplingMode};

use crate::cpu;
use crate::load::{Client, Clients};
use crate::servers::Servers;
use crate::table::{Row, Samples, Table, Unit};
use crate::turns::by_turns;

/// Sends so many requests and says how long it took.
type Load = Box<dyn FnMut(u64) -> Duration>;

struct Kind {
    id: &'static str,
    name: &'static str,
    unit: Unit,
    connections: u64,
    /// How many requests are sent to one server before it is the other's turn.
    slice: u64,
    connect: fn(SocketAddr) -> Load,
}

const KINDS: [Kind; 2] = [
    Kind {
        id: "http-1-connection",
        name: "HTTP, 1 connection",
        unit: Unit::Time,
        connections: 1,
        slice: 250,
        connect: |server| {
            let mut client = Client::connect(server);
            Box::new(move |requests| client.run(requests))
        },
    },
    Kind {
        id: "http-64-connections",
        name: "HTTP, 64 connections",
        unit: Unit::Rate,
        connections: 64,
        slice: 2000,
        connect: |server| {
            let mut clients = Clients::connect(server, 64);
            Box::new(move |requests| clients.run(requests))
        },
    },
];

/// What requests to one server have taken.
#[derive(Default)]
struct Spent {
    time: Duration,
    /// How long the server's threads ran.
    processor: Duration,
}

pub(crate) fn bench(criterion: &mut Criterion, table: &mut Table) {
    // Started when the first of the benches runs, if one does.
    let servers = OnceCell::new();
    for kind in KINDS {
        let mut group = criterion.benchmark_group(kind.id);
        group.sampling_mode(SamplingMode::Flat).sample_size(Samples::SIZE);
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(4));
        let row = |name, unit| Row::new(name, unit).against("bare actix-web");
        let mut time = row(kind.name, kind.unit);
        let mut processor = row("  processor time of the server", Unit::Time);
        for (index, id) in ["atoll", "bare"].into_iter().enumerate() {
            let (times, processors) = (Samples::default(), Samples::default());
            group.bench_function(id, |bencher| {
                let servers = servers.get_or_init(Servers::start);
                bencher.iter_custom(|iterations| {
                    let [atoll, bare] = sample(&kind, servers, iterations);
                    times.push(iterations, atoll.time, Some(bare.time));
                    processors.push(iterations, atoll.processor, Some(bare.processor));
                    [atoll.time, bare.time][index]
                });
            });
            time = time.with(times);
            processor = processor.with(processors);
        }
        group.finish();
        table.add(time);
        table.add(processor);
    }
}

/// As many requests to the one server as to the other.
fn sample(kind: &Kind, servers: &Servers, iterations: u64) -> [Spent; 2] {
    let mut spent = [Spent::default(), Spent::default()];
    by_turns(
        &mut spent,
        iterations,
        kind.slice,
        |[atoll, _], requests| atoll.add(kind, servers.atoll, requests),
        |[_, bare], requests| bare.add(kind, servers.bare, requests),
    );
    spent
}

impl Spent {
    /// Sends requests over new connections, because it makes a difference which of a server's threads gets one, and
    /// on which processor.
    fn add(&mut self, kind: &Kind, server: SocketAddr, requests: u64) -> Duration {
        // All threads but this one are the servers', and one server has nothing to do.
        let servers = || cpu::process().saturating_sub(cpu::thread());
        let mut load = (kind.connect)(server);
        load(kind.connections);
        let before = servers();
        let time = load(requests);
        self.processor += servers().saturating_sub(before);
        self.time += time;
        time
    }
}
