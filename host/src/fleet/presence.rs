//! What a host reports of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a host of a fleet reports of itself: the value of the key `host.NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Its name in the fleet.
    pub host: String,
    /// What tells its process from others with the same name.
    pub instance: String,
    /// The URLs of its HTTP server.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The version of Atoll.
    pub atoll: String,
    /// When its process started, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it has sent this, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_ms: Option<u64>,
    /// How far its clock is ahead of that of NATS, in milliseconds, if that is known.
    #[serde(skip)]
    pub ahead_ms: Option<i64>,
    /// The revision of the last record that it has seen.
    pub seen: u64,
    /// The apps whose records it is carrying out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<String>,
    /// The versions that it got from the fleet and does not serve, by the names of the apps.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, RefusedVersion>,
    /// The revision of the last of its apps that it has written. It grows whenever something of an app changes.
    #[serde(default)]
    pub apps_revision: u64,
    /// Its apps, as far as they are known: each is the value of a key `HOST.APP`, so that a change of one is a small message.
    #[serde(skip)]
    pub apps: BTreeMap<String, AppPresence>,
    /// Where it takes requests of other hosts to its apps; `None`: it takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<String>,
}

/// What a host reports of an app: the value of the key `HOST.APP`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppPresence {
    /// The id of the version that is the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The number of the serving generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The phase of the app, as in `atoll ls`.
    pub phase: String,
    /// The requests that failed, the workers that ended and the faults since the version is the current one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub errors: u64,
}

/// A version that a host got from the fleet and does not serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedVersion {
    /// Its id; empty: the removal of the app.
    pub version: String,
    /// The revision of the record by which the host got it.
    pub revision: u64,
    /// Why.
    pub reason: String,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Presence {
    /// Whether the host has carried out or refused the record of an app with this revision.
    pub(super) fn has_handled(&self, app: &str, revision: u64) -> bool {
        self.seen >= revision && self.pending.iter().all(|pending| pending != app)
    }
}

#[cfg(feature = "fleet")]
impl AppPresence {
    /// Whether the version is the current one, and not known to be broken.
    pub(super) fn serves(&self, version: &str) -> bool {
        self.version.as_deref() == Some(version) && self.broken_phase().is_none()
    }

    /// Whether another host runs it.
    pub(super) fn stands_by(&self) -> bool {
        self.phase == "standby"
    }

    /// Whether the app takes requests of other hosts.
    pub(super) fn takes_calls(&self) -> bool {
        matches!(&*self.phase, "cold" | "starting" | "serving")
    }

    /// The phase, if it is one in which the app answers no request.
    pub(super) fn broken_phase(&self) -> Option<&str> {
        matches!(&*self.phase, "failed" | "blocked").then_some(&*self.phase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_another_version_of_atoll_is_read() {
        // What each report has, and fields that a later version may add.
        let host =
            r#"{ "host": "a", "instance": "1", "atoll": "9.0.0", "started_ms": 1, "seen": 5, "new": [] }"#;
        let host: Presence = serde_json::from_str(host).unwrap();
        assert!(host.has_handled("app", 5) && !host.has_handled("app", 6));
        let app: AppPresence = serde_json::from_str(r#"{ "phase": "serving", "new": 1 }"#).unwrap();
        assert_eq!((app.version, app.errors), (None, 0));
    }
}
