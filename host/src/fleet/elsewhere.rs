//! The apps that other hosts of a fleet have.

use std::collections::BTreeMap;

use super::calls::Instance;
use super::presence::Presence;
use super::record::{Record, Target};
use crate::config::Entry;

/// An app as other hosts have it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AppElsewhere {
    /// The instances that take requests to it.
    pub(crate) hosts: Vec<Instance>,
    /// Its entry, if the fleet has a record of it.
    pub(crate) entry: Option<Entry>,
}

/// The apps that the hosts other than `own` have, or are to have by their records.
pub(super) fn elsewhere(
    own: &str,
    hosts: &[&Presence],
    records: &BTreeMap<String, Record>,
) -> BTreeMap<String, AppElsewhere> {
    let mut apps = BTreeMap::<String, AppElsewhere>::new();
    for (name, record) in records {
        let is_version = |target: &&Target| target.release().is_some();
        let current = Some(&record.target).filter(|target| !matches!(target, Target::Withdrawn(_)));
        // During a rollout, hosts may have what was there before.
        let Some(target) = current.or(record.history.first()).filter(is_version) else { continue };
        let entry = target.release().map(|release| release.entry.clone());
        apps.insert(name.clone(), AppElsewhere { hosts: Vec::new(), entry });
    }
    let is_removed =
        |name: &String| records.get(name).is_some_and(|record| matches!(record.target, Target::Removed(_)));
    let others = hosts.iter().filter(|host| host.host != own);
    let others = others.filter_map(|host| Some((host, Instance::parse(host.calls.as_deref()?)?)));
    let others: Vec<_> = others.collect();
    for (host, instance) in &others {
        // Hosts that have not removed an app yet are about to.
        let taken = host.apps.iter().filter(|(name, app)| app.takes_calls() && !is_removed(name));
        for (name, _) in taken {
            apps.entry(name.clone()).or_default().hosts.push(*instance);
        }
    }
    // They may have any of these, and do not take what they have not.
    for (_, instance) in others.iter().filter(|(host, _)| host.apps_left_out) {
        apps.values_mut().for_each(|app| app.hosts.push(*instance));
    }
    apps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::AppPresence;
    use crate::fleet::record::Wave;
    use crate::fleet::record::tests::begun;
    use crate::fleet::waves::tests::host;

    fn with_calls(presence: Presence, instance: u64) -> Presence {
        Presence { calls: Some(Instance(instance).to_string()), ..presence }
    }

    fn names(hosts: &[Presence], records: &[(&str, Record)]) -> Vec<(String, Vec<u64>)> {
        let records = records.iter().map(|(name, record)| ((*name).to_owned(), record.clone())).collect();
        let apps = elsewhere("a", &hosts.iter().collect::<Vec<_>>(), &records);
        apps.into_iter()
            .map(|(name, app)| (name, app.hosts.iter().map(|instance| instance.0).collect()))
            .collect()
    }

    #[test]
    fn other_hosts_take_requests_to_the_apps_that_they_have() {
        let mut failed = with_calls(host("d", "1"), 4);
        failed.apps.insert("app".into(), AppPresence { phase: "failed".into(), ..AppPresence::default() });
        let hosts = [
            with_calls(host("a", "1"), 1),
            with_calls(host("b", "1"), 2),
            host("c", "1"),
            failed,
            Presence { apps: BTreeMap::new(), apps_left_out: true, ..with_calls(host("e", ""), 5) },
        ];
        assert_eq!(names(&hosts, &[]), [("app".to_owned(), vec![2, 5])]);
        let one = begun(None, "1", Wave::All);
        let found = names(&hosts, &[("app", one.clone()), ("other", one.clone())]);
        assert_eq!(found, [("app".to_owned(), vec![2, 5]), ("other".to_owned(), vec![5])]);
        // One that was removed is known no longer.
        let removed = Record::removed(Some(&one), "ann", 7);
        assert_eq!(names(&hosts[..3], &[("app", removed), ("other", one)]), [("other".to_owned(), vec![])]);
    }
}
