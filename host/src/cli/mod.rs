//! The `atoll` command line.

mod acme;
mod app_files;
mod arguments;
mod build;
mod built;
mod call;
mod change;
mod check;
mod completion;
mod config;
mod describe;
mod dev;
mod doctor;
mod exit;
mod fleet;
mod free_port;
mod limits;
mod listen;
mod logs;
mod ls;
mod new;
mod out;
mod port_owner;
mod push;
mod quotas;
#[cfg(test)]
mod reference;
mod rollout;
mod serve;
mod servers;
mod state_dir;
mod style;
mod table;
mod tls;
mod token;
mod top;
mod traffic;
mod units;
mod usage;
mod versions;

use std::process::ExitCode;

use atoll_host::internal::{escape, hide_arguments};
use atoll_host::logging;
use clap::{CommandFactory, Parser, Subcommand};

/// Run many native Rust apps in one process.
#[derive(Debug, Parser)]
#[command(name = "atoll", version, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a new app from a template and register it in apps.json.
    #[command(after_help = new::EXAMPLES)]
    New(new::NewArgs),
    /// Serve the apps in apps.json and reload their libraries when they change on disk.
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::ServeCommand),
    /// Build and serve the apps in apps.json; rebuild and reload them when you save.
    #[command(after_help = dev::EXAMPLES)]
    Dev(dev::DevArgs),
    /// Build the apps in apps.json for deployment, into a folder that `atoll serve` runs without cargo.
    #[command(after_help = build::EXAMPLES)]
    Build(build::BuildArgs),
    /// Send one request to an app, without a server.
    #[command(after_help = call::EXAMPLES)]
    Call(call::CallArgs),
    /// Check that a host can load a library, or all libraries in apps.json.
    #[command(after_help = check::EXAMPLES)]
    Check(check::CheckArgs),
    /// List the apps of the host that serves apps.json.
    Ls(ls::LsArgs),
    /// Show the state of an app: its generation, settings, history, failures, panics and faults.
    Describe(describe::DescribeArgs),
    /// Show the log records of an app.
    #[command(after_help = logs::EXAMPLES)]
    Logs(logs::LogsArgs),
    /// Show live request rates, latencies and heap sizes of all apps.
    #[command(after_help = top::EXAMPLES)]
    Top(top::TopArgs),
    /// Show what apps have used: uptime, CPU time, memory, requests and bytes.
    #[command(after_help = usage::EXAMPLES)]
    Usage(usage::UsageArgs),
    /// Show the quotas in apps.json, with what is used of them.
    #[command(after_help = quotas::EXAMPLES)]
    Quotas(quotas::QuotasArgs),
    /// Start apps before their first request, or after a failure.
    Start(arguments::Apps),
    /// Stop apps; their next request starts them again.
    Stop(arguments::Apps),
    /// Reload the libraries of apps.
    Reload(arguments::Apps),
    /// Build apps for deployment, upload them to a host on another machine and wait until it serves them.
    #[command(after_help = push::EXAMPLES)]
    Push(push::PushArgs),
    /// Build apps for deployment and roll them out over the hosts of a fleet.
    #[cfg(feature = "fleet")]
    #[command(after_help = fleet::deploy::EXAMPLES)]
    Deploy(fleet::deploy::DeployArgs),
    /// Compare the apps in apps.json with those of a fleet, and roll out what differs.
    #[cfg(feature = "fleet")]
    #[command(after_help = fleet::apply::EXAMPLES)]
    Apply(fleet::apply::ApplyArgs),
    /// Remove an app from all hosts of a fleet.
    #[cfg(feature = "fleet")]
    #[command(after_help = fleet::change::EXAMPLES)]
    Remove(fleet::change::RemoveArgs),
    /// List the versions of an app that the host keeps.
    #[command(after_help = versions::EXAMPLES)]
    Versions(versions::VersionsArgs),
    /// Make a version of an app the one that serves.
    Promote(versions::PromoteArgs),
    /// Roll an app back to the version that served before, or to another one.
    Rollback(versions::RollbackArgs),
    /// Show or change how the requests to an app are split between its versions.
    #[command(after_help = traffic::EXAMPLES)]
    Traffic(traffic::TrafficArgs),
    /// Enable disabled apps; their next request starts them.
    Enable(arguments::Apps),
    /// Stop apps and reject their requests until they are enabled.
    Disable(arguments::Apps),
    /// Set the log level of an app, overriding RUST_LOG.
    LogLevel(change::LogLevelArgs),
    /// Create, list and revoke tokens for the admin API.
    #[command(subcommand, after_help = token::EXAMPLES)]
    Token(token::TokenCommand),
    /// Show and check apps.json, also without a host.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Diagnose problems with this machine, apps.json, its libraries and the host, and suggest fixes.
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::DoctorArgs),
    /// Print a shell completion script.
    #[command(after_help = completion::EXAMPLES)]
    Completion(completion::CompletionArgs),
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let command = Cli::parse().command;
    hide_arguments();
    let result = match command {
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
        Command::Usage(args) => usage::run(&args),
        Command::Quotas(args) => quotas::run(&args),
        Command::Start(apps) => change::start(&apps),
        Command::Stop(apps) => change::stop(&apps),
        Command::Reload(apps) => change::reload(&apps),
        Command::Push(args) => push::run(&args),
        #[cfg(feature = "fleet")]
        Command::Deploy(args) => fleet::deploy::run(&args),
        #[cfg(feature = "fleet")]
        Command::Apply(args) => fleet::apply::run(&args),
        #[cfg(feature = "fleet")]
        Command::Remove(args) => fleet::change::remove(&args),
        Command::Versions(args) => versions::run(&args),
        Command::Promote(args) => versions::promote(&args),
        Command::Rollback(args) => versions::roll_back(&args),
        Command::Traffic(args) => traffic::run(&args),
        Command::Enable(apps) => change::enable(&apps),
        Command::Disable(apps) => change::disable(&apps),
        Command::LogLevel(args) => change::log_level(&args),
        Command::Token(command) => token::run(&command),
        Command::Config(command) => config::run(&command),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completion(args) => completion::run(&args, Cli::command()),
    };
    logging::finish();
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
