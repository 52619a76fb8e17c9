//! What a host knows of its fleet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::key_file::KeyFileError;
use super::members::Members;
use super::record::Record;
use super::status::{FleetStatus, view};
use crate::config::FleetSettings;
use crate::observe::unix_time::now_ms;

/// What a host knows of its fleet, for all its threads: its clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    settings: Arc<FleetSettings>,
    host: Arc<str>,
    /// Whose versions it serves; `None`: those without a signature, too.
    #[cfg(feature = "fleet")]
    signers: Option<super::trust::Signers>,
    seen: Arc<Mutex<Seen>>,
}

/// What the host has last seen.
#[derive(Debug)]
struct Seen {
    /// `None`: it is connected.
    away: Option<String>,
    since_ms: u64,
    members: Members,
    records: BTreeMap<String, Record>,
    /// The URLs of the host's own HTTP server.
    addresses: Vec<String>,
}

impl Membership {
    /// That of a host which has not connected yet.
    ///
    /// # Errors
    /// The key of a signer cannot be read.
    pub(crate) fn new(settings: FleetSettings) -> Result<Self, KeyFileError> {
        let seen = Seen {
            away: Some("not connected yet".to_owned()),
            since_ms: now_ms(),
            members: Members::default(),
            records: BTreeMap::new(),
            addresses: Vec::new(),
        };
        Ok(Self {
            host: settings.host_name().into(),
            #[cfg(feature = "fleet")]
            signers: super::trust::Signers::load(&settings.signers)?,
            settings: Arc::new(settings),
            seen: Arc::new(Mutex::new(seen)),
        })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of the fleet.
    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Takes note of the URLs of this host.
    pub(crate) fn set_addresses(&self, addresses: Vec<String>) {
        self.seen().addresses = addresses;
    }

    /// The fleet, as this host sees it.
    pub(crate) fn status(&self) -> FleetStatus {
        let seen = self.seen();
        let (hosts, apps) = view(&seen.members.living(Instant::now()), &seen.records);
        FleetStatus {
            name: self.settings.name.clone(),
            host: self.host.to_string(),
            connected: seen.away.is_none(),
            since_ms: seen.since_ms,
            reason: seen.away.clone(),
            hosts,
            apps,
        }
    }
}

/// What the host's part in its fleet needs.
#[cfg(feature = "fleet")]
impl Membership {
    /// The settings of the fleet.
    pub(crate) fn settings(&self) -> &FleetSettings {
        &self.settings
    }

    /// Checks that this host may serve a release of an app.
    ///
    /// # Errors
    /// It serves signed versions only, and none of the signers that it knows has signed this one.
    pub(crate) fn check(
        &self,
        app: &str,
        release: &super::record::Release,
    ) -> Result<(), super::trust::Untrusted> {
        match &self.signers {
            Some(signers) => signers.check(&self.settings.name, app, release),
            None => Ok(()),
        }
    }

    /// The name of this host.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The URLs of this host.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.seen().addresses.clone()
    }

    /// Takes note of whether the host is connected: `away` is why it is not.
    pub(crate) fn set_away(&self, away: Option<String>) {
        let mut seen = self.seen();
        if seen.away.is_some() != away.is_some() {
            seen.since_ms = now_ms();
        }
        if away.is_none() {
            seen.members.renew(Instant::now());
        }
        seen.away = away;
    }

    /// Changes what is known of the hosts.
    pub(crate) fn members<T>(&self, change: impl FnOnce(&mut Members) -> T) -> T {
        change(&mut self.seen().members)
    }

    /// Takes note of the record of an app.
    pub(crate) fn set_record(&self, app: &str, record: Record) {
        self.seen().records.insert(app.to_owned(), record);
    }
}
