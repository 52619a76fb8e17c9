//! A host with many apps.

use std::cell::OnceCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use atoll_host::internal::Registry;
use criterion::{Criterion, SamplingMode};

use crate::comparison::{Comparison, Connect};
use crate::host::{self, Host};
use crate::library::Copied;
use crate::load::Clients;
use crate::request::Target;
use crate::servers::Atoll;
use crate::table::{Row, Samples, Table, Unit};
use crate::turns::Turns;

/// How many apps are registered.
const APPS: usize = 1000;

/// How many of them are asked, and so loaded.
const ASKED: usize = 200;

const CONNECTIONS: usize = 64;

pub(crate) fn bench(criterion: &mut Criterion, table: &mut Table) {
    requests(criterion, table);
    lookup(criterion, table);
}

/// Requests to many of the apps, against as many to one of them.
fn requests(criterion: &mut Criterion, table: &mut Table) {
    let host = OnceCell::new();
    let comparison = Comparison {
        id: "http-1000-apps",
        name: "HTTP, 64 connections, to 200 of 1,000 apps",
        unit: Unit::Rate("/s"),
        sides: ["200-apps", "1-app"],
        base: "to one of them",
        of: "request",
        each: 1,
        warm_up: CONNECTIONS as u64,
        slice: 2000,
    };
    comparison.bench(criterion, table, || {
        let host = host.get_or_init(|| Atoll::with_apps(Copied::of("hello"), &host::names(APPS)));
        let targets: Vec<Target> =
            host::names(ASKED).iter().map(|name| Target::app(host.address, name)).collect();
        // All of them start here, some at a time.
        Clients::connect(&targets, 8).run(ASKED as u64);
        let one = targets[..1].to_vec();
        [targets, one].map(|targets| -> Connect {
            Box::new(move || {
                let mut clients = Clients::connect(&targets, CONNECTIONS);
                Box::new(move |requests| clients.run(requests))
            })
        })
    });
}

/// Two hosts whose apps are looked up.
struct Hosts {
    many: Host,
    names: Vec<String>,
    one: Host,
}

/// What it takes to find an app by its name among many, against one that is the only one.
fn lookup(criterion: &mut Criterion, table: &mut Table) {
    let (hosts, turns, samples) = (OnceCell::new(), Turns::of(10_000), Samples::default());
    let mut group = criterion.benchmark_group("lookup");
    group.sampling_mode(SamplingMode::Flat).sample_size(Samples::SIZE);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.bench_function("1000-apps", |bencher| {
        let hosts = hosts.get_or_init(|| {
            let names = host::names(APPS);
            Hosts { many: Host::with_apps(&names, Copied::of("hello")), names, one: Host::new() }
        });
        bencher.iter_custom(|iterations| {
            let (many, one) = turns.take(
                &mut (),
                iterations,
                |(), count| find(hosts.many.registry(), &hosts.names, count),
                |(), count| find(hosts.one.registry(), &["hello".to_owned()], count),
            );
            samples.push(iterations, many, Some(one));
            many
        });
    });
    group.finish();
    table.add(
        Row::new("an app found by its name among 1,000", Unit::Time).against("the only one").with(samples),
    );
}

fn find(registry: &Registry, names: &[String], count: u64) -> Duration {
    let begun = Instant::now();
    for name in names.iter().cycle().take(count as usize) {
        assert!(black_box(registry.get(black_box(name))).is_some(), "{name} is registered");
    }
    begun.elapsed()
}
