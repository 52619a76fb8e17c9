//! `soak fleet`: hosts that share an app through NATS, while it is deployed and hosts, servers and networks fail. What has to hold:
//! hosts answer every request, and all of them have the last version again without a hand.

mod clients;
mod link;
mod member;
mod servers;
mod traffic;
mod world;

use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::json;

use self::member::Member;
use self::servers::Servers;
use self::world::{OPERATORS, World};
use crate::installed;
use crate::table::Table;

/// Has hosts that share an app through NATS fail, with their servers and networks, while it is deployed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For how many seconds, and at least until everything has happened once.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// The seed of a run that is to be repeated.
    #[arg(long)]
    seed: Option<u64>,
    /// How many hosts there are.
    #[arg(long, default_value_t = 3)]
    hosts: usize,
    /// How many NATS servers there are, in one cluster.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    servers: u8,
    /// How many clients each host has.
    #[arg(long, default_value_t = 2)]
    clients: usize,
    /// How many apps each host has beside the one of the fleet; they do not run.
    #[arg(long, default_value_t = 0)]
    apps: usize,
    /// For how many seconds all is idle, to count what hosts send to one server then.
    #[arg(long, default_value_t = 10)]
    idle: u64,
    /// Only deploy, without faults.
    #[arg(long)]
    calm: bool,
}

pub(crate) fn run(args: &Args) -> Result<Table, String> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(0..1_000_000));
    eprintln!("seed {seed}");
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut table = Table::new(format!(
        "{} hosts and {} servers for {} s, seed {seed}",
        args.hosts, args.servers, args.seconds
    ));
    let mut world = start(args, seed, folder.path())?;
    // A server of a cluster counts what the others send it as well.
    let counts = args.servers == 1;
    if counts {
        rest(args, &world, &mut table)?;
    }
    let before = world.servers.traffic()?;
    world.deploy()?;
    if counts {
        let deployed = world.servers.traffic()? - before;
        table.row("deployment: messages from hosts and command", deployed.received);
        table.row("deployment: messages to them", deployed.sent);
        table.row("deployment: KiB", deployed.bytes >> 10);
    }

    world.members.iter().for_each(Member::use_it);
    let begun = Instant::now();
    let mut deeds = 0;
    while begun.elapsed() < Duration::from_secs(args.seconds) || !(args.calm || world::is_complete(deeds)) {
        if args.calm {
            world.deploy()?
        } else {
            world.deed(deeds)?
        }
        deeds += 1;
    }
    let (mut sent, mut failed) = (0, 0);
    for member in std::mem::take(&mut world.members) {
        let (more_sent, more_failed) = member.stop();
        (sent, failed) = (sent + more_sent, failed + more_failed);
    }
    let mut times = world.times;
    times.sort();
    let millis = |time: Option<&Duration>| time.map_or(0, Duration::as_millis);
    table.row("what happened", deeds);
    table.row("requests sent", sent);
    table.check("requests failed", failed, 0, failed == 0 && sent > 0);
    table.check("apps started again because of NATS", world.started_again, 0, world.started_again == 0);
    table.row("undisturbed deployments", times.len());
    table.row("until all hosts serve one, median ms", millis(times.get(times.len() / 2)));
    table.row("until all hosts serve one, longest ms", millis(times.last()));
    Ok(table)
}

/// Starts the servers, and the hosts one after the other.
fn start(args: &Args, seed: u64, folder: &Path) -> Result<World, String> {
    let program = installed::find("nats-server").ok_or("no nats-server: run .ci/install-programs")?;
    let servers = Servers::start(&program, args.servers.into(), folder)?;
    let app = |number| json!({ "name": format!("app-{number}"), "path": "none.so" });
    let apps: Vec<_> = (0..args.apps).map(app).collect();
    let operators =
        json!({ "tenants": [{ "apps": ["app"], "settings": { "isolation": "thread", OPERATORS: 9 } }] });
    let member = |number: usize| {
        let more = if number + 1 == args.hosts { operators.clone() } else { json!({}) };
        Member::start(&format!("host-{number:02}"), &servers, &apps, more, args.clients)
    };
    let members = (0..args.hosts).map(member).collect::<Result<Vec<_>, _>>()?;
    members.iter().try_for_each(|member| member.wait_for_hosts(args.hosts, args.apps))?;
    let random = Rng::with_seed(seed);
    Ok(World { servers, members, random, version: 0, times: Vec::new(), started_again: 0 })
}

/// Counts what goes through NATS until all hosts have joined, and while they are idle.
fn rest(args: &Args, world: &World, table: &mut Table) -> Result<(), String> {
    let (hosts, seconds) = (args.hosts as u64, args.idle.max(1));
    let start = world.servers.traffic()?;
    table.row("start: messages of a host", start.received / hosts);
    table.row("start: KiB to and from NATS for each host", (start.bytes >> 10) / hosts);
    std::thread::sleep(Duration::from_secs(seconds));
    let idle = world.servers.traffic()? - start;
    let rate = idle.received as f64 / (hosts * seconds) as f64;
    table.check("idle: messages of a host each s", format!("{rate:.2}"), "< 1", rate < 1.0);
    table.row("idle: KiB to and from NATS each s", (idle.bytes >> 10) / seconds);
    Ok(())
}
