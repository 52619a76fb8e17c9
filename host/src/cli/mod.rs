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

use std::process::ExitCode;

use atoll_host::internal::escape;
use clap::{CommandFactory, Parser, Subcommand};

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
    Serve(serve::ServeArgs),
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
