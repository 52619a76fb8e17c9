//! The turns, and what each peer showed in them.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::load::{Client, EXPECTED, many};
use crate::options::Options;
use crate::peer::{Peer, cold_name};
use crate::server::Server;

/// How long a server is under load before its turn, for new connections to be accepted.
const WARM_UP: Duration = Duration::from_millis(300);

/// How long a server is under load before the first turn, for code to be compiled.
const FIRST_WARM_UP: Duration = Duration::from_secs(2);

/// What a peer showed in one turn.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    /// Requests in a second, over many connections.
    pub(crate) rate: f64,
    /// Seconds of CPU time for each of those.
    pub(crate) cpu: f64,
    /// Half of the answers over one connection came within so many seconds.
    pub(crate) half: f64,
    /// And 99 of a hundred within so many.
    pub(crate) most: f64,
}

/// What a peer showed.
pub(crate) struct Measured {
    pub(crate) peer: Peer,
    pub(crate) turns: Vec<Turn>,
    /// The memory after the last turn, in bytes.
    pub(crate) resident: u64,
    /// How many seconds the first answer of an app took, for each app that was started.
    pub(crate) starts: Vec<f64>,
}

/// Measures all of these servers by turns.
pub(crate) fn measure(servers: &[Server], options: &Options) -> anyhow::Result<Vec<Measured>> {
    for server in servers {
        many(server.address, options.connections, FIRST_WARM_UP, Duration::ZERO, || Ok(()))
            .with_context(|| server.peer.name())?;
    }
    let new = |server: &Server| Measured { peer: server.peer, turns: vec![], resident: 0, starts: vec![] };
    let mut measured: Vec<_> = servers.iter().map(new).collect();
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        // Who comes after whom differs from round to round.
        for place in 0..servers.len() {
            let place = (place + round as usize) % servers.len();
            let turn = turn(&servers[place], options).with_context(|| servers[place].peer.name())?;
            measured[place].turns.push(turn);
        }
    }
    for (server, measured) in servers.iter().zip(&mut measured) {
        measured.resident = server.tree()?.resident();
    }
    eprintln!("first requests");
    for number in 0..options.cold {
        for (server, measured) in servers.iter().zip(&mut measured) {
            if server.peer.starts_apps() {
                let start = start(server, number).with_context(|| server.peer.name())?;
                measured.starts.push(start.as_secs_f64());
            }
        }
    }
    Ok(measured)
}

fn turn(server: &Server, options: &Options) -> anyhow::Result<Turn> {
    let mut before = Duration::ZERO;
    let (requests, time) = many(server.address, options.connections, WARM_UP, options.turn(), || {
        before = server.tree()?.cpu();
        Ok(())
    })?;
    let cpu = server.tree()?.cpu().saturating_sub(before);

    let mut client = Client::connect(server.address)?;
    client.run(WARM_UP)?;
    let mut times = client.run(options.turn() / 2)?;
    times.sort_unstable();
    let part = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize].as_secs_f64();
    Ok(Turn {
        rate: requests as f64 / time.as_secs_f64(),
        cpu: cpu.as_secs_f64() / requests as f64,
        half: part(0.5),
        most: part(0.99),
    })
}

/// How long the first answer of an app takes, from a server that is awake.
fn start(server: &Server, number: u32) -> anyhow::Result<Duration> {
    let mut client = Client::connect(server.address)?;
    client.run(WARM_UP / 10)?;
    let begun = Instant::now();
    let answer = client.ask(&cold_name(number))?;
    let took = begun.elapsed();
    anyhow::ensure!(answer.status == 200, "the first answer of an app has status {}", answer.status);
    anyhow::ensure!(answer.body == EXPECTED, "the first answer of an app is another than the second");
    Ok(took)
}
