//! A host in its fleet.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::announced::Announced;
use super::calls::{Calls, Connected};
use super::lease_book::LeaseBook;
use super::report::{Report, shortened};
use super::work::{Outcome, Worker};
use crate::admin::state::State;
use crate::admin::versions::Deployer;
use crate::fleet::nats::{AppOnHost, Fleet, FleetError, Seen};
use crate::fleet::{
    ANNOUNCE_PAUSE, CONCURRENT_TASKS, FIRST_PAUSE, HEARTBEAT, HostApps, LONGEST_PAUSE, Membership, Presence,
    Record, RefusedVersion, Target, Wanted,
};
use crate::observe::events::EventKind;
use crate::observe::unix_time::now_ms;

/// How often the host looks whether its presence has changed.
const LOOK: Duration = Duration::from_millis(250);

/// For how long it reports what it sees each time that it looks, after a record has changed: someone who deploys waits for it.
const ATTENTION: Duration = Duration::from_secs(30);

/// A host in its fleet. What the hosts of the fleet are to do is in the records of apps; this one does its part whenever it sees
/// one, and again whenever it has connected.
pub(super) struct Agent {
    fleet: Membership,
    worker: Worker,
    leases: Rc<LeaseBook>,
    report: Report,
    calls: Calls,
    /// The connection.
    link: Option<Rc<Fleet>>,
    /// The calls over it.
    connected: Option<Connected>,
    /// The records that were seen last, with their revisions.
    records: HashMap<String, (Record, u64)>,
    /// The revisions that were carried out last.
    handled: HashMap<String, u64>,
    refused: HashMap<String, RefusedVersion>,
    /// The revision of the last record that was seen over this connection.
    seen: u64,
    /// The revision of the presence of this host over this connection.
    announced: Option<u64>,
    /// Whether something happened to a record that the host has not reported yet. Someone who deploys waits for that.
    is_news: bool,
    /// When a record has changed last.
    changed: Option<Instant>,
    waiting: VecDeque<String>,
    busy: HashSet<String>,
}

type Work<'a> = LocalBoxFuture<'a, (String, u64, Outcome)>;

impl Agent {
    pub(super) fn new(fleet: Membership, state: State, deployer: Arc<Deployer>) -> Self {
        let report = Report::new(fleet.clone(), state.clone(), deployer.clone());
        let instance = report.instance().to_owned();
        let leases = LeaseBook::new(fleet.clone(), state.clone(), deployer.clone(), instance);
        Self {
            worker: Worker { state: state.clone(), deployer, fleet: fleet.clone(), leases: leases.clone() },
            leases,
            calls: Calls::new(fleet.clone(), state),
            link: None,
            connected: None,
            report,
            fleet,
            records: HashMap::new(),
            handled: HashMap::new(),
            refused: HashMap::new(),
            seen: 0,
            announced: None,
            is_news: false,
            changed: None,
            waiting: VecDeque::new(),
            busy: HashSet::new(),
        }
    }

    /// What this host knows of leases.
    pub(super) fn leases(&self) -> Rc<LeaseBook> {
        self.leases.clone()
    }

