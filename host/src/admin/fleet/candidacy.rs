//! A host that would run an app which runs on one host at a time.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::task::JoinHandle;
use log::Level;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::lease_book::{LeaseBook, Link};
use super::take_up::take_up;
use crate::app::handle::App;
use crate::app::lease::clock;
use crate::app::lifecycle::Phase;
use crate::fleet::nats::{FleetError, SavedState, Taken};
use crate::fleet::{LATE_STOP, LEASE_SPREAD, Lease, LeaseStep, LeaseView, THIRDS, lease_step, retry, right};
use crate::observe::entries::LeaseEntry;
use crate::observe::events::EventKind;
use crate::observe::unix_time::now_ms;

/// How often a host looks for apps that need a lease, and for changes of them.
pub(super) const LOOK: Duration = Duration::from_millis(250);

/// What a host does about the lease of an app.
pub(super) struct Candidacy {
    book: Rc<LeaseBook>,
    app: Arc<App>,
    held: Option<Held>,
    /// When it has last tried to write the lease.
    tried: Option<Duration>,
    /// How long it waits when it could take the lease, so that not all hosts try at once.
    spread: f64,
    start: Option<JoinHandle<()>>,
    /// Whether NATS has a state that the app was started with.
    has_state: Rc<Cell<bool>>,
}

/// A lease that this host has.
struct Held {
    lease: Lease,
    revision: u64,
    /// When it has sent what it has it by.
    sent: Duration,
    ttl: Duration,
}

impl Held {
    /// Until when the app may run.
    fn right(&self) -> Duration {
        right(self.sent, self.ttl)
    }

    /// How long stopping the app may take: until the lease can have run out.
    fn stop_limit(&self) -> Duration {
        let left = (self.sent + self.ttl).saturating_sub(clock());
        left.min(self.ttl / THIRDS).max(LATE_STOP)
    }
}

impl Candidacy {
    pub(super) fn new(book: Rc<LeaseBook>, app: Arc<App>) -> Self {
        Self {
            book,
            app,
            held: None,
            tried: None,
            spread: fastrand::f64(),
            start: None,
            has_state: Rc::default(),
        }
    }

    /// Takes and renews the lease, and runs the app meanwhile, until the app needs none any more.
    pub(super) async fn run(mut self) {
        let mut changed = self.book.changed.subscribe();
        loop {
            self.app.lease().set_holder(self.book.holder(self.app.name()).as_deref());
            let now = clock();
            match lease_step(&self.view(), now) {
                LeaseStep::Wait(_) if self.held.is_none() && !self.book.has(&self.app) => return,
                LeaseStep::Wait(until) => {
                    let left = until.map_or(LOOK, |until| until.saturating_sub(now).min(LOOK));
                    tokio::select! {
                        // The other end lives as long as this.
                        _ = changed.changed() => {}
                        () = sleep(left) => {}
                    }
                }
                LeaseStep::Take => self.take().await,
                LeaseStep::Renew => self.renew().await,
                LeaseStep::Release => self.release().await,
                LeaseStep::Stop => self.stop("it could not be renewed in time").await,
            }
        }
    }

    fn view(&self) -> LeaseView {
        let link = self.book.link();
        let held = self.held.as_ref();
        let ttl = held.map(|held| held.ttl).or(link.as_ref().map(|link| link.ttl)).unwrap_or_default();
        let is_off = matches!(self.app.phase(), Phase::Disabled | Phase::Closing);
        let spread = (ttl / LEASE_SPREAD).mul_f64(self.spread);
        LeaseView {
            wants: self.book.has(&self.app) && !is_off && self.book.may_take(self.app.name()),
            is_connected: link.is_some(),
            ttl,
            held: held.map(|held| held.sent),
            free_from: link
                .map_or(Duration::ZERO, |link| self.book.free_from(self.app.name(), &link) + spread),
            tried: self.tried,
        }
    }

    /// Takes the lease if no other process has it, and starts the app.
    async fn take(&mut self) {
        let Some(Link { fleet, ttl, .. }) = self.book.link() else { return };
        let (app, sent) = (self.app.name().clone(), clock());
        (self.tried, self.spread) = (Some(sent), fastrand::f64());
        let lease = self.book.own_lease(now_ms());
        let revision = match timeout(ttl / THIRDS, fleet.take_lease(&app, &lease)).await {
            Ok(Ok(Taken::Own(revision))) => revision,
            Ok(Ok(Taken::Other)) => return,
            Ok(Err(error)) => return log::warn!("{app}: cannot take its lease: {error}"),
            Err(_elapsed) => return log::warn!("{app}: cannot take its lease: NATS does not answer"),
        };
        let held = Held { lease, revision, sent, ttl };
        if clock() >= held.right() {
            return;
        }
        self.book.set_held(&app, true);
        self.app.lease().hold(held.right());
        self.held = Some(held);
        self.report(Level::Info, "this host has its lease, and runs it");
        self.start = Some(actix_web::rt::spawn(take_up(
            self.book.clone(),
            self.app.clone(),
            self.has_state.clone(),
            retry(ttl),
        )));
    }

