//! Requests over HTTP through the host, against the same handler in a bare actix-web server.

use std::cell::OnceCell;
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, measurement::WallTime};

use crate::cpu;
use crate::load::{Client, Clients};
use crate::servers::Servers;
use crate::table::{Row, Samples, Table, Unit};
use crate::turns::by_turns;

const CONNECTIONS: usize = 64;

/// The sides of a comparison, each with a benchmark of its own in criterion.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Atoll,
    Bare,
}

impl Side {
    const BOTH: [(Self, &str); 2] = [(Self::Atoll, "atoll"), (Self::Bare, "bare")];

    fn of<T>(self, (atoll, bare): (T, T)) -> T {
        if self == Self::Atoll { atoll } else { bare }
    }
}

pub(crate) fn bench(criterion: &mut Criterion, table: &mut Table) {
    let servers = OnceCell::new();
    let servers = || servers.get_or_init(Servers::start);
    latency(criterion, table, &servers);
    throughput(criterion, table, &servers);
}

fn latency<'a>(criterion: &mut Criterion, table: &mut Table, servers: &impl Fn() -> &'a Servers) {
    let mut group = group(criterion, "http-1-connection");
    let mut row = Row::new("HTTP, 1 connection", Unit::Time).against("bare actix-web");
    for (side, id) in Side::BOTH {
        let samples = Samples::default();
        group.bench_function(id, |bencher| {
            let servers = servers();
            let mut clients = (Client::connect(servers.atoll), Client::connect(servers.bare));
            bencher.iter_custom(|iterations| {
                let (atoll, bare) = by_turns(
                    &mut clients,
                    iterations,
                    250,
                    |clients, count| clients.0.run(count),
                    |clients, count| clients.1.run(count),
                );
                samples.push(iterations, atoll, Some(bare));
                side.of((atoll, bare))
            });
        });
        row = row.with(samples);
    }
    group.finish();
    table.add(row);
}

fn throughput<'a>(criterion: &mut Criterion, table: &mut Table, servers: &impl Fn() -> &'a Servers) {
    let mut group = group(criterion, "http-64-connections");
    group.throughput(Throughput::Elements(1));
    let mut rate = Row::new("HTTP, 64 connections", Unit::Rate).against("bare actix-web");
    let mut cost =
        Row::new("  processor time of the server per request", Unit::Time).against("bare actix-web");
    for (side, id) in Side::BOTH {
        let (times, costs) = (Samples::default(), Samples::default());
        group.bench_function(id, |bencher| {
            let servers = servers();
            let connect =
                |server| Metered { clients: Clients::connect(server, CONNECTIONS), cost: Duration::ZERO };
            let mut sides = (connect(servers.atoll), connect(servers.bare));
            bencher.iter_custom(|iterations| {
                let before = (sides.0.cost, sides.1.cost);
                let (atoll, bare) = by_turns(
                    &mut sides,
                    iterations,
                    2000,
                    |sides, count| sides.0.run(count),
                    |sides, count| sides.1.run(count),
                );
                times.push(iterations, atoll, Some(bare));
                costs.push(iterations, sides.0.cost - before.0, Some(sides.1.cost - before.1));
                side.of((atoll, bare))
            });
        });
        rate = rate.with(times);
        cost = cost.with(costs);
    }
    group.finish();
    table.add(rate);
    table.add(cost);
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(Samples::SIZE)
        .warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(4));
    group
}

/// Clients, and how long all other threads ran for them: those of the one server that they have.
struct Metered {
    clients: Clients,
    cost: Duration,
}

impl Metered {
    fn run(&mut self, requests: u64) -> Duration {
        let others = || cpu::process().saturating_sub(cpu::thread());
        let before = others();
        let time = self.clients.run(requests);
        self.cost += others().saturating_sub(before);
        time
    }
}