    /// Joins the fleet, and joins it again whenever the connection is lost.
    pub(super) async fn run(&mut self) {
        let name = self.fleet.settings().name.clone();
        let (mut pause, mut logged) = (FIRST_PAUSE, None);
        loop {
            let error = match Fleet::connect(self.fleet.settings()).await {
                Ok(fleet) => {
                    let (error, has_joined) = self.session(Rc::new(fleet)).await;
                    if has_joined {
                        (pause, logged) = (FIRST_PAUSE, None);
                    }
                    error
                }
                Err(error) => error,
            };
            let reason = error.to_string();
            self.fleet.set_away(Some(reason.clone()));
            if logged.as_ref() != Some(&reason) {
                log::warn!(
                    "not in the fleet {name}: {reason}; this host serves the apps that it has, and joins when it can"
                );
                logged = Some(reason);
            }
            // All hosts have lost a server at the same time, and it may not bear that all come back at the same time.
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Does its part until the connection is lost: why it ended, and whether the fleet has heard of this host over it.
    async fn session(&mut self, fleet: Rc<Fleet>) -> (FleetError, bool) {
        self.leases.connect(&fleet);
        self.link = Some(fleet.clone());
        let followed = tokio::select! {
            followed = self.follow(&fleet) => followed,
            () = fleet.lost() => Err(FleetError::Lost),
        };
        self.leases.disconnect();
        (self.link, self.connected) = (None, None);
        let has_joined = self.announced.take().is_some();
        (followed.err().unwrap_or(FleetError::Lost), has_joined)
    }

    /// Reports that this host leaves the fleet: no deployment waits for it.
    pub(super) async fn leave(&self) {
        let (Some(revision), Some(fleet)) = (self.announced, &self.link) else { return };
        if let Err(error) = fleet.withdraw(self.fleet.host(), revision).await {
            // Another process with this name may have reported itself; else the presence expires.
            log::debug!("the presence of this host in the fleet stays: {error}");
        }
    }

    /// Keeps the connection for the calls, if there is one, until the host has ended: another process may have taken its part in the
    /// fleet.
    pub(super) async fn finish(self) {
        if self.connected.is_some() {
            self.fleet.calls().ended().await;
        }
    }

    async fn follow(&mut self, fleet: &Fleet) -> Result<(), FleetError> {
        let mut records = fleet.watch_records().await?;
        let mut hosts = fleet.watch_presences().await?;
        let mut leases = fleet.watch_leases().await?;
        self.connected = Some(self.calls.connect(fleet).await?);
        let mut events = self.worker.state.events.follow();
        let mut works: FuturesUnordered<Work<'_>> = FuturesUnordered::new();
        let mut host_apps = fleet.watch_apps_of_hosts().await?;
        let mut announced = Announced::default();
        let mut apps = BTreeMap::<String, HostApps>::new();
        for AppOnHost { host, app, found, revision } in fleet.apps_of_hosts().await? {
            if host == self.fleet.host() {
                announced.note(&app, found.clone(), revision);
            }
            if let Some(found) = found {
                apps.entry(host).or_default().insert(app, found);
            }
        }
        self.fleet.members(|members| members.set_apps(apps));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What was under way ended with the last connection.
        self.busy.clear();
        self.waiting.clear();
        self.seen = 0;
        self.report.unsettle_all();
        loop {
            tokio::select! {
                seen = records.next() => match seen {
                    Some(Ok(seen)) => self.note_record(seen),
                    Some(Err(error @ FleetError::Value { .. })) => log::error!("{error}"),
                    Some(Err(error)) => return Err(error),
                    None => return Ok(()),
                },
                seen = hosts.next() => match seen {
                    Some(Ok(seen)) => self.note_host(seen, announced.presence.as_ref().map(|(.., revision)| *revision)),
                    Some(Err(error @ FleetError::Value { .. })) => log::error!("{error}"),
                    Some(Err(error)) => return Err(error),
                    None => return Ok(()),
                },
                seen = leases.next() => match seen {
                    Some(Ok(seen)) => self.leases.note(seen),
                    Some(Err(error @ FleetError::Value { .. })) => log::error!("{error}"),
                    Some(Err(error)) => return Err(error),
                    None => return Ok(()),
                },
                event = events.recv() => match event {
                    Ok(event) => if matches!(event.what, EventKind::Transition(_) | EventKind::Traffic(_)) {
                        self.report.unsettle(&event.app);
                    },
                    Err(RecvError::Lagged(_)) => self.report.unsettle_all(),
                    Err(RecvError::Closed) => return Ok(()),
                },
                Some((app, revision, outcome)) = works.next() => self.note_outcome(app, revision, outcome)?,
                seen = host_apps.next() => match seen {
                    Some(Ok(seen)) => self.note_app(seen, &mut announced),
                    Some(Err(error @ FleetError::Value { .. })) => log::error!("{error}"),
                    Some(Err(error)) => return Err(error),
                    None => return Ok(()),
                },
                _ = look.tick() => self.announce(fleet, &mut announced).await?,
            }
            if self.is_news {
                look.reset_immediately();
            }
            while works.len() < CONCURRENT_TASKS
                && let Some(work) = self.next_work(fleet)
            {
                works.push(work);
            }
        }
    }

    /// The next record to carry out.
    fn next_work<'a>(&mut self, fleet: &'a Fleet) -> Option<Work<'a>> {
        let app = self.waiting.pop_front()?;
        let (record, revision) = self.records.get(&app)?.clone();
        self.busy.insert(app.clone());
        let refused = self.refused.get(&app).map(|refused| refused.revision);
        let worker = self.worker.clone();
        Some(Box::pin(async move {
            let outcome = worker.carry_out(fleet, &app, (&record, revision), refused).await;
            (app, revision, outcome)
        }))
    }

    fn note_record(&mut self, seen: Seen<Record>) {
        let Seen { name: app, revision, value, written_ms } = seen;
        self.seen = self.seen.max(revision);
        self.is_news = true;
        // A key that is missing removes nothing.
        let Some(record) = value else { return };
        self.fleet.set_record(&app, record.clone(), written_ms);
        // What was carried out is seen again when the host has connected again; what its operator has done since stays.
        let is_known = self.records.get(&app).is_some_and(|known| *known == (record.clone(), revision));
        let is_refused = self.refused.get(&app).is_some_and(|refused| refused.revision == revision);
        if is_known && (is_refused || self.handled.get(&app) == Some(&revision)) {
            return;
        }
        self.changed = Some(Instant::now());
        self.records.insert(app.clone(), (record, revision));
        if !self.busy.contains(&app) && !self.waiting.contains(&app) {
            self.waiting.push_back(app);
        }
    }

