//! An app in a separate process, against the same app on threads of the host.

use std::cell::OnceCell;
use std::rc::Rc;

use criterion::Criterion;

use crate::comparison::{Comparison, Connect};
use crate::load::{Client, Clients};
use crate::request::Target;
use crate::servers::Atoll;
use crate::streams;
use crate::table::{Table, Unit};

const CONNECTIONS: usize = 64;

const ONE_CONNECTION: Comparison = Comparison {
    id: "process-1-connection",
    name: "an app in a process, 1 connection",
    unit: Unit::Time,
    sides: ["process", "thread"],
    base: "on a thread",
    of: "request",
    each: 1,
    warm_up: 1,
    slice: 250,
};

const MANY_CONNECTIONS: Comparison = Comparison {
    id: "process-64-connections",
    name: "an app in a process, 64 connections",
    unit: Unit::Rate("/s"),
    warm_up: CONNECTIONS as u64,
    slice: 2000,
    ..ONE_CONNECTION
};

/// The names of [`streams::KINDS`] here.
const STREAMS: [(&str, &str); streams::KINDS.len()] = [
    ("process-echo", "an app in a process, 64 MiB sent back as a stream"),
    ("process-events", "an app in a process, server-sent events to 100 clients"),
    ("process-pushes", "an app in a process, WebSocket messages to 100 clients"),
    ("process-echoes", "an app in a process, WebSocket messages of 100 clients, sent back"),
];

pub(crate) fn bench(criterion: &mut Criterion, table: &mut Table) {
    requests(criterion, table);
    streams(criterion, table);
}

/// The app in a process and on threads, started when the first of the benches runs, if one does.
struct Sides(&'static str, OnceCell<[Rc<Atoll>; 2]>);

impl Sides {
    fn of(package: &'static str) -> Self {
        Self(package, OnceCell::new())
    }

    fn get(&self) -> [Rc<Atoll>; 2] {
        self.1.get_or_init(|| [Atoll::in_process(self.0), Atoll::with(self.0)].map(Rc::new)).clone()
    }
}

fn requests(criterion: &mut Criterion, table: &mut Table) {
    const APP: &str = "hello";
    let sides = Sides::of(APP);
    for (comparison, is_alone) in [(ONE_CONNECTION, true), (MANY_CONNECTIONS, false)] {
        comparison.bench(criterion, table, || {
            sides.get().map(|atoll| -> Connect {
                let target = Target::app(atoll.address, APP);
                Box::new(move || {
                    if is_alone {
                        let mut client = Client::connect(&target);
                        Box::new(move |requests| client.run(requests))
                    } else {
                        let mut clients = Clients::connect(std::slice::from_ref(&target), CONNECTIONS);
                        Box::new(move |requests| clients.run(requests))
                    }
                })
            })
        });
    }
}

fn streams(criterion: &mut Criterion, table: &mut Table) {
    let sides = Sides::of(streams::APP);
    for ((comparison, connect), (id, name)) in streams::KINDS.into_iter().zip(STREAMS) {
        let comparison =
            Comparison { id, name, sides: ONE_CONNECTION.sides, base: ONE_CONNECTION.base, ..comparison };
        comparison.bench(criterion, table, || {
            sides.get().map(|atoll| -> Connect {
                let target = Target::app(atoll.address, streams::APP);
                Box::new(move || connect(&target))
            })
        });
    }
}