    /// Writes the lease again.
    async fn renew(&mut self) {
        let (Some(link), Some(held)) = (self.book.link(), &mut self.held) else { return };
        let (app, sent) = (self.app.name(), clock());
        self.tried = Some(sent);
        let limit = held.right().saturating_sub(sent).min(held.ttl / THIRDS);
        let write = async {
            match link.fleet.renew_lease(app, &held.lease, held.revision).await? {
                // The answer to an earlier attempt was lost, or NATS has lost the lease.
                Taken::Other => link.fleet.take_lease(app, &held.lease).await,
                own => Ok(own),
            }
        };
        match timeout(limit, write).await {
            Ok(Ok(Taken::Own(revision))) => {
                (held.revision, held.sent, held.ttl) = (revision, sent, link.ttl);
                self.app.lease().hold(held.right());
            }
            Ok(Ok(Taken::Other)) => self.stop("another host has it").await,
            Ok(Err(error)) => log::warn!("{app}: cannot renew its lease: {error}"),
            Err(_elapsed) => log::warn!("{app}: cannot renew its lease: NATS does not answer"),
        }
    }

    /// Stops the app, because the right to run it has ended.
    async fn stop(&mut self, why: &str) {
        self.end_start();
        let Some(held) = self.held.take() else { return };
        let limit = held.stop_limit();
        self.report(
            Level::Warn,
            format!("this host does not have its lease any more, and stops it within {limit:?}: {why}"),
        );
        self.app.stand_by(limit).await;
        self.book.set_held(self.app.name(), false);
    }

    /// Stops the app, hands its state over and gives the lease back.
    async fn release(&mut self) {
        self.end_start();
        let Some(held) = self.held.take() else { return };
        let app = self.app.name().clone();
        if self.book.is_registered(&self.app) && !self.app.needs_lease() {
            // It runs on every host.
            self.app.lease().give_up();
            self.give_back(held, None).await;
        } else {
            let (is_registered, was_serving) =
                (self.book.is_registered(&self.app), self.app.serving().is_some());
            let limit = held.right().saturating_sub(clock()).min(self.app.settings().start_timeout());
            let states = match is_registered {
                // It includes the wait for requests.
                true => timeout(limit, self.app.save(limit)).await.unwrap_or_default(),
                false => Vec::new(),
            };
            self.app.stand_by(held.stop_limit()).await;
            let state = if states.is_empty() { None } else { Some(self.saved(states).await) };
            if state.is_none() && (was_serving || !is_registered) && self.has_state.take() {
                // The app has it, or is gone, and is not to have it again.
                self.forget_state().await;
            }
            self.give_back(held, state).await;
        }
        self.book.set_held(&app, false);
    }

    async fn saved(&self, workers: Vec<Value>) -> SavedState {
        let known = self.book.deployer.known(self.app.name()).await;
        let version = known.ok().and_then(|known| known.current);
        SavedState { host: self.book.own_lease(0).host, version, at_ms: now_ms(), workers }
    }

    /// Deletes the lease, after it has left the state for the next host.
    async fn give_back(&self, held: Held, state: Option<SavedState>) {
        let app = self.app.name();
        let lost = if state.is_some() { "; its state is lost" } else { "" };
        let Some(Link { fleet, ttl, .. }) = self.book.link() else {
            return self.report(
                Level::Warn,
                format!("this host has stopped it, and cannot give its lease back without NATS{lost}"),
            );
        };
        let hand_over = async {
            let (mut revision, mut leaves_state) = (held.revision, false);
            if let Some(state) = &state {
                // There is as much time as a lease lasts.
                match fleet.renew_lease(app, &held.lease, revision).await? {
                    Taken::Own(renewed) => revision = renewed,
                    Taken::Other => return Ok((false, false)),
                }
                match fleet.put_state(app, state).await {
                    Ok(()) => leaves_state = true,
                    Err(error) => log::warn!("{app}: its state is lost: {error}"),
                }
            }
            let is_given_back = fleet.delete_lease(app, &held.lease.instance, revision).await?;
            if !is_given_back && leaves_state {
                // Another host runs it already, without this.
                fleet.delete_state(app).await?;
            }
            Ok::<_, FleetError>((is_given_back, leaves_state))
        };
        match timeout(ttl, hand_over).await {
            Ok(Ok((true, true))) => {
                self.report(Level::Info, "this host has stopped it, and hands its lease and its state over");
            }
            Ok(Ok((true, false))) => self.report(Level::Info, "this host gives its lease back"),
            Ok(Ok((false, _))) => self.report(
                Level::Warn,
                format!("this host has stopped it, and another one has its lease already{lost}"),
            ),
            Ok(Err(error)) => log::warn!("{app}: cannot give its lease back, so that it runs out: {error}"),
            Err(_elapsed) => {
                log::warn!("{app}: cannot give its lease back, so that it runs out: NATS does not answer");
            }
        }
    }

    async fn forget_state(&self) {
        let Some(link) = self.book.link() else { return };
        if let Err(error) = link.fleet.delete_state(self.app.name()).await {
            log::warn!("{}: its state stays in NATS: {error}", self.app.name());
        }
    }

    fn end_start(&mut self) {
        self.start.take().iter().for_each(JoinHandle::abort);
    }

    /// Logs what happens to the lease, and tells those who follow the app's events.
    fn report(&self, level: Level, what: impl Into<String>) {
        let what = what.into();
        log::log!(level, "{}: {what}", self.app.name());
        self.app.app_log().tell(|| EventKind::Lease(LeaseEntry { at_ms: now_ms(), what }));
    }
}