    /// Takes note of a host; `own`: the revision of the last presence of this one.
    fn note_host(&mut self, seen: Seen<Presence>, own: Option<u64>) {
        let Seen { name, revision, value, .. } = seen;
        let Some(presence) = value else { return self.fleet.members(|members| members.remove(&name)) };
        let is_other = name == self.fleet.host() && presence.instance != self.report.instance();
        if is_other && own.is_some_and(|own| revision > own) {
            log::warn!(
                "another host of the fleet {} has the name {name}, too; set `host` of `fleet` in apps.json",
                self.fleet.settings().name
            );
        }
        self.fleet.members(|members| members.note(presence, Instant::now()));
    }

    /// Takes note of an app on a host.
    fn note_app(&self, seen: AppOnHost, announced: &mut Announced) {
        let AppOnHost { host, app, found, revision } = seen;
        // The process that this one has replaced may still write how its apps end: the next report corrects it.
        if host == self.fleet.host() {
            announced.note(&app, found.clone(), revision);
        }
        self.fleet.members(|members| members.note_app(&host, &app, found));
    }

    fn note_outcome(&mut self, app: String, revision: u64, outcome: Outcome) -> Result<(), FleetError> {
        self.busy.remove(&app);
        self.is_news = true;
        self.report.unsettle(&app);
        match outcome {
            Outcome::Done => {
                self.handled.insert(app.clone(), revision);
            }
            Outcome::Refused { version, reason } => {
                log::error!("{app}: this host cannot do what the fleet asks for: {reason}");
                self.refused.insert(app.clone(), RefusedVersion { version, revision, reason });
            }
            Outcome::Unreachable(error) => return Err(error),
        }
        if self.records.get(&app).is_some_and(|(_, last)| *last != revision) {
            self.waiting.push_back(app);
        }
        Ok(())
    }

    /// Sends the presence of this host, if it has changed or was sent long ago.
    async fn announce(&mut self, fleet: &Fleet, announced: &mut Announced) -> Result<(), FleetError> {
        let since = announced.presence.as_ref().map(|(_, at, _)| at.elapsed());
        let is_awaited = self.is_news || self.changed.is_some_and(|at| at.elapsed() < ATTENTION);
        if since.is_some_and(|since| since < ANNOUNCE_PAUSE) && !is_awaited {
            return Ok(());
        }
        self.is_news = false;
        let mut presence = self.report.presence().await;
        presence.seen = self.seen;
        presence.pending = self.busy.iter().chain(&self.waiting).cloned().collect();
        presence.pending.sort();
        presence.refused = self.refusals();
        for (app, revision) in fleet.put_apps(self.fleet.host(), announced.apps(), &presence.apps).await? {
            announced.note(&app, presence.apps.get(&app).cloned(), revision);
        }
        presence.apps_revision = announced.apps_revision();
        presence.calls = self.calls.instance();
        let is_same = announced.presence.as_ref().is_some_and(|(last, ..)| *last == presence);
        if is_same && since.is_some_and(|since| since < HEARTBEAT) {
            return Ok(());
        }
        let sent = Presence { sent_ms: Some(now_ms()), ..presence.clone() };
        let revision = fleet.announce(&sent).await?;
        announced.presence = Some((presence, Instant::now(), revision));
        if self.announced.replace(revision).is_none() {
            log::info!("joined the fleet {} as {}", self.fleet.settings().name, self.fleet.host());
            self.fleet.set_away(None);
        }
        Ok(())
    }

    /// The versions that this host refuses, by the names of the apps.
    fn refusals(&self) -> BTreeMap<String, RefusedVersion> {
        let refusals = self.records.iter().filter_map(|(app, (record, revision))| {
            let refused = self.refused.get(app).filter(|refused| refused.revision == *revision).cloned();
            let refused = refused.or_else(|| {
                // Its rollout on this host has ended with another version.
                let wanted = record.wanted(self.fleet.host(), &self.fleet.settings().labels);
                let Wanted::Target(Target::Version(release)) = wanted else { return None };
                let is_handled = self.handled.get(app) == Some(revision);
                let reason = self.report.failure(app, &release.version).filter(|_| is_handled)?;
                let (version, reason) = (release.version.clone(), shortened(reason.to_owned()));
                Some(RefusedVersion { version, revision: *revision, reason })
            });
            Some((app.clone(), refused?))
        });
        refusals.collect()
    }
}
