//! What a fleet knows of an app.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::limits::MAX_HISTORY;
use crate::config::Entry;
use crate::deploy::SharedLibrary;

/// What a fleet knows of an app: the value of the key `app.NAME`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What the hosts of the wave are to have.
    pub target: Target,
    /// The hosts that are to have the target. The others are to have what was the target before.
    pub wave: Wave,
    /// What was the target before, the last first: at most [`MAX_HISTORY`].
    #[serde(default)]
    pub history: Vec<Target>,
    /// Why the last rollout went back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// When this was written, in milliseconds since 1970.
    pub changed_ms: u64,
}

/// What hosts are to have of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// This version.
    Version(Release),
    /// Nothing: the app was removed.
    Removed(Removal),
    /// What they had before they got the version with this id.
    Withdrawn(String),
}

/// What a host is to have of an app, by its record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wanted<'r> {
    /// What it has.
    Same,
    /// This.
    Target(&'r Target),
    /// No version of the record: the one that it would get is for hosts with other labels.
    NotHere,
}

/// The labels of a host.
pub type Labels = BTreeMap<String, String>;

/// A version that was deployed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Its id, as in `atoll versions`.
    pub version: String,
    /// The BLAKE3 hash of its library's file, in hexadecimal: its name in the object store.
    pub library: String,
    /// The shared libraries that it needs.
    #[serde(default)]
    pub libraries: Vec<SharedLibrary>,
    /// The app's entry in apps.json, without `name` and `path`.
    #[serde(default)]
    pub entry: Entry,
    /// A note.
    #[serde(default)]
    pub note: Option<String>,
    /// Who deployed it.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who vouches for all of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<ReleaseSignature>,
}

/// The signature of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseSignature {
    /// The ed25519 public key of the signer, in hexadecimal.
    pub signer: String,
    /// The signature, in hexadecimal.
    pub value: String,
}

/// That an app was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// Who removed it.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// The hosts that are to have the target of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wave {
    /// All, also those that join later.
    All,
    /// These.
    Hosts(Vec<String>),
}

/// Why a rollout went back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// The version that was rolled out.
    pub version: String,
    /// The host.
    pub host: String,
    /// What was wrong there.
    pub reason: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// Another version is being rolled out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the rollout of the version {version} by {by} is under way; wait for it, deploy the same version to resume it, or go back with \
    `atoll rollback {app} --fleet`"
)]
pub struct UnderWay {
    app: String,
    version: String,
    by: String,
}

/// There is no version to go back to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the fleet has no earlier version of {0}")]
pub struct NoRelease(String);

impl Wave {
    /// Whether a host is in it.
    pub fn has(&self, host: &str) -> bool {
        match self {
            Self::All => true,
            Self::Hosts(hosts) => hosts.iter().any(|name| name == host),
        }
    }
}

impl Release {
    /// The labels of the hosts that are to have it: the setting `on`.
    pub fn on(&self) -> Labels {
        let on = self.entry.get("on").and_then(Value::as_object);
        let label = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        on.into_iter().flatten().filter_map(label).collect()
    }

    /// Whether a host with these labels is to have it.
    pub fn is_for(&self, labels: &Labels) -> bool {
        self.on().iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}

impl Target {
    /// The version.
    pub fn release(&self) -> Option<&Release> {
        match self {
            Self::Version(release) => Some(release),
            Self::Removed(_) | Self::Withdrawn(_) => None,
        }
    }

    fn is_version(&self, id: &str) -> bool {
        self.release().is_some_and(|release| release.version == id)
    }
}

impl Record {
    /// What a host with these labels is to have.
    pub fn wanted(&self, host: &str, labels: &Labels) -> Wanted<'_> {
        match if self.wave.has(host) { Some(&self.target) } else { self.history.first() } {
            None => Wanted::Same,
            Some(Target::Version(release)) if !release.is_for(labels) => Wanted::NotHere,
            Some(target) => Wanted::Target(target),
        }
    }

