//! The `atoll` command line.

mod serve;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Runs many native Rust apps in one process.
#[derive(Debug, Parser)]
#[command(name = "atoll", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the apps of apps.json; a library that changes on disk is reloaded.
    Serve(ServeArgs),
    /// Prints the JSON schema of apps.json.
    Schema,
}

/// Where the apps are, and where they are served.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    /// The registry of apps.
    #[arg(long, value_name = "FILE", default_value = "apps.json")]
    config: PathBuf,
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Schema => {
            print!("{}", atoll_host::config::schema_json());
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("atoll: {error:#}");
            ExitCode::FAILURE
        }
    }
}
