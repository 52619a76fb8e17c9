//! Requests over HTTP through the host, against the same handler in a bare actix-web server.

use std::cell::OnceCell;
use std::net::SocketAddr;
use std::rc::Rc;

use criterion::Criterion;

use crate::awake::Awake;
use crate::comparison::{Comparison, Connect};
use crate::load::{Client, Clients};
use crate::request::Target;
use crate::servers::{Atoll, start_bare};
use crate::table::{Table, Unit};

/// The host with `hello`, and the bare server.
struct Servers {
    atoll: Atoll,
    bare: SocketAddr,
}

struct Kind {
    id: &'static str,
    name: &'static str,
    connections: u64,
    awake: bool,
}

const KINDS: [Kind; 4] = [
    Kind { id: "http-1-connection", name: "HTTP, 1 connection", connections: 1, awake: false },
    Kind {
        id: "http-1-connection-awake",
        name: "HTTP, 1 connection, processors kept awake",
        connections: 1,
        awake: true,
    },
    Kind { id: "http-64-connections", name: "HTTP, 64 connections", connections: 64, awake: false },
    Kind { id: "http-256-connections", name: "HTTP, 256 connections", connections: 256, awake: false },
];

pub(crate) fn bench(criterion: &mut Criterion, table: &mut Table) {
    // Started when the first of the benches runs, if one does.
    let servers = OnceCell::new();
    for kind in KINDS {
        let alone = kind.connections == 1;
        let comparison = Comparison {
            id: kind.id,
            name: kind.name,
            unit: if alone { Unit::Time } else { Unit::Rate("/s") },
            sides: ["atoll", "bare"],
            base: "bare actix-web",
            of: "request",
            each: 1,
            warm_up: kind.connections,
            slice: if alone { 250 } else { 2000 },
        };
        comparison.bench(criterion, table, || {
            let servers = servers.get_or_init(|| Servers { atoll: Atoll::with("hello"), bare: start_bare() });
            let awake = kind.awake.then(|| Rc::new(Awake::keep()));
            [servers.atoll.address, servers.bare]
                .map(|server| connect(Target::app(server, "hello"), kind.connections, awake.clone()))
        });
    }
}

fn connect(target: Target, connections: u64, awake: Option<Rc<Awake>>) -> Connect {
    Box::new(move || {
        // Until the comparison is over.
        let _awake = &awake;
        if connections == 1 {
            let mut client = Client::connect(&target);
            Box::new(move |requests| client.run(requests))
        } else {
            let mut clients = Clients::connect(std::slice::from_ref(&target), connections as usize);
            Box::new(move |requests| clients.run(requests))
        }
    })
}