    /// Whether it has a version with this id.
    pub(super) fn has_version(&self, id: &str) -> bool {
        self.history.iter().chain([&self.target]).any(|target| target.is_version(id))
    }

    /// That of a version which is rolled out to these hosts first, after `before`; `None`: it is the target already, so that its
    /// rollout is resumed.
    ///
    /// # Errors
    /// Another version is being rolled out.
    pub fn begin(
        before: Option<&Self>,
        app: &str,
        release: Release,
        wave: Wave,
    ) -> Result<Option<Self>, UnderWay> {
        let changed_ms = release.at_ms;
        let Some(before) = before else {
            let target = Target::Version(release);
            return Ok(Some(Self { target, wave, history: Vec::new(), failure: None, changed_ms }));
        };
        if before.target.is_version(&release.version) {
            return Ok(None);
        }
        if let (Target::Version(running), Wave::Hosts(_)) = (&before.target, &before.wave) {
            let (version, by) = (running.version.clone(), running.by.clone());
            return Err(UnderWay { app: app.to_owned(), version, by });
        }
        Ok(Some(before.with(Target::Version(release), wave, changed_ms)))
    }

    /// The same target for these hosts.
    #[must_use]
    pub fn extended(&self, wave: Wave, now_ms: u64) -> Self {
        Self { wave, changed_ms: now_ms, ..self.clone() }
    }

    /// The same with this release, if it is the target with another signature: a version may be deployed again to sign it.
    #[must_use]
    pub fn signed(&self, release: &Release) -> Self {
        if release.signature.is_some() && self.target.is_version(&release.version) {
            return Self { target: Target::Version(release.clone()), ..self.clone() };
        }
        self.clone()
    }

    /// After the rollout of the target has failed: all hosts are to have what they had before it.
    #[must_use]
    pub fn gone_back(&self, host: &str, reason: &str, now_ms: u64) -> Self {
        let version = self.target.release().map(|release| release.version.clone()).unwrap_or_default();
        let mut history = self.history.clone();
        let target = if history.is_empty() { Target::Withdrawn(version.clone()) } else { history.remove(0) };
        let failure = Failure { version, host: host.to_owned(), reason: reason.to_owned(), at_ms: now_ms };
        Self { target, wave: Wave::All, history, failure: Some(failure), changed_ms: now_ms }
    }

    /// With the last version before the target, on all hosts.
    ///
    /// # Errors
    /// There is none.
    pub fn rolled_back(&self, app: &str, now_ms: u64) -> Result<Self, NoRelease> {
        let found = self.history.iter().position(|past| past.release().is_some());
        let at = found.ok_or_else(|| NoRelease(app.to_owned()))?;
        let mut history = self.history.clone();
        let target = history.remove(at);
        history.drain(..at);
        Ok(Self { target, wave: Wave::All, history, failure: None, changed_ms: now_ms })
    }

    /// With the app removed from all hosts.
    #[must_use]
    pub fn removed(before: Option<&Self>, by: &str, now_ms: u64) -> Self {
        let target = Target::Removed(Removal { by: by.to_owned(), at_ms: now_ms });
        match before {
            Some(before) => before.with(target, Wave::All, now_ms),
            None => Self { target, wave: Wave::All, history: Vec::new(), failure: None, changed_ms: now_ms },
        }
    }

    /// With another target after this one.
    fn with(&self, target: Target, wave: Wave, changed_ms: u64) -> Self {
        let is_new = |past: &&Target| match target.release() {
            Some(release) => !past.is_version(&release.version),
            None => true,
        };
        // What was withdrawn is nothing to go back to.
        let last = Some(&self.target).filter(|last| !matches!(last, Target::Withdrawn(_)));
        let history =
            last.into_iter().chain(&self.history).filter(is_new).take(MAX_HISTORY).cloned().collect();
        Self { target, wave, history, failure: None, changed_ms }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::fleet) fn release(version: &str) -> Release {
        Release {
            version: version.to_owned(),
            library: String::new(),
            libraries: Vec::new(),
            entry: Entry::new(),
            note: None,
            by: "ann".to_owned(),
            at_ms: 1,
            signature: None,
        }
    }

