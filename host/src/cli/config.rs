//! `atoll config`.

use std::path::Path;
use std::process::ExitCode;

use atoll_host::ServerLimits;
use atoll_host::config::{Config, ConfigError, Origin, schema_json};
use atoll_host::internal::admin::{AdminClient, AdminError, EffectiveApp, EffectiveConfig, SettingInForce};
use clap::{Args, Subcommand};
use serde_json::json;

use super::arguments::{Form, Format, Registry};
use super::table::{Cell, Column, table};
use super::{out, style, units};

#[derive(Clone, Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show the effective settings of all apps with their origin, and the limits of the running host, or the default limits
    /// if no host is running; values of `env` are hidden.
    Show(ConfigArgs),
    /// Check that apps.json is valid, and list all errors.
    Validate(ConfigArgs),
    /// Print the JSON schema of apps.json.
    Schema,
}

#[derive(Args, Clone, Debug)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    registry: Registry,
    #[command(flatten)]
    form: Form,
}

/// Shows or checks a registry file, also without a host.
pub(super) fn run(command: &ConfigCommand) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Show(args) => show(&args.registry.config, args.form.format),
        ConfigCommand::Validate(args) => validate(&args.registry.config, args.form.format),
        ConfigCommand::Schema => {
            out::print(schema_json())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn show(file: &Path, format: Format) -> anyhow::Result<ExitCode> {
    let apps = Config::load(file)?.apps;
    let mut config = EffectiveConfig::new(&std::path::absolute(file)?, &apps, &ServerLimits::DEFAULT);
    let running = match AdminClient::connect(file).and_then(|mut host| host.config()) {
        Err(AdminError::NoHost { .. }) => None,
        running => Some(running?.limits),
    };
    let title =
        if running.is_some() { "limits of the running host" } else { "limits of a host without options" };
    config.limits = running.unwrap_or(config.limits);
    match format {
        Format::Json => out::print_json(&config)?,
        Format::Table => {
            let shown: Vec<_> = config.apps.iter().map(of_app).chain([limits(title, &config)]).collect();
            out::print_text(&shown.join("\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn of_app(app: &EffectiveApp) -> String {
    let name = style::paint(style::TITLE, &app.name);
    let routes = if app.routes.is_empty() { String::new() } else { format!("  {}", app.routes.join(", ")) };
    format!("{name}  {}{routes}\n{}", app.path, settings(app.settings.iter()))
}

/// The limits of a host, which are not in the file.
fn limits(title: &str, config: &EffectiveConfig) -> String {
    let rows: Vec<[Cell; 2]> =
        config.limits.iter().map(|(name, value)| [name.as_str().into(), value.to_string().into()]).collect();
    let title = style::paint(style::TITLE, title);
    format!("{title}\n{}", table([Column::Left("LIMIT"), Column::Left("VALUE")], &rows))
}

/// A table of settings.
pub(super) fn settings<'a>(settings: impl Iterator<Item = (&'a String, &'a SettingInForce)>) -> String {
    let rows: Vec<[Cell; 3]> = settings
        .map(|(name, setting)| {
            let (origin, look) = match setting.origin {
                Origin::App => ("app", style::GOOD),
                Origin::Tenant => ("tenant", style::WARNING),
                Origin::Defaults => ("defaults", style::WARNING),
                Origin::BuiltIn => ("built-in", style::FAINT),
            };
            [name.as_str().into(), setting.value.to_string().into(), Cell::styled(origin, look)]
        })
        .collect();
    table([Column::Left("SETTING"), Column::Left("VALUE"), Column::Left("ORIGIN")], &rows)
}

fn validate(file: &Path, format: Format) -> anyhow::Result<ExitCode> {
    let loaded = Config::load(file);
    if format == Format::Json {
        let diagnostics = loaded.as_ref().err().map(ConfigError::diagnostics).unwrap_or_default();
        let output = json!({
            "file": file.display().to_string(),
            "valid": loaded.is_ok(),
            "error": loaded.as_ref().err().map(ConfigError::to_string),
            "diagnostics": diagnostics,
        });
        out::print_json(&output)?;
        return Ok(if loaded.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    out::print(format!("{}: valid, {}\n", file.display(), units::count(loaded?.apps.len(), "app")))?;
    Ok(ExitCode::SUCCESS)
}
