//! What a host knows of its fleet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

#[cfg(feature = "fleet")]
use tokio::sync::watch;

#[cfg(feature = "fleet")]
use super::elsewhere::{AppElsewhere, elsewhere};
use super::members::Members;
use super::record::Record;
use super::status::{FleetStatus, view};
use super::unfinished_calls::UnfinishedCalls;
use crate::config::FleetSettings;
use crate::observe::unix_time::now_ms;

/// What a host knows of its fleet, for all its threads: its clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    settings: Arc<FleetSettings>,
    host: Arc<str>,
    seen: Arc<Mutex<Seen>>,
    calls: Arc<UnfinishedCalls>,
    /// Notifies that the hosts or the records have changed.
    #[cfg(feature = "fleet")]
    changes: Arc<watch::Sender<()>>,
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
    pub(crate) fn new(settings: FleetSettings) -> Self {
        let seen = Seen {
            away: Some("not connected yet".to_owned()),
            since_ms: now_ms(),
            members: Members::default(),
            records: BTreeMap::new(),
            addresses: Vec::new(),
        };
        Self {
            host: settings.host_name().into(),
            settings: Arc::new(settings),
            seen: Arc::new(Mutex::new(seen)),
            calls: Arc::default(),
            #[cfg(feature = "fleet")]
            changes: Arc::default(),
        }
    }

    /// What keeps the host from ending: requests of other hosts.
    pub(crate) fn calls(&self) -> &Arc<UnfinishedCalls> {
        &self.calls
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
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
        let changed = change(&mut self.seen().members);
        self.changes.send_replace(());
        changed
    }

    /// Notifies that what is known of the hosts and the apps has changed.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The apps that other hosts have.
    pub(crate) fn elsewhere(&self) -> BTreeMap<String, AppElsewhere> {
        let seen = self.seen();
        elsewhere(&self.host, &seen.members.living(Instant::now()), &seen.records)
    }

    /// Takes note of the record of an app.
    pub(crate) fn set_record(&self, app: &str, record: Record) {
        self.seen().records.insert(app.to_owned(), record);
        self.changes.send_replace(());
    }
}