    /// A version for hosts with the label `role` of this value.
    pub(in crate::fleet) fn release_on(version: &str, role: &str) -> Release {
        let entry = serde_json::json!({ "on": { "role": role } }).as_object().cloned().unwrap();
        Release { entry, ..release(version) }
    }

    pub(in crate::fleet) fn with_role(role: &str) -> Labels {
        Labels::from([("role".to_owned(), role.to_owned())])
    }

    pub(in crate::fleet) fn begun(before: Option<&Record>, version: &str, wave: Wave) -> Record {
        Record::begin(before, "app", release(version), wave).unwrap().unwrap()
    }

    fn id(target: Option<&Target>) -> Option<&str> {
        Some(&target?.release()?.version)
    }

    /// The version that a host without labels is to have.
    fn of<'r>(record: &'r Record, host: &str) -> Option<&'r str> {
        match record.wanted(host, &Labels::new()) {
            Wanted::Target(target) => id(Some(target)),
            Wanted::Same | Wanted::NotHere => None,
        }
    }

    #[test]
    fn a_version_is_for_the_hosts_that_have_all_of_its_labels() {
        let batch = release_on("1", "batch");
        let mut labels = with_role("batch");
        assert!(batch.is_for(&labels) && !batch.is_for(&with_role("web")) && !batch.is_for(&Labels::new()));
        labels.insert("zone".into(), "a".into());
        assert!(batch.is_for(&labels) && release("1").is_for(&labels) && release("1").is_for(&Labels::new()));

        // Which version a host would get decides whose labels count.
        let one = Record::begin(None, "app", batch, Wave::All).unwrap().unwrap();
        let two = begun(Some(&one), "2", Wave::Hosts(vec!["a".into()]));
        assert_eq!(of(&two, "a"), Some("2"));
        assert_eq!(two.wanted("b", &Labels::new()), Wanted::NotHere);
        assert_eq!(two.wanted("b", &labels), Wanted::Target(&one.target));
        let removed = Record::removed(Some(&one), "ann", 2);
        assert_eq!(removed.wanted("b", &Labels::new()), Wanted::Target(&removed.target));
        assert!(two.has_version("1") && two.has_version("2") && !two.has_version("3"));
    }

    #[test]
    fn hosts_outside_of_the_wave_keep_what_was_there_before() {
        let first = begun(None, "1", Wave::Hosts(vec!["a".into()]));
        assert_eq!((of(&first, "a"), first.wanted("b", &Labels::new())), (Some("1"), Wanted::Same));
        let all = first.extended(Wave::All, 2);
        let second = begun(Some(&all), "2", Wave::Hosts(vec!["a".into()]));
        assert_eq!((of(&second, "a"), of(&second, "b")), (Some("2"), Some("1")));
    }

    #[test]
    fn a_record_of_another_version_of_atoll_is_read() {
        // What each record has, and fields that a later version may add.
        let text = r#"{
            "target": { "version": { "version": "1", "library": "aa", "entry": { "queue": 7 }, "by": "ann", "at_ms": 1, "new": [] } },
            "wave": { "hosts": ["a"] }, "changed_ms": 1, "new": {}
        }"#;
        let record: Record = serde_json::from_str(text).unwrap();
        assert_eq!((of(&record, "a"), record.wanted("b", &Labels::new())), (Some("1"), Wanted::Same));
        assert_eq!(record.target.release().unwrap().entry["queue"], 7);
        let removed = r#"{ "target": { "removed": { "by": "ann", "at_ms": 1, "new": 1 } }, "wave": "all", "changed_ms": 1 }"#;
        assert!(matches!(serde_json::from_str::<Record>(removed).unwrap().target, Target::Removed(_)));
    }

    #[test]
    fn one_rollout_at_a_time() {
        let running = begun(None, "1", Wave::Hosts(vec!["a".into()]));
        let other = Record::begin(Some(&running), "app", release("2"), Wave::All);
        let message = other.unwrap_err().to_string();
        assert!(
            message.contains("version 1 by ann") && message.contains("atoll rollback app --fleet"),
            "{message}"
        );
        assert_eq!(Record::begin(Some(&running), "app", release("1"), Wave::All), Ok(None), "it is resumed");
    }

    #[test]
    fn a_version_is_signed_when_it_is_deployed_again() {
        let record = begun(None, "1", Wave::All);
        let signature = ReleaseSignature { signer: "ann".into(), value: "0".into() };
        let signed = Release { signature: Some(signature), ..release("1") };
        assert_eq!(record.signed(&signed).target, Target::Version(signed.clone()));
        assert_eq!(record.signed(&Release { version: "2".into(), ..signed.clone() }), record);
        assert_eq!(record.signed(&signed).signed(&release("1")).target, Target::Version(signed), "it stays");
    }

    #[test]
    fn a_failure_goes_back_to_what_was_there() {
        let one = begun(None, "1", Wave::All);
        let two = begun(Some(&one), "2", Wave::Hosts(vec!["a".into()]));
        let back = two.gone_back("a", "it panicked", 9);
        assert_eq!((id(Some(&back.target)), &back.wave), (Some("1"), &Wave::All));
        let failure = back.failure.clone().unwrap();
        assert_eq!((&*failure.version, &*failure.host, &*failure.reason), ("2", "a", "it panicked"));
        assert_eq!(begun(Some(&back), "3", Wave::All).failure, None);

        let new = one.gone_back("a", "x", 9);
        assert_eq!(new.target, Target::Withdrawn("1".into()));
        assert!(begun(Some(&new), "2", Wave::All).history.is_empty());

        let removed = Record::removed(Some(&one), "ann", 3);
        let again = begun(Some(&removed), "4", Wave::All);
        assert_eq!(again.gone_back("a", "x", 9).target, removed.target);
    }

    #[test]
    fn a_rollback_finds_the_last_version() {
        let one = begun(None, "1", Wave::All);
        assert!(one.rolled_back("app", 2).is_err());
        let two = begun(Some(&one), "2", Wave::All);
        let back = two.rolled_back("app", 2).unwrap();
        assert_eq!((id(Some(&back.target)), back.history.len()), (Some("1"), 0));
        let removed = Record::removed(Some(&two), "ann", 3);
        assert_eq!(id(Some(&removed.rolled_back("app", 4).unwrap().target)), Some("2"));
        assert_eq!(Record::removed(None, "ann", 3).rolled_back("app", 4), Err(NoRelease("app".into())));
    }

    #[test]
    fn the_history_is_limited_and_has_each_version_once() {
        let mut record = begun(None, "0", Wave::All);
        for version in 1..20 {
            record = begun(Some(&record), &version.to_string(), Wave::All);
        }
        assert_eq!(record.history.len(), MAX_HISTORY);
        assert_eq!(id(record.history.first()), Some("18"));
        let again = begun(Some(&record), "18", Wave::All);
        assert_eq!(again.history.iter().filter(|past| past.is_version("18")).count(), 0);
        assert_eq!(id(again.history.first()), Some("19"));
    }

    #[test]
    fn a_record_is_json_that_people_can_read() {
        let mut record = begun(None, "1", Wave::Hosts(vec!["a".into()]));
        record.history.push(Target::Removed(Removal { by: "ann".into(), at_ms: 0 }));
        let text = serde_json::to_string(&record).unwrap();
        assert!(text.contains(r#""target":{"version":{"version":"1""#), "{text}");
        assert!(text.contains(r#""wave":{"hosts":["a"]}"#), "{text}");
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
