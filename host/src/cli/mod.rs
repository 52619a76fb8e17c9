//! The `atoll` command line.

mod call;
mod check;
mod control;
mod dev;
mod out;
mod serve;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use atoll_host::logging::Format;
use clap::{Args, Parser, Subcommand};
use ipnet::IpNet;

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
    /// Builds and serves the apps of apps.json; what is saved is built and reloaded.
    #[command(after_help = dev::EXAMPLES)]
    Dev(dev::DevArgs),
    /// Sends one request to an app, without a server.
    #[command(after_help = call::EXAMPLES)]
    Call(call::CallArgs),
    /// Says whether a host would run a library, or all of apps.json, and if not, why.
    #[command(after_help = check::EXAMPLES)]
    Check(check::CheckArgs),
    /// Shows the apps of the host that runs for apps.json.
    Ls {
        #[command(flatten)]
        config: ConfigArg,
        /// Print all that is known, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Loads an app's library anew in the host that runs for apps.json.
    Reload {
        /// The app's name in the registry.
        app: String,
        #[command(flatten)]
        config: ConfigArg,
    },
    /// Goes back to an app's previous good library in the host that runs for apps.json.
    Rollback {
        /// The app's name in the registry.
        app: String,
        #[command(flatten)]
        config: ConfigArg,
    },
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
    /// Speak TLS, with this certificate: its chain in PEM format. A file that changes is taken over.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM format.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Without TLS, speak HTTP/2 as well, with clients that begin with it.
    #[arg(long, conflicts_with = "tls_cert")]
    h2c: bool,
    /// A proxy whose X-Forwarded headers are believed: an address, or a network such as 10.0.0.0/8. Repeatable.
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    trusted_proxy: Vec<IpNet>,
    /// Where the admin API listens, such as 127.0.0.1:3001. Without it, only `atoll` commands of the
    /// same user reach the host.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// A file with the token that is asked of those who change something over --admin.
    #[arg(long, value_name = "FILE", requires = "admin")]
    admin_token_file: Option<PathBuf>,
    /// Write a line to the log for each request.
    #[arg(long)]
    access_log: bool,
    /// What a line of the log is.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: Format,
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address
        .or_else(|_| text.parse())
        .map_err(|_| "expected an address or a network such as 10.0.0.0/8".to_owned())
}

/// Which running host is meant.
#[derive(Args, Clone, Debug)]
struct ConfigArg {
    /// The registry of apps that the host was started with.
    #[arg(long, value_name = "FILE", default_value = "apps.json")]
    config: PathBuf,
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Serve(args) => serve::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Dev(args) => dev::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Call(args) => call::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Ls { config, json } => control::ls(&config.config, json).map(|()| ExitCode::SUCCESS),
        Command::Reload { app, config } => control::reload(&config.config, &app).map(|()| ExitCode::SUCCESS),
        Command::Rollback { app, config } => {
            control::rollback(&config.config, &app).map(|()| ExitCode::SUCCESS)
        }
        Command::Schema => {
            out::print(atoll_host::config::schema_json()).map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("atoll: {error:#}");
        ExitCode::FAILURE
    })
}
