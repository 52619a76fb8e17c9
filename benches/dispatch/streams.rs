//! Bodies and messages that come and go piece by piece, against the same in a bare actix-web server.

use std::cell::OnceCell;
use std::net::SocketAddr;

use criterion::Criterion;

use crate::comparison::{Comparison, Connect, Load};
use crate::load::{Echo, Listeners, Sockets};
use crate::request::Target;
use crate::servers::{Atoll, start_bare};
use crate::table::{Table, Unit};

pub(crate) const APP: &str = "bench-streams";

/// How many clients listen to events, or have a WebSocket.
const CLIENTS: usize = 100;

/// How many messages each of them gets at once: so many that what it took to ask for them does not count.
const MESSAGES: u64 = 100;

/// How many messages each of them sends and gets back at once.
const ECHOES: u64 = 10;

/// What the comparisons here have in common.
const COMPARISON: Comparison = Comparison {
    id: "",
    name: "",
    unit: Unit::Rate("/s"),
    sides: ["atoll", "bare"],
    base: "bare actix-web",
    of: "message",
    each: CLIENTS as u64 * MESSAGES,
    warm_up: 1,
    slice: 10,
};

/// What is compared, and how it is done over new connections.
pub(crate) type Kind = (Comparison, fn(&Target) -> Load);

pub(crate) const KINDS: [Kind; 4] = [
    (
        Comparison {
            id: "echo",
            name: "a body of 64 MiB, sent back as a stream",
            unit: Unit::Rate("MiB/s"),
            of: "MiB",
            each: Echo::MIB,
            slice: 1,
            ..COMPARISON
        },
        |target| {
            let mut echo = Echo::to(target);
            Box::new(move |times| echo.run(times))
        },
    ),
    (
        Comparison { id: "events", name: "server-sent events to 100 clients", of: "event", ..COMPARISON },
        |target| {
            let mut listeners = Listeners::connect(target, CLIENTS);
            Box::new(move |times| listeners.run(times * MESSAGES))
        },
    ),
    (Comparison { id: "pushes", name: "WebSocket messages to 100 clients", ..COMPARISON }, |target| {
        let mut sockets = Sockets::connect(target, "/pushes", CLIENTS);
        Box::new(move |times| sockets.pushes(times * MESSAGES))
    }),
    (
        Comparison {
            id: "echoes",
            name: "WebSocket messages of 100 clients, sent back",
            each: CLIENTS as u64 * ECHOES,
            ..COMPARISON
        },
        |target| {
            let mut sockets = Sockets::connect(target, "/echoes", CLIENTS);
            Box::new(move |times| sockets.echoes(times * ECHOES))
        },
    ),
];

pub(crate) fn bench(criterion: &mut Criterion, table: &mut Table) {
    // Started when the first of the benches runs, if one does.
    let servers: OnceCell<(Atoll, SocketAddr)> = OnceCell::new();
    for (comparison, connect) in KINDS {
        comparison.bench(criterion, table, || {
            let (atoll, bare) = servers.get_or_init(|| (Atoll::with(APP), start_bare()));
            [atoll.address, *bare].map(|server| -> Connect {
                let target = Target::app(server, APP);
                Box::new(move || connect(&target))
            })
        });
    }
}
