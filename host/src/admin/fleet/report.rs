//! The presence of this host.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::admin::state::State;
use crate::admin::versions::{Deployer, KnownVersions};
use crate::app::handle::App;
use crate::fleet::{AppPresence, MAX_REASON, Membership, Presence};

/// How long the versions of an app are read again after something has happened to it: what happens is reported before it is
/// written.
const UNSETTLED: Duration = Duration::from_secs(3);

/// How often the versions of an app are read again when nothing happens to it.
const READ_AGAIN: Duration = Duration::from_secs(60);

/// What becomes the presence of this host.
pub(super) struct Report {
    fleet: Membership,
    state: State,
    deployer: Arc<Deployer>,
    instance: String,
    apps: HashMap<String, Known>,
}

/// What is known of an app.
struct Known {
    versions: KnownVersions,
    /// When to read them again.
    read_again: Instant,
    unsettled_until: Instant,
}

impl Report {
    pub(super) fn new(fleet: Membership, state: State, deployer: Arc<Deployer>) -> Self {
        let instance = format!("{:016x}", fastrand::u64(..));
        Self { fleet, state, deployer, instance, apps: HashMap::new() }
    }

    /// What tells this process from others with the same name.
    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    /// Takes note that something has happened to an app.
    pub(super) fn unsettle(&mut self, app: &str) {
        if let Some(known) = self.apps.get_mut(app) {
            known.unsettled_until = Instant::now() + UNSETTLED;
        }
    }

    /// Takes note that something may have happened to any app.
    pub(super) fn unsettle_all(&mut self) {
        let until = Instant::now() + UNSETTLED;
        self.apps.values_mut().for_each(|known| known.unsettled_until = until);
    }

    /// The presence without what the host has seen of the fleet.
    pub(super) async fn presence(&mut self) -> Presence {
        let apps = self.state.registry.apps();
        self.apps.retain(|name, _| self.state.registry.get(name).is_some());
        for app in &apps {
            self.read(app).await;
        }
        let presences = apps.iter().filter_map(|app| {
            let known = self.apps.get(app.registered_name())?;
            Some((app.registered_name().to_owned(), self.of_app(app, &known.versions)))
        });
        Presence {
            host: self.fleet.host().to_owned(),
            instance: self.instance.clone(),
            addresses: self.fleet.addresses(),
            labels: self.fleet.settings().labels.clone(),
            atoll: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: self.state.started_ms(),
            sent_ms: None,
            ahead_ms: None,
            seen: 0,
            pending: Vec::new(),
            refused: BTreeMap::new(),
            apps_revision: 0,
            apps: presences.collect(),
            calls: None,
        }
    }

    /// The reason why a version of an app is not the current one.
    pub(super) fn failure(&self, app: &str, version: &str) -> Option<&str> {
        let failed = &self.apps.get(app)?.versions.failed;
        failed.iter().find(|(id, _)| id == version).map(|(_, reason)| &**reason)
    }

    fn of_app(&self, app: &App, versions: &KnownVersions) -> AppPresence {
        let errors = app.metrics().errors_of_version();
        let faults = self.state.faults_since(app.registered_name(), versions.since_ms);
        AppPresence {
            version: versions.current.clone(),
            generation: app.serving().map(|generation| generation.number()),
            phase: app.phase().to_string(),
            errors: errors + if versions.since_ms > 0 { faults } else { 0 },
        }
    }

    /// Reads the versions of an app, if they may have changed.
    async fn read(&mut self, app: &App) {
        let (name, now) = (app.registered_name(), Instant::now());
        let is_rolling = self.state.rollouts.running(name).is_some();
        let known = self.apps.get(name);
        if known.is_some_and(|known| now > known.unsettled_until && now < known.read_again && !is_rolling) {
            return;
        }
        let versions = match self.deployer.known(name).await {
            Ok(versions) => versions,
            Err(problem) => return log::warn!("{name}: the fleet does not see its version: {problem}"),
        };
        let unsettled_until = self.apps.get(name).map_or(now, |known| known.unsettled_until);
        let known = Known { versions, read_again: now + READ_AGAIN, unsettled_until };
        self.apps.insert(name.to_owned(), known);
    }
}

/// A reason that is short enough for a presence.
pub(super) fn shortened(mut reason: String) -> String {
    if reason.len() > MAX_REASON {
        let last = MAX_REASON - '…'.len_utf8();
        let end = reason.char_indices().map(|(at, _)| at).take_while(|at| *at <= last).last();
        reason.truncate(end.unwrap_or(0));
        reason.push('…');
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(shortened("x".repeat(MAX_REASON)).len(), MAX_REASON);
        let cut = shortened("ä".repeat(MAX_REASON));
        assert!(cut.len() <= MAX_REASON && cut.ends_with("ä…"), "{}", cut.len());
    }
}
