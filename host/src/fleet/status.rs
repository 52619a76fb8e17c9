//! A fleet as people see it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::presence::{Presence, RefusedVersion};
use super::record::{Failure, Labels, Record, Release, Target, Wave};
use super::settled::is_right;

/// A fleet, as one of its hosts sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetStatus {
    /// The fleet's name.
    pub name: String,
    /// The name of the host that reports this.
    pub host: String,
    /// Whether that host is connected to NATS. If not, the rest is what it last saw.
    pub connected: bool,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// Why it cannot connect.
    pub reason: Option<String>,
    /// The hosts, by name.
    pub hosts: Vec<FleetHost>,
    /// The apps of the fleet and of its hosts, by name.
    pub apps: Vec<FleetApp>,
}

/// A host of a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetHost {
    /// Its name.
    pub name: String,
    /// The URLs of its HTTP server.
    pub addresses: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The version of Atoll.
    pub atoll: String,
    /// When it started, in milliseconds since 1970, by the clock of the reporting host.
    pub started_ms: u64,
    /// How far its clock is ahead of that of the reporting host, in milliseconds; absent if that is not known.
    #[serde(default)]
    pub clock_ahead_ms: Option<i64>,
    /// The number of its apps.
    pub apps: usize,
    /// The number of apps that are not what they should be.
    pub out_of_date: usize,
}

/// An app of a fleet, or of some of its hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetApp {
    /// Its name.
    pub name: String,
    /// Whether it is one of the fleet, rather than of single hosts.
    pub is_shared: bool,
    /// The id of the version that was last deployed; absent if the app was removed or withdrawn.
    pub version: Option<String>,
    /// Whether it was removed.
    pub is_removed: bool,
    /// Who deployed or removed it.
    pub by: Option<String>,
    /// When, in milliseconds since 1970.
    pub at_ms: Option<u64>,
    /// The file in `signers` of the reporting host with the key that has signed the version, as that host has checked. Absent if
    /// the host has no `signers`, or if none of them has signed it.
    #[serde(default)]
    pub signed_by: Option<String>,
    /// The note of the deployment.
    pub note: Option<String>,
    /// The hosts that have the version so far, if its rollout is under way.
    pub wave: Option<Vec<String>>,
    /// Why the last rollout went back.
    pub failure: Option<Failure>,
    /// The labels of the hosts that are to have the version: the setting `on`.
    #[serde(default)]
    pub on: BTreeMap<String, String>,
    /// The host that has the app's lease, if it runs on one at a time.
    #[serde(default)]
    pub holder: Option<Holder>,
    /// The hosts that have the app, or should.
    pub hosts: Vec<FleetAppHost>,
}

/// The host that runs an app that runs on one at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Holder {
    /// The host's name.
    pub host: String,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
}

/// An app on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetAppHost {
    /// The host's name.
    pub host: String,
    /// The id of the current version.
    pub version: Option<String>,
    /// The number of the serving generation.
    pub generation: Option<u64>,
    /// The phase, as in `atoll ls`; absent if the host does not have the app.
    pub phase: Option<String>,
    /// The errors since the version is the current one.
    pub errors: u64,
    /// Since when the host should have something else, in milliseconds since 1970; absent if it should not.
    pub out_of_date_since_ms: Option<u64>,
    /// The version that it refuses.
    pub refused: Option<RefusedVersion>,
}

/// The hosts and apps of a fleet.
pub(super) fn view(
    hosts: &[&Presence],
    records: &BTreeMap<String, Record>,
    holders: &BTreeMap<String, Holder>,
) -> (Vec<FleetHost>, Vec<FleetApp>) {
    let names: BTreeSet<&String> =
        records.keys().chain(hosts.iter().flat_map(|host| host.apps.keys())).collect();
    let app = |name: &String| FleetApp {
        holder: holders.get(name).cloned(),
        ..app(name, records.get(name), hosts)
    };
    let apps: Vec<_> = names.into_iter().map(app).collect();
    let hosts = hosts.iter().map(|host| {
        let differs = |app: &&FleetAppHost| app.host == host.host && app.out_of_date_since_ms.is_some();
        FleetHost {
            name: host.host.clone(),
            addresses: host.addresses.clone(),
            labels: host.labels.clone(),
            atoll: host.atoll.clone(),
            started_ms: host.started_ms,
            clock_ahead_ms: None,
            apps: host.apps.len(),
            out_of_date: apps.iter().flat_map(|app| &app.hosts).filter(differs).count(),
        }
    });
    (hosts.collect(), apps)
}

