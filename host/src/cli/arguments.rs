//! Arguments that several commands have.

use std::path::PathBuf;

use atoll_host::internal::admin::AdminClient;
use clap::{Args, ValueEnum};

use super::servers;

/// The registry file.
#[derive(Args, Clone, Debug)]
pub(super) struct Registry {
    /// The apps.json file that the host was started with.
    #[arg(long, value_name = "FILE", default_value = "apps.json")]
    pub(super) config: PathBuf,
    /// A host on another machine instead: the URL of its admin API, or a name of [servers.NAME] in ~/.config/atoll/config.toml.
    /// The token is in ATOLL_TOKEN, or in the `token-file` of that server.
    #[arg(long, value_name = "SERVER", conflicts_with = "config")]
    pub(super) to: Option<String>,
}

impl Registry {
    /// The host that serves it, or the one that was named.
    pub(super) fn connect(&self) -> anyhow::Result<AdminClient> {
        match &self.to {
            Some(to) => Ok(AdminClient::connect_to(&servers::find(to)?)?),
            None => Ok(AdminClient::connect(&self.config)?),
        }
    }
}

/// Apps of a running host.
#[derive(Args, Clone, Debug)]
pub(super) struct Apps {
    /// The names of the apps in apps.json.
    #[arg(required = true, value_name = "APP")]
    pub(super) names: Vec<String>,
    #[command(flatten)]
    pub(super) registry: Registry,
}

/// How data is printed.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Form {
    /// The output format.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(super) format: Format,
}

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Human-readable text.
    Table,
    /// JSON, with all details.
    Json,
}
