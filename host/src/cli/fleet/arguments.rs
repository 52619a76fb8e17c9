//! Arguments of the commands that change a fleet.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use atoll_host::config::{Config, ConfigError, FleetSettings, NatsUrl};
use atoll_host::internal::deploy::MAX_NOTE;
use atoll_host::internal::fleet::Strategy;
use clap::Args;

/// The fleet.
#[derive(Args, Clone, Debug)]
pub(super) struct FleetArgs {
    /// The fleet that apps.json names in `fleet`, or the one on these NATS servers, separated by commas.
    #[arg(long, value_name = "NATS", num_args = 0..=1, require_equals = true, default_missing_value = "", required = true)]
    fleet: Option<String>,
}

impl FleetArgs {
    /// The settings of the fleet, with this apps.json.
    pub(super) fn settings(&self, config: &Path) -> anyhow::Result<FleetSettings> {
        settings(self.fleet.as_deref().unwrap_or_default(), config)
    }
}

/// The fleet on these servers, separated by commas, and with the other settings of this apps.json; without servers, the one that
/// it names.
pub(super) fn settings(servers: &str, config: &Path) -> anyhow::Result<FleetSettings> {
    let in_file = match Config::load(config) {
        Err(ConfigError::Missing { .. }) if !servers.is_empty() => None,
        loaded => loaded?.fleet,
    };
    if servers.is_empty() {
        return in_file.with_context(|| {
            format!(
                "{} names no fleet; add \"fleet\": {{ \"nats\": [\"nats://HOST:4222\"] }}, or pass --fleet=nats://HOST:4222",
                config.display()
            )
        });
    }
    let nats: Result<Vec<NatsUrl>, _> = servers.split(',').map(|url| url.trim().parse()).collect();
    let nats = nats.context("the NATS servers in --fleet")?;
    Ok(match in_file {
        Some(fleet) => FleetSettings { nats, ..fleet },
        None => FleetSettings::on(nats),
    })
}

/// How a version is rolled out.
#[derive(Args, Clone, Debug)]
pub(super) struct StrategyArgs {
    /// Roll out to so many hosts at a time after the first one [default: all].
    #[arg(long, value_name = "HOSTS", value_parser = clap::value_parser!(u16).range(1..))]
    wave: Option<u16>,
    /// Wait so many seconds after a wave serves the version before the next wave gets it.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    hold: u32,
    /// The number of errors that a host may have with the version: responses with status 500 or above, workers that end, and
    /// faults.
    #[arg(long, value_name = "ERRORS", default_value_t = 0)]
    max_errors: u64,
    /// How long a host may take to fetch, check and start the version, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u32,
}

impl StrategyArgs {
    pub(super) fn get(&self) -> Strategy {
        Strategy {
            wave: self.wave.map(usize::from),
            hold: Duration::from_secs(self.hold.into()),
            max_errors: self.max_errors,
            timeout: Duration::from_secs(self.timeout.into()),
        }
    }
}

/// The apps.json file with the apps, and the fleet.
#[derive(Args, Clone, Debug)]
pub(super) struct ConfigArgs {
    /// The apps.json file.
    #[arg(long, value_name = "FILE", default_value = "apps.json")]
    pub(super) config: PathBuf,
}

/// The name of the user and the machine, for the record of who has changed something.
pub(super) fn who() -> String {
    let user =
        ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).filter(|user| !user.is_empty());
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    match user {
        Some(user) => format!("{user}@{machine}"),
        None => machine,
    }
}

/// Fails if a note is longer than hosts take.
pub(super) fn check_note(note: Option<&str>) -> anyhow::Result<()> {
    if let Some(note) = note.filter(|note| note.len() > MAX_NOTE) {
        bail!("the note is too long: found {} bytes, the limit is {MAX_NOTE} (version_note)", note.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_the_command_line_come_before_those_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("apps.json");
        let missing = settings("nats://a, tls://b", &file).unwrap();
        assert_eq!((missing.name.as_str(), missing.nats.len()), ("default", 2));
        assert!(settings("", &file).is_err());
        std::fs::write(&file, r#"{ "fleet": { "name": "prod", "nats": ["nats://c"] }, "apps": [] }"#)
            .unwrap();
        let both = settings("nats://a", &file).unwrap();
        assert_eq!((both.name.as_str(), both.nats[0].to_string().as_str()), ("prod", "nats://a"));
        assert_eq!(settings("", &file).unwrap().nats[0].to_string(), "nats://c");
        assert!(settings("a", &file).is_err());
        std::fs::write(&file, "[]").unwrap();
        let error = settings("", &file).unwrap_err().to_string();
        assert!(error.contains("names no fleet") && error.contains("--fleet=nats://"), "{error}");
    }
}
