//! Long runs against the real command: `cargo soak reload`, `idle`, `streams`, `preflight`, `faults`, `pool`, `takeover`, `usage`,
//! `fleet`, `chaos`.
//!
//! Each prints a table of what it counted, and fails when the books do not balance.

#[path = "../../../host/tests/installed/mod.rs"]
mod installed;
#[path = "../../../host/tests/nats/mod.rs"]
mod nats;
#[path = "../../../host/tests/support/mod.rs"]
mod support;

mod chaos;
mod faults;
mod fleet;
mod idle;
mod isolation;
mod load;
mod pool;
mod preflight;
mod process;
mod reload;
mod streams;
mod table;
mod takeover;
mod usage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Long runs against the real command.
#[derive(Debug, Parser)]
#[command(name = "soak", bin_name = "cargo soak")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reloads an app under load.
    Reload(reload::Args),
    /// Starts and idles out many apps.
    Idle(idle::Args),
    /// Keeps many streams and WebSockets open on an app that is replaced.
    Streams(streams::Args),
    /// Replaces an app by damaged libraries under load.
    Preflight(preflight::Args),
    /// Has an app in a process fault, in all ways.
    Faults(faults::Args),
    /// Replaces a host under load.
    Takeover(takeover::Args),
    /// Compares what is counted of the apps' processor time with what the system counts.
    Usage(usage::Args),
    /// Reuses the connections of a load balancer after random pauses.
    Pool(pool::Args),
    /// Has the hosts of a fleet fail, with their servers and networks, while an app is deployed.
    Fleet(fleet::Args),
    /// Does everything that may go wrong, at random, with a seed.
    Chaos(chaos::Args),
}

fn main() -> ExitCode {
    support::allow_many_files();
    let ran = match Cli::parse().command {
        Command::Reload(args) => reload::run(&args),
        Command::Idle(args) => idle::run(&args),
        Command::Streams(args) => streams::run(&args),
        Command::Preflight(args) => preflight::run(&args),
        Command::Faults(args) => faults::run(&args),
        Command::Takeover(args) => takeover::run(&args),
        Command::Usage(args) => usage::run(&args),
        Command::Pool(args) => pool::run(&args),
        Command::Fleet(args) => fleet::run(&args),
        Command::Chaos(args) => chaos::run(&args),
    };
    match ran {
        Ok(table) => {
            println!("{table}");
            if table.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}
