//! What there is to tell of each app.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::pieces::{self, Piece};
use crate::observe::events::{EventKind, HostEvent};
use crate::observe::history::State;
use crate::registry::Registry;

/// Which version of each app serves, and what is wrong with the next one, for the pages that are open in browsers.
#[derive(Debug)]
pub struct LivePages {
    pub(super) registry: Arc<Registry>,
    /// Tells this host's versions from those of one that was here before.
    host: String,
    started: Instant,
    apps: Mutex<HashMap<String, Known>>,
    pub(super) changed: watch::Sender<Changed>,
}

/// What is known of one app.
#[derive(Debug, Default)]
struct Known {
    /// When the last change was noticed that a request sees now. `None`: it is what it was at the start.
    newest: Option<Instant>,
    /// Whether it is being built for the first time.
    coming: bool,
    failure: Option<Failure>,
}

/// The state sent to open pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    Something,
    /// The server ends: it would wait for those who follow.
    Ended,
}

/// Why there is no newer version.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Failure {
    pub(super) title: String,
    pub(super) text: Vec<Piece>,
    #[serde(skip)]
    pub(super) by: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Build,
    Start,
}

/// What a page of an app is to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Condition {
    /// `None`: there is none that could answer.
    pub(super) version: Option<String>,
    pub(super) failure: Option<Failure>,
}

impl LivePages {
    /// Those of a registry's apps.
    pub fn new(registry: Arc<Registry>) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            registry,
            host: format!("{:x}", since_epoch.as_micros()),
            started: Instant::now(),
            apps: Mutex::default(),
            changed: watch::Sender::new(Changed::Something),
        }
    }

    /// These apps, and no others, are being built and not registered yet.
    pub fn coming<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let mut apps = self.apps();
        apps.values_mut().for_each(|known| known.coming = false);
        for name in names {
            apps.entry(name.to_owned()).or_default().coming = true;
        }
    }

    /// Apps were registered.
    pub fn registered(&self) {
        self.tell();
    }

    /// A library was built, from what was changed at `since` unless it is the one before; the app has been notified if
    /// it is registered.
    pub fn built(&self, app: &str, since: Option<Instant>) {
        let registered = self.registry.get(app);
        let mut apps = self.apps();
        let known = apps.entry(app.to_owned()).or_default();
        known.failure = None;
        if registered.is_some_and(|app| app.serving().is_none()) {
            // It is what the next request starts.
            known.newest = known.newest.max(since);
        }
        drop(apps);
        self.tell();
    }

    /// A build has failed: with this text, which may have a terminal's control sequences in it.
    pub fn build_failed(&self, app: &str, text: &str) {
        self.fail(app, format!("{app} failed to build"), text, Stage::Build);
    }

    /// Follows how the apps fare, for as long as it is polled.
    pub async fn follow(self: Arc<Self>, mut events: Receiver<Arc<HostEvent>>) {
        let (serving, refused) = (State::Serving.to_string(), State::Refused.to_string());
        loop {
            match events.recv().await {
                Ok(event) => match &event.what {
                    EventKind::Transition(entry) if entry.state == serving => self.serves(&event.app),
                    EventKind::Transition(entry) if entry.state == refused => {
                        self.fail(
                            &event.app,
                            format!("{} failed to start", event.app),
                            &entry.reason,
                            Stage::Start,
                        );
                    }
                    _ => {}
                },
                Err(RecvError::Lagged(_)) => self.tell(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Ends all that follows.
    pub(crate) fn end(&self) {
        self.changed.send_replace(Changed::Ended);
    }

    fn serves(&self, app: &str) {
        if let Some(known) = self.apps().get_mut(app) {
            known.failure.take_if(|failure| failure.by == Stage::Start);
        }
        self.tell();
    }

    fn fail(&self, app: &str, title: String, text: &str, by: Stage) {
        let failure = Failure { title, text: pieces::parse(text), by };
        let mut apps = self.apps();
        let known = apps.entry(app.to_owned()).or_default();
        known.failure = Some(failure);
        drop(apps);
        self.tell();
    }

    pub(super) fn is_coming(&self, app: &str) -> bool {
        self.apps().get(app).is_some_and(|known| known.coming)
    }

    pub(super) fn condition(&self, app: &str) -> Condition {
        let registered = self.registry.get(app);
        let mut apps = self.apps();
        let known = match registered.is_some() {
            true => Some(apps.entry(app.to_owned()).or_default()),
            false => apps.get_mut(app),
        };
        let Some(known) = known else { return Condition { version: None, failure: None } };
        let brought = registered.as_ref().and_then(|app| app.serving()).and_then(|it| it.noticed());
        // What serves without having been brought by a change is what was there before, started again.
        known.newest = known.newest.max(brought);
        let age = known.newest.map_or(0, |newest| newest.saturating_duration_since(self.started).as_micros());
        let version = registered.map(|_| format!("{}.{age}", self.host));
        Condition { version, failure: known.failure.clone() }
    }

    fn tell(&self) {
        self.changed.send_if_modified(|changed| *changed != Changed::Ended);
    }

    fn apps(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
