//! The types of traffic in the admin API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rollout_model::RolloutStatus;
use crate::admin::model::GenerationStatus;
use crate::app::handle::App;
use crate::app::traffic::VersionBeside;
use crate::config::SLOTS;
use crate::observe::history::HistoryEntry;

/// How many slots one percent of the clients are.
const SLOTS_OF_PERCENT: f64 = SLOTS as f64 / 100.0;

/// How the requests to an app are split between its versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrafficStatus {
    /// The id of the current version.
    pub current: Option<String>,
    /// The percentage of the clients that get it.
    pub weight: f64,
    /// The versions that serve beside it.
    pub versions: Vec<VersionTraffic>,
    /// The last rollout since the host started.
    pub rollout: Option<RolloutStatus>,
}

/// A version that serves beside the current one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VersionTraffic {
    /// The version's id.
    pub version: String,
    /// The percentage of the clients that get it.
    pub weight: f64,
    /// Whether everyone can reach it at `/apps/{app}@{version}/`.
    pub preview: bool,
    /// Its phase, as that of an app.
    pub phase: String,
    /// Its serving generation.
    pub serving: Option<GenerationStatus>,
    /// The result of the last load: `serving` or `refused`, with the reason.
    #[serde(default)]
    pub last_load: Option<HistoryEntry>,
    /// The total number of responses since it serves beside the current version.
    pub requests: u64,
    /// Of those, the number with status 500 or above.
    pub failures: u64,
    /// The number of its panics.
    pub panics: u64,
}

/// How the requests to an app are to be split. The current version gets the clients that no other one gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTraffic {
    /// The versions that are to serve beside the current one; others no longer do.
    pub versions: Vec<NewVersionTraffic>,
}

/// A version that is to serve beside the current one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVersionTraffic {
    /// The version's id, or its beginning; `new` is the newest version that is not the current one.
    pub version: String,
    /// The percentage of the clients that get it, in hundredths of a percent at most. With 0, it is for requests that choose it.
    #[schema(minimum = 0, maximum = 100)]
    pub weight: f64,
    /// Whether everyone can reach it at `/apps/{app}@{version}/`.
    #[serde(default)]
    pub preview: bool,
}

impl NewVersionTraffic {
    /// Its weight in slots; `None`: it is no percentage that there is.
    pub(in crate::admin) fn slots(&self) -> Option<u16> {
        let slots = (self.weight * SLOTS_OF_PERCENT).round();
        let is_exact = (slots - self.weight * SLOTS_OF_PERCENT).abs() < 1e-6;
        (is_exact && (0.0..=f64::from(SLOTS)).contains(&slots)).then_some(slots as u16)
    }
}

impl TrafficStatus {
    pub(in crate::admin) fn new(app: &App, current: Option<String>, rollout: Option<RolloutStatus>) -> Self {
        let versions = VersionTraffic::all(app);
        let weight = 100.0 - versions.iter().map(|version| version.weight).sum::<f64>();
        Self { current, weight: (weight * SLOTS_OF_PERCENT).round() / SLOTS_OF_PERCENT, versions, rollout }
    }
}

impl VersionTraffic {
    /// Those of an app.
    pub(in crate::admin) fn all(app: &App) -> Vec<Self> {
        let traffic = app.traffic();
        traffic.iter().flat_map(|traffic| traffic.versions()).map(Self::new).collect()
    }

    fn new(version: &VersionBeside) -> Self {
        let VersionBeside { app, slots, is_open } = version;
        let responses = app.metrics().responses();
        Self {
            version: version.id().to_owned(),
            weight: f64::from(slots.count()) / SLOTS_OF_PERCENT,
            preview: *is_open,
            phase: app.phase().to_string(),
            serving: app.serving().map(|generation| GenerationStatus::new(&generation)),
            last_load: HistoryEntry::of_last_load(&app.history()),
            requests: responses.iter().sum(),
            failures: responses[4],
            panics: app.app_log().panic_count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_percentage_in_hundredths() {
        for (weight, slots) in [
            (0.0, Some(0)),
            (0.01, Some(1)),
            (0.29, Some(29)),
            (5.0, Some(500)),
            (99.99, Some(9999)),
            (100.0, Some(10_000)),
            (0.001, None),
            (-1.0, None),
            (100.01, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ] {
            let new = NewVersionTraffic { version: "a".into(), weight, preview: false };
            assert_eq!(new.slots(), slots, "{weight}");
        }
    }
}