fn app(name: &str, record: Option<&Record>, hosts: &[&Presence]) -> FleetApp {
    let hosts = hosts.iter().filter_map(|host| on_host(host, name, record));
    let target = record.map(|record| &record.target);
    let release = target.and_then(Target::release);
    let removal = target.and_then(|target| match target {
        Target::Removed(removal) => Some(removal),
        _ => None,
    });
    FleetApp {
        name: name.to_owned(),
        is_shared: record.is_some(),
        version: release.map(|release| release.version.clone()),
        is_removed: removal.is_some(),
        by: release.map(|release| &release.by).or(removal.map(|removal| &removal.by)).cloned(),
        at_ms: release.map(|release| release.at_ms).or(removal.map(|removal| removal.at_ms)),
        signed_by: None,
        note: release.and_then(|release| release.note.clone()),
        wave: record.and_then(|record| match &record.wave {
            Wave::All => None,
            Wave::Hosts(hosts) => Some(hosts.clone()),
        }),
        failure: record.and_then(|record| record.failure.clone()),
        on: release.map_or_else(Labels::new, Release::on),
        holder: None,
        hosts: hosts.collect(),
    }
}

/// An app on a host; `None`: it neither has it nor should.
fn on_host(host: &Presence, app: &str, record: Option<&Record>) -> Option<FleetAppHost> {
    let found = host.apps.get(app);
    let version = found.and_then(|app| app.version.as_ref());
    let since = record.filter(|record| !is_right(record, host, found)).map(|record| record.changed_ms);
    if found.is_none() && since.is_none() {
        return None;
    }
    Some(FleetAppHost {
        host: host.host.clone(),
        version: version.cloned(),
        generation: found.and_then(|app| app.generation),
        phase: found.map(|app| app.phase.clone()),
        errors: found.map_or(0, |app| app.errors),
        out_of_date_since_ms: since,
        refused: host.refused.get(app).cloned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::record::tests::{begun, release_on, with_role};
    use crate::fleet::waves::tests::host;

    #[test]
    fn differences_are_marked_with_their_time() {
        let record = begun(None, "2", Wave::All);
        let hosts = [host("a", "2"), host("b", "1"), Presence { apps: BTreeMap::new(), ..host("c", "") }];
        let hosts: Vec<_> = hosts.iter().collect();
        let (seen, apps) =
            view(&hosts, &BTreeMap::from([("app".to_owned(), record.clone())]), &BTreeMap::new());
        assert_eq!(seen.iter().map(|host| host.out_of_date).collect::<Vec<_>>(), [0, 1, 1]);
        let found: Vec<_> = apps[0].hosts.iter().map(|on| (&*on.host, on.out_of_date_since_ms)).collect();
        assert_eq!(found, [("a", None), ("b", Some(1)), ("c", Some(1))]);
        assert_eq!((apps[0].version.as_deref(), apps[0].is_shared), (Some("2"), true));

        let removed = Record::removed(Some(&record), "ann", 7);
        let (_, apps) = view(&hosts, &BTreeMap::from([("app".to_owned(), removed)]), &BTreeMap::new());
        assert!(apps[0].is_removed);
        let found: Vec<_> = apps[0].hosts.iter().map(|on| (&*on.host, on.out_of_date_since_ms)).collect();
        assert_eq!(found, [("a", Some(7)), ("b", Some(7))], "c does not have it, and should not");
    }

    #[test]
    fn an_app_of_one_host_is_no_difference() {
        let hosts = [host("a", "2")];
        let hosts: Vec<_> = hosts.iter().collect();
        let (seen, apps) = view(&hosts, &BTreeMap::new(), &BTreeMap::new());
        assert_eq!((seen[0].out_of_date, apps[0].is_shared, apps[0].hosts.len()), (0, false, 1));
    }

    #[test]
    fn an_app_is_shown_on_the_hosts_that_are_to_have_it_and_with_its_holder() {
        let one = Record::begin(None, "app", release_on("1", "batch"), Wave::All).unwrap().unwrap();
        let none = || BTreeMap::new();
        let batch = Presence { labels: with_role("batch"), ..host("a", "1") };
        let (other, away) = (host("b", "1"), Presence { apps: none(), ..host("c", "") });
        let holder = Holder { host: "a".to_owned(), since_ms: 5 };
        let records = BTreeMap::from([("app".to_owned(), one)]);
        let holders = BTreeMap::from([("app".to_owned(), holder.clone())]);
        let (_, apps) = view(&[&batch, &other, &away], &records, &holders);
        let found: Vec<_> = apps[0].hosts.iter().map(|on| (&*on.host, on.out_of_date_since_ms)).collect();
        assert_eq!(found, [("a", None), ("b", Some(1))], "b removes it, and c is not to have it");
        assert_eq!((apps[0].on.clone(), apps[0].holder.clone()), (with_role("batch"), Some(holder)));
    }

    #[test]
    fn in_a_rollout_only_its_wave_differs() {
        let one = begun(None, "1", Wave::All);
        let two = begun(Some(&one), "2", Wave::Hosts(vec!["a".into()]));
        let hosts = [host("a", "1"), host("b", "1")];
        let hosts: Vec<_> = hosts.iter().collect();
        let (seen, apps) = view(&hosts, &BTreeMap::from([("app".to_owned(), two)]), &BTreeMap::new());
        assert_eq!(seen.iter().map(|host| host.out_of_date).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(apps[0].wave.as_deref(), Some(&["a".to_owned()][..]));
    }
}
