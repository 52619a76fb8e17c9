//! An axum app in the host, against the same router served by axum alone.

use std::cell::OnceCell;
use std::net::SocketAddr;

use criterion::Criterion;

use crate::comparison::{Comparison, Connect, Load};
use crate::load::{Clients, Echo};
use crate::request::Target;
use crate::servers::{Atoll, start_axum};
use crate::table::{Table, Unit};

const APP: &str = "bench-axum";

const CONNECTIONS: usize = 64;

/// What is compared, and how it is done over new connections.
type Kind = (Comparison, fn(&Target) -> Load);

const KINDS: [Kind; 2] = [
    (
        Comparison {
            id: "axum-64-connections",
            name: "an axum app, 64 connections",
            unit: Unit::Rate("/s"),
            sides: ["atoll", "alone"],
            base: "the app alone",
            of: "request",
            each: 1,
            warm_up: CONNECTIONS as u64,
            slice: 2000,
        },
        |target| {
            let mut clients = Clients::connect(std::slice::from_ref(target), CONNECTIONS);
            Box::new(move |requests| clients.run(requests))
        },
    ),
    (
        Comparison {
            id: "axum-echo",
            name: "an axum app, 64 MiB sent back as a stream",
            unit: Unit::Rate("MiB/s"),
            sides: ["atoll", "alone"],
            base: "the app alone",
            of: "MiB",
            each: Echo::MIB,
            warm_up: 1,
            slice: 1,
        },
        |target| {
            let mut echo = Echo::to(target);
            Box::new(move |times| echo.run(times))
        },
    ),
];

pub(crate) fn bench(criterion: &mut Criterion, table: &mut Table) {
    // Started when the first of the benches runs, if one does.
    let servers: OnceCell<(Atoll, SocketAddr)> = OnceCell::new();
    for (comparison, connect) in KINDS {
        comparison.bench(criterion, table, || {
            let (atoll, alone) = servers.get_or_init(|| (Atoll::with(APP), start_axum()));
            let alone = Target { server: *alone, prefix: String::new() };
            [Target::app(atoll.address, APP), alone]
                .map(|target| -> Connect { Box::new(move || connect(&target)) })
        });
    }
}
