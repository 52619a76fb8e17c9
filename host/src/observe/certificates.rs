//! The certificates of a server, as its operator sees them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::unix_time::millis;

/// Where a certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateSource {
    /// From a file.
    File,
    /// From a certificate authority, by ACME.
    Acme,
}

impl CertificateSource {
    /// Its name, as in the admin API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Acme => "acme",
        }
    }
}

/// A certificate of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateEntry {
    /// Where it comes from.
    pub source: CertificateSource,
    /// Its file, or its domain with ACME.
    pub name: String,
    /// When it expires, in milliseconds since 1970; absent while there is none.
    #[serde(default)]
    pub expires_ms: Option<u64>,
    /// Why the last order failed, if it did; absent with a file.
    #[serde(default)]
    pub error: Option<String>,
    /// How many orders succeeded since the host started.
    pub ordered: u64,
    /// How many orders failed since the host started.
    pub failed: u64,
}

/// All certificates of a server. Clones are handles to the same list.
#[derive(Clone, Debug, Default)]
pub struct Certificates(Arc<Mutex<BTreeMap<(CertificateSource, String), CertificateEntry>>>);

impl Certificates {
    /// All of them, those in files first.
    pub(crate) fn list(&self) -> Vec<CertificateEntry> {
        self.lock().values().cloned().collect()
    }

    /// There is one, until `expires` where that is known.
    pub(crate) fn valid(&self, source: CertificateSource, name: &str, expires: Option<SystemTime>) {
        self.change(source, name, |entry| entry.expires_ms = expires.map(millis));
    }

    /// There is to be one by ACME.
    pub(crate) fn wanted(&self, name: &str) {
        self.change(CertificateSource::Acme, name, |_| ());
    }

    /// An order has succeeded.
    pub(crate) fn ordered(&self, name: &str) {
        self.change(CertificateSource::Acme, name, |entry| {
            entry.ordered += 1;
            entry.error = None;
        });
    }

    /// An order has failed.
    pub(crate) fn failed(&self, name: &str, error: &str) {
        self.change(CertificateSource::Acme, name, |entry| {
            entry.failed += 1;
            entry.error = Some(error.to_owned());
        });
    }

    fn change(&self, source: CertificateSource, name: &str, change: impl FnOnce(&mut CertificateEntry)) {
        let new = || CertificateEntry {
            source,
            name: name.to_owned(),
            expires_ms: None,
            error: None,
            ordered: 0,
            failed: 0,
        };
        change(self.lock().entry((source, name.to_owned())).or_insert_with(new));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(CertificateSource, String), CertificateEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
