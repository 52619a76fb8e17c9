//! Signing the versions that are deployed.

use std::path::PathBuf;

use anyhow::{Context, bail};
use atoll_host::config::FleetSettings;
use atoll_host::internal::fleet::{ReleaseKey, Signers};
use clap::Args;

use super::release::Built;

/// The key that versions are signed with.
#[derive(Args, Clone, Debug)]
pub(super) struct SigningArgs {
    /// Sign the versions with this ed25519 private key, a PEM file as `openssl genpkey -algorithm ed25519` writes it.
    #[arg(long, value_name = "KEY")]
    signing_key: Option<PathBuf>,
}

/// Signs versions for a fleet, if there is a key.
pub(super) struct ReleaseSigner<'a> {
    fleet: &'a str,
    key: Option<ReleaseKey>,
}

impl SigningArgs {
    /// What signs versions for this fleet. That its hosts would refuse them is an error, as far as `signers` of this apps.json
    /// shows it.
    pub(super) fn signer<'a>(&self, settings: &'a FleetSettings) -> anyhow::Result<ReleaseSigner<'a>> {
        let key = self.signing_key.as_deref().map(ReleaseKey::load).transpose().context("--signing-key")?;
        let signers = Signers::load(&settings.signers).context("`signers` of `fleet` in apps.json")?;
        match (signers, &key) {
            (Some(_), None) => bail!(
                "the fleet {} has `signers` in apps.json: its hosts serve signed versions only; pass --signing-key KEY",
                settings.name
            ),
            (Some(signers), Some(key)) if !signers.have(key) => bail!(
                "--signing-key is not the key of one of the `signers` of the fleet {} in apps.json: its hosts would refuse the \
                 version",
                settings.name
            ),
            _ => Ok(ReleaseSigner { fleet: &settings.name, key }),
        }
    }
}

impl ReleaseSigner<'_> {
    /// Signs these versions.
    pub(super) fn sign(&self, built: &mut [Built]) -> anyhow::Result<()> {
        let Some(key) = &self.key else { return Ok(()) };
        for Built { app, release, .. } in built {
            key.sign(self.fleet, app, release).with_context(|| app.clone())?;
        }
        Ok(())
    }
}
