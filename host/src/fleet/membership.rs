//! What a host knows of its fleet.

use std::collections::BTreeMap;
#[cfg(feature = "fleet")]
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[cfg(feature = "fleet")]
use super::calls::Instance;
use super::clocks::Clocks;
#[cfg(feature = "fleet")]
use super::elsewhere::{AppElsewhere, elsewhere};
use super::key_file::KeyFileError;
use super::members::Members;
use super::record::Record;
use super::status::{FleetStatus, Holder, view};
use super::summary::{FleetSummary, out_of_date};
use super::unfinished_calls::UnfinishedCalls;
use crate::config::FleetSettings;
use crate::observe::metrics::FleetRequests;
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
    calls: Arc<UnfinishedCalls>,
    requests: Arc<FleetRequests>,
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
    /// When they were written, by the clock of NATS.
    written: BTreeMap<String, u64>,
    /// The signers of their versions, which were checked when the records came.
    signed_by: BTreeMap<String, String>,
    /// Who has the leases of apps, and until when that is so unless it is seen again.
    holders: BTreeMap<String, (Holder, Instant)>,
    /// The URLs of the host's own HTTP server.
    addresses: Vec<String>,
    part: Option<Part>,
}

/// The thread of a host that talks to NATS.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Asks it to leave the fleet.
    pub(crate) end: CancellationToken,
    /// Whether it has left: it has handed over the apps whose leases it has had.
    pub(crate) has_left: watch::Receiver<bool>,
    /// Whether it has ended, with all that it has of apps of other hosts.
    pub(crate) is_gone: watch::Receiver<bool>,
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
            written: BTreeMap::new(),
            signed_by: BTreeMap::new(),
            holders: BTreeMap::new(),
            addresses: Vec::new(),
            part: None,
        };
        Ok(Self {
            host: settings.host_name().into(),
            #[cfg(feature = "fleet")]
            signers: super::trust::Signers::load(&settings.signers)?,
            settings: Arc::new(settings),
            seen: Arc::new(Mutex::new(seen)),
            calls: Arc::default(),
            requests: Arc::default(),
            #[cfg(feature = "fleet")]
            changes: Arc::default(),
        })
    }

    /// What keeps the host from ending: requests of other hosts.
    pub(crate) fn calls(&self) -> &Arc<UnfinishedCalls> {
        &self.calls
    }

    /// What is counted of the requests between this host and others.
    pub(crate) fn requests(&self) -> &FleetRequests {
        &self.requests
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

    /// Ends the host's part in the fleet, and waits until it has handed over the apps whose leases it has. It takes part no more.
    pub(crate) async fn leave(&self) {
        let Some(Part { end, mut has_left, .. }) = self.seen().part.clone() else { return };
        end.cancel();
        // One that cannot report it has ended.
        let _ = has_left.wait_for(|has_left| *has_left).await;
    }

    /// Waits until nothing is left of the host's part in the fleet, which was asked to end.
    pub(crate) async fn gone(&self) {
        let Some(Part { mut is_gone, .. }) = self.seen().part.clone() else { return };
        // One that cannot report it has ended.
        let _ = is_gone.wait_for(|is_gone| *is_gone).await;
    }

    /// The fleet as this host sees it, in numbers.
    pub(crate) fn summary(&self) -> FleetSummary {
        let seen = self.seen();
        let living = seen.members.living(Instant::now());
        let others = living.iter().filter(|presence| *presence.host != *self.host).count();
        // However long the host is away, it knows what it has.
        let own = seen.members.get(&self.host);
        FleetSummary {
            fleet: self.settings.name.clone(),
            is_connected: seen.away.is_none(),
            hosts: 1 + others as u64,
            out_of_date: own.map_or(0, |own| out_of_date(own, &seen.records)),
        }
    }

    /// The fleet, as this host sees it.
    pub(crate) fn status(&self) -> FleetStatus {
        let seen = self.seen();
        let now = Instant::now();
        let held = seen.holders.iter().filter(|(_, (_, until))| now < *until);
        let holders = held.map(|(app, (holder, _))| (app.clone(), holder.clone())).collect();
        let living = seen.members.living(now);
        let (mut hosts, mut apps) = view(&living, &seen.records, &holders);
        Clocks::of(&living, &self.host).adjust(&mut hosts, &mut apps, &seen.written);
        apps.iter_mut().for_each(|app| app.signed_by = seen.signed_by.get(&app.name).cloned());
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
            Some(signers) => signers.check(&self.settings.name, app, release).map(drop),
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

    /// The names of the hosts that take requests of others.
    pub(crate) fn names(&self) -> HashMap<Instance, Arc<str>> {
        let seen = self.seen();
        let instances = seen.members.living(Instant::now()).into_iter().filter_map(|host| {
            let instance = host.calls.as_deref().and_then(Instance::parse)?;
            Some((instance, host.host.as_str().into()))
        });
        instances.collect()
    }

    /// Takes note of who has the lease of an app, and until when.
    pub(crate) fn set_holder(&self, app: &str, holder: Option<(Holder, Instant)>) {
        let mut seen = self.seen();
        match holder {
            Some(holder) => seen.holders.insert(app.to_owned(), holder),
            None => seen.holders.remove(app),
        };
    }

    /// Takes note of the thread that has the host's part in the fleet.
    pub(crate) fn set_part(&self, part: Part) {
        self.seen().part = Some(part);
    }

    /// Takes note of the record of an app, and when it was written, by the clock of NATS.
    pub(crate) fn set_record(&self, app: &str, record: Record, written_ms: u64) {
        let signers = self.signers.as_ref().zip(record.target.release());
        let signer = signers.and_then(|(signers, release)| {
            signers.check(&self.settings.name, app, release).ok().map(str::to_owned)
        });
        let mut seen = self.seen();
        match signer {
            Some(signer) => seen.signed_by.insert(app.to_owned(), signer),
            None => seen.signed_by.remove(app),
        };
        seen.written.insert(app.to_owned(), written_ms);
        seen.records.insert(app.to_owned(), record);
        drop(seen);
        self.changes.send_replace(());
    }
}
