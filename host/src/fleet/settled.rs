//! Whether hosts have what they are to have.

use super::presence::{AppPresence, Presence};
use super::record::{Record, Target, Wanted};

/// How far hosts are with a record that is for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// All have what they are to have.
    All,
    /// These do not yet.
    Waiting(Vec<String>),
    /// One cannot.
    Refused {
        /// Its name.
        host: String,
        /// Why.
        reason: String,
    },
}

/// Whether a host has of an app what it is to have.
pub(super) fn is_right(record: &Record, host: &Presence, found: Option<&AppPresence>) -> bool {
    let version = found.and_then(|app| app.version.as_ref());
    match record.wanted(&host.host, &host.labels) {
        Wanted::Same => true,
        Wanted::Target(Target::Version(release)) => version == Some(&release.version),
        Wanted::Target(Target::Removed(_)) => found.is_none(),
        Wanted::Target(Target::Withdrawn(withdrawn)) => version != Some(withdrawn),
        // What it has of others is its own.
        Wanted::NotHere => version.is_none_or(|version| !record.has_version(version)),
    }
}

/// How far the hosts are with the record of an app with this revision.
pub fn settled(app: &str, (record, revision): (&Record, u64), hosts: &[&Presence]) -> Settled {
    let mut waiting = Vec::new();
    for host in hosts {
        let found = host.apps.get(app);
        let has_handled = host.has_handled(app, revision);
        if has_handled && is_right(record, host, found) {
            continue;
        }
        match host.refused.get(app).filter(|refused| refused.revision == revision) {
            Some(refused) => {
                return Settled::Refused { host: host.host.clone(), reason: refused.reason.clone() };
            }
            None => waiting.push(host.host.clone()),
        }
    }
    if waiting.is_empty() { Settled::All } else { Settled::Waiting(waiting) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::presence::RefusedVersion;
    use crate::fleet::record::Wave;
    use crate::fleet::record::tests::{begun, release_on};
    use crate::fleet::waves::tests::host;

    #[test]
    fn hosts_are_settled_when_each_has_what_it_is_to_have() {
        let two = begun(Some(&begun(None, "1", Wave::All)), "2", Wave::All);
        let (a, mut b) = (host("a", "2"), host("b", "1"));
        assert_eq!(settled("app", (&two, 3), &[&a]), Settled::All);
        assert_eq!(settled("app", (&two, 3), &[&a, &b]), Settled::Waiting(vec!["b".into()]));
        let refused = RefusedVersion { version: "2".into(), revision: 3, reason: "no".into() };
        b.refused.insert("app".to_owned(), refused);
        let expected = Settled::Refused { host: "b".into(), reason: "no".into() };
        assert_eq!(settled("app", (&two, 3), &[&a, &b]), expected);
        assert_eq!(settled("app", (&two, 4), &[&b]), Settled::Waiting(vec!["b".into()]), "it tries again");

        let mut late = host("a", "2");
        late.seen = 2;
        assert_eq!(
            settled("app", (&two, 3), &[&late]),
            Settled::Waiting(vec!["a".into()]),
            "it has not seen it yet"
        );
        let busy = Presence { pending: vec!["app".into()], ..host("a", "2") };
        assert_eq!(settled("app", (&two, 3), &[&busy]), Settled::Waiting(vec!["a".into()]));

        let removed = Record::removed(Some(&two), "ann", 1);
        assert_eq!(settled("app", (&removed, 4), &[&a]), Settled::Waiting(vec!["a".into()]));
        assert_eq!(settled("other", (&removed, 4), &[&a]), Settled::All);
        let withdrawn = begun(None, "1", Wave::All).gone_back("a", "x", 1);
        assert_eq!(settled("app", (&withdrawn, 4), &[&a]), Settled::All);
        assert_eq!(settled("app", (&withdrawn, 5), &[&b]), Settled::Waiting(vec!["b".into()]));
    }

    #[test]
    fn a_host_that_is_not_to_have_it_has_no_version_of_the_record() {
        let two =
            Record::begin(Some(&begun(None, "1", Wave::All)), "app", release_on("2", "batch"), Wave::All);
        let two = two.unwrap().unwrap();
        for (version, expected) in [("1", false), ("2", false), ("its own", true)] {
            let is_settled = settled("app", (&two, 3), &[&host("a", version)]) == Settled::All;
            assert_eq!(is_settled, expected, "{version}");
        }
        let without = Presence { apps: Default::default(), ..host("a", "") };
        assert_eq!(settled("app", (&two, 3), &[&without]), Settled::All);
    }
}
