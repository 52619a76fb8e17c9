//! Watching a fleet.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::bail;
use atoll_host::config::FleetSettings;
use atoll_host::internal::fleet::nats::{Fleet, FleetError};
use atoll_host::internal::fleet::{Members, Presence, Record, hosts_of};
use futures_util::StreamExt;
use tokio::time::sleep;

/// How often what has been seen is looked at again when nothing happens.
const LOOK: Duration = Duration::from_millis(250);

/// How often a lost connection is made again, without anything seen in between.
const ATTEMPTS: u32 = 10;

/// How long to wait before that.
const PAUSE: Duration = Duration::from_secs(1);

/// A record that was published last, and the hosts.
#[derive(Debug)]
pub(super) struct Observer<'a> {
    settings: &'a FleetSettings,
    pub(super) app: &'a str,
    pub(super) record: Record,
    pub(super) revision: u64,
    members: Members,
    /// The hosts that were seen in the wave of the record.
    pub(super) expected: BTreeSet<String>,
    /// The hosts that have left in order.
    pub(super) left: BTreeSet<String>,
    watching: Instant,
    /// What was written last, until it is known whether NATS has it.
    pending: Option<Record>,
}

/// What to do after a look at the hosts.
pub(super) enum Look<T> {
    /// Looks again.
    Wait,
    /// Publishes this, and looks again.
    Publish(Box<Record>),
    /// This is the result.
    End(T),
}

impl<'a> Observer<'a> {
    pub(super) fn new(settings: &'a FleetSettings, app: &'a str, (record, revision): (Record, u64)) -> Self {
        Self {
            settings,
            app,
            record,
            revision,
            members: Members::default(),
            expected: BTreeSet::new(),
            left: BTreeSet::new(),
            watching: Instant::now(),
            pending: None,
        }
    }

    /// For how long it has watched.
    pub(super) fn watched(&self) -> Duration {
        self.watching.elapsed()
    }

    /// The hosts that are there.
    pub(super) fn hosts(&self) -> Vec<&Presence> {
        self.members.living(Instant::now())
    }

    /// The hosts that are there and that the target of the record is for.
    pub(super) fn hosts_of_target(&self) -> Vec<&Presence> {
        match self.record.target.release() {
            Some(release) => hosts_of(release, &self.hosts()),
            None => self.hosts(),
        }
    }

    /// Looks at the hosts until there is a result. A lost connection is made again, and a record that someone else has written is
    /// an error.
    pub(super) async fn follow<T>(
        &mut self,
        mut look: impl FnMut(&mut Self) -> Look<T>,
    ) -> anyhow::Result<T> {
        let mut failures = 0;
        loop {
            let error = match self.session(&mut look, &mut failures).await {
                Ok(result) => return result,
                Err(
                    error @ (FleetError::Lost
                    | FleetError::Connect { .. }
                    | FleetError::Request { .. }
                    | FleetError::Bucket { .. }),
                ) => error,
                Err(error) => return Err(error.into()),
            };
            failures += 1;
            if failures > ATTEMPTS {
                return Err(error.into());
            }
            log::warn!("{error}; connecting again");
            sleep(PAUSE).await;
        }
    }

