//! The types of rollouts in the admin API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::deploy::Rollout;
use crate::observe::unix_time::now_ms;
use crate::rollout::{Comparison, Counts};

/// The last rollout of an app: a version that gets its clients step by step, while the host compares it with the current one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutStatus {
    /// The version's id.
    pub version: String,
    /// How far it has come.
    pub state: RolloutState,
    /// Why it was aborted, or what it waits for.
    pub reason: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it ended, in milliseconds since 1970.
    pub ended_ms: Option<u64>,
    /// The percentages of the steps.
    pub steps: Vec<f64>,
    /// The number of the current step, counted from 1.
    pub step: usize,
    /// What the current version has done in this step.
    pub current: VersionFigures,
    /// What the new version has done in this step.
    pub new: VersionFigures,
    /// How strong the evidence is that the new version is worse. At 1, it is aborted.
    pub evidence: EvidenceStatus,
}

/// How far a rollout has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RolloutState {
    /// It is under way.
    Running,
    /// The version is the current one.
    Promoted,
    /// The version gets no clients.
    Aborted,
}

/// What a version has done in a step of a rollout.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionFigures {
    /// Responses.
    pub requests: u64,
    /// Of those, the number with status 500 or above.
    pub failures: u64,
    /// Panics.
    pub panics: u64,
    /// The 95th percentile of the times that its workers took for a response, in milliseconds; absent without responses.
    pub p95_ms: Option<f64>,
}

/// How strong the evidence is that a version is worse, by criterion, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceStatus {
    /// More of its requests fail.
    pub errors: f64,
    /// It panics more often.
    pub panics: f64,
    /// Its responses take longer.
    pub times: f64,
}

impl VersionFigures {
    fn new(counts: &Counts) -> Self {
        Self {
            requests: counts.requests,
            failures: counts.failures,
            panics: counts.panics,
            p95_ms: counts.p95().map(|seconds| seconds * 1000.0),
        }
    }
}

impl RolloutStatus {
    /// That of a rollout with these steps that is under way, before anything is compared.
    pub(in crate::admin) fn running(rollout: &Rollout, steps: Vec<f64>) -> Self {
        Self {
            version: rollout.version.clone(),
            state: RolloutState::Running,
            reason: None,
            started_ms: rollout.started_ms,
            ended_ms: None,
            steps,
            step: rollout.step + 1,
            current: VersionFigures::default(),
            new: VersionFigures::default(),
            evidence: EvidenceStatus::default(),
        }
    }

    /// Takes note that it is aborted.
    pub(in crate::admin) fn abort(&mut self, reason: &str) {
        self.state = RolloutState::Aborted;
        self.reason = Some(reason.to_owned());
        self.ended_ms = Some(now_ms());
    }

    /// Takes note of what was compared.
    pub(in crate::admin) fn compared(&mut self, comparison: &Comparison<'_>) {
        self.current = VersionFigures::new(comparison.current);
        self.new = VersionFigures::new(comparison.new);
        let [errors, panics, times] = comparison.evidence;
        self.evidence = EvidenceStatus { errors, panics, times };
    }
}

/// The last rollouts of the apps since the host started. Clones share them.
#[derive(Clone, Debug, Default)]
pub(in crate::admin) struct Rollouts(Arc<Mutex<HashMap<String, RolloutStatus>>>);

impl Rollouts {
    fn all(&self) -> MutexGuard<'_, HashMap<String, RolloutStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That of an app.
    pub(in crate::admin) fn of(&self, app: &str) -> Option<RolloutStatus> {
        self.all().get(app).cloned()
    }

    /// That of an app, if it is under way.
    pub(in crate::admin) fn running(&self, app: &str) -> Option<RolloutStatus> {
        self.of(app).filter(|rollout| rollout.state == RolloutState::Running)
    }

    pub(in crate::admin) fn set(&self, app: &str, status: RolloutStatus) {
        self.all().insert(app.to_owned(), status);
    }

    /// Changes that of an app, if it is under way and the one that began then; whether it is.
    pub(in crate::admin) fn update(
        &self,
        app: &str,
        started_ms: u64,
        change: impl FnOnce(&mut RolloutStatus),
    ) -> bool {
        let mut all = self.all();
        let running = all
            .get_mut(app)
            .filter(|status| status.state == RolloutState::Running && status.started_ms == started_ms);
        running.map(change).is_some()
    }
}
