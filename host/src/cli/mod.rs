//! The `atoll` command line.

mod arguments;
mod build;
mod call;
mod change;
mod check;
mod completion;
mod config;
mod describe;
mod dev;
mod doctor;
mod exit;
mod free_port;
mod logs;
mod ls;
mod new;
mod open_library;
mod out;
mod port_owner;
#[cfg(test)]
mod reference;
mod serve;
mod style;
mod table;
mod top;
mod units;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use atoll_host::internal::admin::AdminOrigin;
use atoll_host::internal::escape;
use atoll_host::logging::Format;
use clap::{Args, CommandFactory, Parser, Subcommand};
use ipnet::IpNet;

/// Runs many native Rust apps in one process.
#[derive(Debug, Parser)]
#[command(name = "atoll", version, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a new app: a crate from a template, registered in apps.json.
    #[command(after_help = new::EXAMPLES)]
    New(new::NewArgs),
    /// Serves the apps of apps.json; a library that changes on disk is reloaded.
    Serve(ServeArgs),
    /// Builds and serves the apps of apps.json; what is saved is built and reloaded.
    #[command(after_help = dev::EXAMPLES)]
    Dev(dev::DevArgs),
    /// Builds the apps of apps.json for deployment, into a folder that `atoll serve` runs without cargo.
    #[command(after_help = build::EXAMPLES)]
    Build(build::BuildArgs),
    /// Sends one request to an app, without a server.
    #[command(after_help = call::EXAMPLES)]
    Call(call::CallArgs),
    /// Says whether a host would run a library, or all of apps.json, and if not, why.
    #[command(after_help = check::EXAMPLES)]
    Check(check::CheckArgs),
    /// Shows the apps of the host that runs for apps.json.
    Ls(ls::LsArgs),
    /// Shows all that the host knows of an app: its generation, settings, history, failures and panics.
    Describe(describe::DescribeArgs),
    /// Shows an app's log records.
    #[command(after_help = logs::EXAMPLES)]
    Logs(logs::LogsArgs),
    /// Shows live what the apps do.
    #[command(after_help = top::EXAMPLES)]
    Top(top::TopArgs),
    /// Starts apps before their first request, or after they have failed.
    Start(arguments::Apps),
    /// Takes apps down; their next request starts them again.
    Stop(arguments::Apps),
    /// Loads the libraries of apps anew.
    Reload(arguments::Apps),
    /// Goes back to the previous good libraries of apps.
    Rollback(arguments::Apps),
    /// Lets requests start apps that were disabled.
    Enable(arguments::Apps),
    /// Takes apps down, and lets no request start them.
    Disable(arguments::Apps),
    /// Filters an app's log records by another level than RUST_LOG says.
    LogLevel(change::LogLevelArgs),
    /// Shows and checks apps.json, without a host.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Says what is wrong with this machine, apps.json, its libraries and the host, and what to do.
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::DoctorArgs),
    /// Opens one library, for `atoll check` and its like.
    #[command(name = open_library::NAME, hide = true)]
    OpenLibrary(open_library::OpenLibraryArgs),
    /// Prints a script by which a shell completes these commands.
    #[command(after_help = completion::EXAMPLES)]
    Completion(completion::CompletionArgs),
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
    /// When a port is taken, listen on the next one that is free.
    #[arg(long)]
    find_free_port: bool,
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
    /// Where a proxy serves the dashboard, such as `https://admin.example.com`: its pages may change things with the token.
    /// Repeatable.
    #[arg(long, value_name = "ORIGIN", requires = "admin_token_file")]
    admin_origin: Vec<AdminOrigin>,
    /// Send a span for each request to the OpenTelemetry collector at this URL, such as http://127.0.0.1:4318.
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
    /// The share of requests that are traced if their client says nothing about it, from 0 to 1.
    #[arg(long, value_name = "SHARE", default_value = "1", requires = "otlp", value_parser = share)]
    trace_share: f64,
    /// Write a line to the log for each request.
    #[arg(long)]
    access_log: bool,
    /// What a line of the log is.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: Format,
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address
        .or_else(|_| text.parse())
        .map_err(|_| "expected an address or a network such as 10.0.0.0/8".to_owned())
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::New(args) => new::run(&args),
        Command::Serve(args) => serve::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Dev(args) => dev::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Build(args) => build::run(&args),
        Command::Call(args) => call::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Ls(args) => ls::run(&args),
        Command::Describe(args) => describe::run(&args),
        Command::Logs(args) => logs::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Start(apps) => change::start(&apps),
        Command::Stop(apps) => change::stop(&apps),
        Command::Reload(apps) => change::reload(&apps),
        Command::Rollback(apps) => change::rollback(&apps),
        Command::Enable(apps) => change::enable(&apps),
        Command::Disable(apps) => change::disable(&apps),
        Command::LogLevel(args) => change::log_level(&args),
        Command::Config(command) => config::run(&command),
        Command::Doctor(args) => doctor::run(&args),
        Command::OpenLibrary(args) => open_library::run(&args),
        Command::Completion(args) => completion::run(&args, Cli::command()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("atoll: {}", escape::lines(&format!("{error:#}")));
        exit::code(&error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_contradict_each_other_nowhere() {
        Cli::command().debug_assert();
    }
}