    async fn session<T>(
        &mut self,
        look: &mut impl FnMut(&mut Self) -> Look<T>,
        failures: &mut u32,
    ) -> Result<anyhow::Result<T>, FleetError> {
        let fleet = Fleet::connect(self.settings).await?;
        let mut records = fleet.watch_records().await?;
        let mut presences = fleet.watch_presences().await?;
        let now = Instant::now();
        self.watching = now;
        self.members.renew(now);
        note_all(&mut self.members, &fleet, self.app).await?;
        loop {
            let in_wave = |host: &&&Presence| self.record.wave.has(&host.host);
            let seen: Vec<_> =
                self.hosts_of_target().iter().filter(in_wave).map(|host| host.host.clone()).collect();
            self.expected.extend(seen);
            match look(self) {
                Look::Wait => {}
                Look::Publish(record) => {
                    let is_written = self.publish(&fleet, *record).await?;
                    if !is_written {
                        return Ok(changed_by_others(self.app, None));
                    }
                    continue;
                }
                Look::End(result) => return Ok(Ok(result)),
            }
            tokio::select! {
                () = fleet.lost() => return Err(FleetError::Lost),
                seen = records.next() => match seen.ok_or(FleetError::Lost)? {
                    Ok(seen) if seen.name == self.app && seen.revision > self.revision => {
                        if !self.adopt(seen.value.as_ref(), seen.revision) {
                            return Ok(changed_by_others(self.app, seen.value.as_ref()));
                        }
                    }
                    Ok(_) => {}
                    Err(error @ FleetError::Value { .. }) => log::warn!("{error}"),
                    Err(error) => return Err(error),
                },
                seen = presences.next() => match seen.ok_or(FleetError::Lost)? {
                    Ok(seen) => {
                        match seen.value {
                            Some(presence) => self.note(&fleet, presence).await?,
                            None => {
                                self.members.remove(&seen.name);
                                self.left.insert(seen.name);
                            }
                        }
                        *failures = 0;
                    }
                    Err(error @ FleetError::Value { .. }) => log::warn!("{error}"),
                    Err(error) => return Err(error),
                },
                () = sleep(LOOK) => {}
            }
        }
    }
}

impl Observer<'_> {
    /// Takes note of a host, with what it has of the app.
    async fn note(&mut self, fleet: &Fleet, presence: Presence) -> Result<(), FleetError> {
        self.left.remove(&presence.host);
        let as_of = |presence: &Presence| (presence.instance.clone(), presence.apps_revision);
        if self.members.get(&presence.host).map(as_of) != Some(as_of(&presence)) {
            let found = fleet.app_on_host(&presence.host, self.app).await?;
            self.members.note_app(&presence.host, self.app, found);
        }
        self.members.note(presence, Instant::now());
        Ok(())
    }

    /// Writes the next record; whether NATS has it. It does not, if someone else has written one.
    async fn publish(&mut self, fleet: &Fleet, record: Record) -> Result<bool, FleetError> {
        self.pending = Some(record.clone());
        match fleet.publish(self.app, &record, Some(self.revision)).await {
            Ok(revision) => Ok(self.adopt(Some(&record), revision)),
            Err(FleetError::Conflict { .. }) => {
                // It may have arrived over a connection that was lost before the answer.
                let found = fleet.record(self.app).await?;
                Ok(found.is_some_and(|(record, revision)| self.adopt(Some(&record), revision)))
            }
            Err(error) => Err(error),
        }
    }

    /// Takes a record as the last one, if this has written it.
    fn adopt(&mut self, record: Option<&Record>, revision: u64) -> bool {
        let is_own = record.is_some() && (record == self.pending.as_ref() || record == Some(&self.record));
        if let Some(record) = record.filter(|_| is_own) {
            (self.record, self.revision, self.pending) = (record.clone(), revision, None);
        }
        is_own
    }
}

/// Takes note of all hosts that are there, with what they have of an app.
pub(super) async fn note_all(members: &mut Members, fleet: &Fleet, app: &str) -> Result<(), FleetError> {
    for (presence, found) in fleet.hosts_with_app(app).await? {
        members.note_app(&presence.host, app, found);
        members.note(presence, Instant::now());
    }
    Ok(())
}

/// Someone else has written the record of an app.
fn changed_by_others<T>(app: &str, record: Option<&Record>) -> anyhow::Result<T> {
    let what = match record.and_then(|record| Some((record, record.target.release()?))) {
        Some((_, release)) => format!("{} has deployed the version {}", release.by, release.version),
        None => "it was removed or withdrawn".to_owned(),
    };
    bail!(
        "conflict: someone else has changed {app} in the fleet in the meantime: {what}; see `atoll ls --fleet`"
    )
}
