//! The options for certificates by ACME.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use atoll_host::internal::regular_file::{SMALL_FILE_LIMIT, read_to_string};
use atoll_host::{AcmeDirectory, AcmeDomain, AcmeSettings};
use clap::Args;
use data_encoding::BASE64URL_NOPAD;

use super::limits::time;
use super::state_dir::StateDir;

const HEADING: &str = "Certificates by ACME";

/// What certificates are to be had by ACME.
#[derive(Args, Clone, Debug)]
pub(super) struct AcmeArgs {
    /// Serve HTTPS with a certificate for this domain, obtained and renewed by ACME. The domain must lead to this host on port
    /// 443, or with --redirect-http on port 80. Repeatable, also with --tls-cert.
    #[arg(long, help_heading = HEADING, value_name = "DOMAIN", requires = "acme_agree_tos")]
    acme: Vec<AcmeDomain>,
    /// Agree to the terms of service of the certificate authority.
    #[arg(long, help_heading = HEADING, requires = "acme")]
    acme_agree_tos: bool,
    /// An email address at which the certificate authority may reach you. Repeatable.
    #[arg(long, help_heading = HEADING, value_name = "EMAIL", requires = "acme", value_parser = email)]
    acme_contact: Vec<String>,
    /// The certificate authority: `production` or `staging` of Let's Encrypt, or the URL of another directory.
    #[arg(long, help_heading = HEADING, value_name = "URL", default_value = "production", requires = "acme")]
    acme_directory: AcmeDirectory,
    /// Trust the authorities in this PEM file, instead of those of the system, for connections to the directory.
    #[arg(long, help_heading = HEADING, value_name = "FILE", requires = "acme")]
    acme_ca_file: Option<PathBuf>,
    /// The id of your account at a certificate authority that requires one (external account binding).
    #[arg(long, help_heading = HEADING, value_name = "ID", requires = "acme", requires = "acme_eab_key_file")]
    acme_eab_kid: Option<String>,
    /// A file with the key of this account, in base64url.
    #[arg(long, help_heading = HEADING, value_name = "FILE", requires = "acme_eab_kid")]
    acme_eab_key_file: Option<PathBuf>,
    /// How long to wait after an order that fails; doubles with each further failure, up to 1h.
    #[arg(
        long, help_heading = HEADING, value_name = "TIME", default_value = "1m", requires = "acme", value_parser = time
    )]
    acme_retry_delay: Duration,
}

impl AcmeArgs {
    /// Whether there are to be certificates.
    pub(super) fn is_on(&self) -> bool {
        !self.acme.is_empty()
    }

    /// What is to be had, if there is something.
    pub(super) fn settings(&self, state: &StateDir) -> anyhow::Result<Option<AcmeSettings>> {
        if self.acme.is_empty() {
            return Ok(None);
        }
        let folder =
            state.path().context("there is no folder for the certificates of --acme: set --state-dir")?;
        let mut settings = AcmeSettings::new(self.acme.iter().cloned(), folder)
            .with_directory(self.acme_directory.clone())
            .with_retry_delay(self.acme_retry_delay);
        if self.acme_agree_tos {
            settings = settings.agreeing_to_terms();
        }
        for email in &self.acme_contact {
            settings = settings.with_contact(email);
        }
        if let Some(file) = &self.acme_ca_file {
            settings = settings.with_ca_file(file);
        }
        if let (Some(id), Some(file)) = (&self.acme_eab_kid, &self.acme_eab_key_file) {
            let failed = || format!("cannot read the key for --acme-eab-kid from {}", file.display());
            let text = read_to_string(file, SMALL_FILE_LIMIT).with_context(failed)?;
            let text = text.trim().trim_end_matches('=');
            let key = BASE64URL_NOPAD.decode(text.as_bytes()).with_context(failed)?;
            settings = settings.with_external_account(id, key);
        }
        Ok(Some(settings))
    }
}

/// An email address, as far as the certificate authority does not check it.
fn email(text: &str) -> Result<String, String> {
    let is_address =
        text.split_once('@').is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty());
    let is_plain = text.chars().all(|c| c.is_ascii_graphic()) && !text.contains([',', '?', ':']);
    if is_address && is_plain {
        Ok(text.to_owned())
    } else {
        Err("expected an email address such as ops@example.com".to_owned())
    }
}
