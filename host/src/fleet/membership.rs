//! What a host knows of its fleet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::key_file::KeyFileError;
use super::limits::READ_LIMIT;
use super::members::Members;
use super::presence::{AppPresence, Presence};
use super::record::Record;
use super::status::{FleetStatus, Holder, view};
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
    /// How often someone has asked for the apps of the hosts.
    asked: Arc<watch::Sender<u64>>,
    /// The last time for which they were read.
    read: Arc<watch::Sender<u64>>,
}

/// What the host has last seen.
#[derive(Debug)]
struct Seen {
    /// `None`: it is connected.
    away: Option<String>,
    since_ms: u64,
    members: Members,
    records: BTreeMap<String, Record>,
    /// The apps of the hosts, as they were when someone asked for them.
    apps: BTreeMap<String, BTreeMap<String, AppPresence>>,
    /// Who has the leases of apps, and until when that is so unless it is seen again.
    holders: BTreeMap<String, (Holder, Instant)>,
    /// The URLs of the host's own HTTP server.
    addresses: Vec<String>,
    /// What ends the host's part in the fleet, and whether it has ended.
    part: Option<(CancellationToken, watch::Receiver<bool>)>,
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
            apps: BTreeMap::new(),
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
            asked: Arc::default(),
            read: Arc::default(),
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

    /// Ends the host's part in the fleet, and waits until it has handed over the apps whose leases it has. It takes part no more.
    pub(crate) async fn leave(&self) {
        let Some((end, mut has_ended)) = self.seen().part.clone() else { return };
        end.cancel();
        // One that cannot report it has ended.
        let _ = has_ended.wait_for(|has_ended| *has_ended).await;
    }

    /// The fleet, as this host sees it now; as it last saw it, if NATS does not answer.
    pub(crate) async fn current(&self) -> FleetStatus {
        if self.seen().away.is_none() {
            let mut number = 0;
            self.asked.send_modify(|asked| {
                *asked += 1;
                number = *asked;
            });
            let mut read = self.read.subscribe();
            // Then the status is the last one; the host notices by itself if it has lost the connection.
            let _ = timeout(READ_LIMIT, read.wait_for(|read| *read >= number)).await;
        }
        self.status()
    }

    fn status(&self) -> FleetStatus {
        let seen = self.seen();
        let now = Instant::now();
        let held = seen.holders.iter().filter(|(_, (_, until))| now < *until);
        let holders = held.map(|(app, (holder, _))| (app.clone(), holder.clone())).collect();
        let living = seen.members.living(now);
        let with_apps = |host: &&Presence| {
            let apps = seen.apps.get(&host.host).cloned().unwrap_or_default();
            Presence { apps, ..(*host).clone() }
        };
        let hosts: Vec<_> = living.iter().map(with_apps).collect();
        let (hosts, apps) = view(&hosts.iter().collect::<Vec<_>>(), &seen.records, &holders);
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

    /// How often someone has asked for the apps of the hosts.
    pub(crate) fn asked(&self) -> watch::Receiver<u64> {
        self.asked.subscribe()
    }

    /// Takes note of the apps of the hosts, for those who had asked for them by this time.
    pub(crate) fn set_apps(&self, apps: BTreeMap<String, BTreeMap<String, AppPresence>>, asked: u64) {
        self.seen().apps = apps;
        self.read.send_modify(|read| *read = (*read).max(asked));
    }

    /// Takes note of who has the lease of an app, and until when.
    pub(crate) fn set_holder(&self, app: &str, holder: Option<(Holder, Instant)>) {
        let mut seen = self.seen();
        match holder {
            Some(holder) => seen.holders.insert(app.to_owned(), holder),
            None => seen.holders.remove(app),
        };
    }

    /// Takes note of what ends the host's part in the fleet: a token that asks for it, and what reports that it has ended.
    pub(crate) fn set_part(&self, end: CancellationToken, has_ended: watch::Receiver<bool>) {
        self.seen().part = Some((end, has_ended));
    }

    /// Takes note of the record of an app.
    pub(crate) fn set_record(&self, app: &str, record: Record) {
        self.seen().records.insert(app.to_owned(), record);
    }
}
