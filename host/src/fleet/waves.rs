//! What the command that rolls a version out does next.

use std::collections::BTreeSet;
use std::time::Duration;

use super::limits::PRESENCE_TTL;
use super::presence::Presence;
use super::record::{Record, Release, Wave};

/// How a version is rolled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// How many hosts get it at a time, after the first one; `None`: all.
    pub wave: Option<usize>,
    /// How long the hosts of a wave serve it before the next ones get it.
    pub hold: Duration,
    /// How many errors a host may have with it.
    pub max_errors: u64,
    /// How long a host may take to serve it.
    pub timeout: Duration,
}

/// What the command does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It has these hosts get the version, too.
    Extend(Wave),
    /// It waits.
    Wait(Waiting),
    /// It has all hosts go back, because of this host.
    GoBack {
        /// Its name.
        host: String,
        /// What is wrong there.
        reason: String,
    },
    /// All hosts serve the version.
    Done,
}

/// What the command waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// These hosts do not serve the version yet.
    Serving(Vec<String>),
    /// The hosts serve it, and not long enough.
    Hold,
}

/// What a rollout has come to.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The hosts of the wave that were there before.
    pub expected: &'a BTreeSet<String>,
    /// The hosts that have left in order, and are not waited for.
    pub left: &'a BTreeSet<String>,
    /// For how long the hosts were watched. One that was not heard of for [`PRESENCE_TTL`] has left.
    pub watched: Duration,
    /// How long ago the wave began.
    pub waited: Duration,
    /// Since when all hosts of the wave serve the version.
    pub held: Duration,
}

/// The hosts that a version is for.
pub fn hosts_of<'h>(release: &Release, hosts: &[&'h Presence]) -> Vec<&'h Presence> {
    hosts.iter().copied().filter(|host| release.is_for(&host.labels)).collect()
}

/// The hosts that get a version first: one, or all if each has it or there is none. One that runs the app comes before those
/// on which it stands by.
pub fn first_wave(app: &str, release: &Release, hosts: &[&Presence]) -> Wave {
    let found = |host: &Presence| host.apps.get(app).cloned().unwrap_or_default();
    let mut hosts = hosts_of(release, hosts);
    hosts.retain(|host| !found(host).serves(&release.version));
    match hosts.iter().min_by_key(|host| found(host).stands_by()) {
        // The others have it already, or wait.
        Some(first) => Wave::Hosts(vec![first.host.clone()]),
        None => Wave::All,
    }
}

/// What to do next, with the hosts that are there now.
pub fn next(
    app: &str,
    (record, release, revision): (&Record, &Release, u64),
    hosts: &[&Presence],
    strategy: &Strategy,
    progress: &Progress<'_>,
) -> Step {
    let mut waiting = Vec::new();
    for host in hosts.iter().filter(|host| record.wave.has(&host.host)) {
        if !release.is_for(&host.labels) {
            // It may have one to remove.
            if !host.has_handled(app, revision) {
                waiting.push(host.host.clone());
            }
            continue;
        }
        let go_back = |reason: String| Step::GoBack { host: host.host.clone(), reason };
        if !host.has_handled(app, revision) {
            waiting.push(host.host.clone());
            continue;
        }
        let found = host.apps.get(app);
        if let Some(refused) = host.refused.get(app)
            && refused.version == release.version
            && refused.revision == revision
        {
            return go_back(refused.reason.clone());
        }
        let Some(found) = found.filter(|app| app.version.as_ref() == Some(&release.version)) else {
            waiting.push(host.host.clone());
            continue;
        };
        if let Some(phase) = found.broken_phase() {
            return go_back(format!("the app is {phase}"));
        }
        if found.errors > strategy.max_errors {
            let (errors, limit) = (found.errors, strategy.max_errors);
            return go_back(format!("it has had {errors}, and {limit} errors are allowed (--max-errors)"));
        }
    }
    let named = match &record.wave {
        Wave::All => &[][..],
        Wave::Hosts(names) => names,
    };
    let is_absent =
        |name: &&String| hosts.iter().all(|host| host.host != **name) && !progress.left.contains(*name);
    for absent in progress.expected.iter().chain(named).filter(is_absent) {
        if progress.watched >= PRESENCE_TTL {
            return Step::GoBack { host: absent.clone(), reason: "the host has left the fleet".to_owned() };
        }
        waiting.push(absent.clone());
    }
    if let Some(host) = waiting.first() {
        if progress.waited < strategy.timeout {
            return Step::Wait(Waiting::Serving(waiting));
        }
        let reason =
            format!("it does not serve the version within {} s (--timeout)", strategy.timeout.as_secs());
        return Step::GoBack { host: host.clone(), reason };
    }
    if progress.held < strategy.hold {
        return Step::Wait(Waiting::Hold);
    }
    match &record.wave {
        Wave::All => Step::Done,
        Wave::Hosts(covered) => Step::Extend(extended(covered, &hosts_of(release, hosts), strategy.wave)),
    }
}

/// A wave with so many more of the hosts.
fn extended(covered: &[String], hosts: &[&Presence], more: Option<usize>) -> Wave {
    let rest = hosts.iter().map(|host| &host.host).filter(|name| !covered.contains(name));
    let more = more.unwrap_or(usize::MAX).max(1);
    if rest.clone().count() <= more {
        return Wave::All;
    }
    Wave::Hosts(covered.iter().chain(rest.take(more)).cloned().collect())
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fleet::presence::{AppPresence, RefusedVersion};
    use crate::fleet::record::tests::{begun, release, release_on, with_role};

    const STRATEGY: Strategy = Strategy {
        wave: None,
        hold: Duration::from_secs(5),
        max_errors: 0,
        timeout: Duration::from_secs(60),
    };

    /// A host that serves a version of `app`.
    pub(in crate::fleet) fn host(name: &str, version: &str) -> Presence {
        let app = AppPresence {
            version: Some(version.to_owned()),
            phase: "serving".to_owned(),
            ..AppPresence::default()
        };
        Presence {
            host: name.to_owned(),
            instance: String::new(),
            addresses: Vec::new(),
            labels: BTreeMap::new(),
            atoll: String::new(),
            started_ms: 0,
            sent_ms: None,
            ahead_ms: None,
            seen: 100,
            pending: Vec::new(),
            refused: BTreeMap::new(),
            apps: BTreeMap::from([("app".to_owned(), app)]),
            apps_revision: 0,
            calls: None,
        }
    }

    fn with(mut host: Presence, change: impl FnOnce(&mut AppPresence)) -> Presence {
        change(host.apps.get_mut("app").unwrap());
        host
    }

    fn wave(hosts: &[&str]) -> Wave {
        Wave::Hosts(hosts.iter().map(|&host| host.to_owned()).collect())
    }

    /// The next step in the rollout of version 2, whose wave began so many seconds ago and is complete for as long.
    fn step(reached: Wave, hosts: &[Presence], strategy: Strategy, seconds: u64) -> Step {
        let record = begun(Some(&begun(None, "1", Wave::All)), "2", reached);
        let hosts: Vec<_> = hosts.iter().collect();
        let passed = Duration::from_secs(seconds);
        let expected = ["a".to_owned()].into();
        let progress = Progress {
            expected: &expected,
            left: &BTreeSet::new(),
            watched: PRESENCE_TTL,
            waited: passed,
            held: passed,
        };
        next("app", (&record, &release("2"), 7), &hosts, &strategy, &progress)
    }

    #[test]
    fn the_first_wave_is_one_host_that_does_not_have_it() {
        let hosts = [host("a", "2"), host("b", "1"), host("c", "1")];
        let hosts: Vec<_> = hosts.iter().collect();
        assert_eq!(first_wave("app", &release("2"), &hosts), wave(&["b"]));
        assert_eq!(first_wave("app", &release("2"), &hosts[..1]), Wave::All);
        assert_eq!(first_wave("app", &release("2"), &[]), Wave::All);
        let stands_by = with(host("a", "1"), |app| app.phase = "standby".to_owned());
        assert_eq!(first_wave("app", &release("2"), &[&stands_by, hosts[2]]), wave(&["c"]));
        assert_eq!(first_wave("app", &release("2"), &[&stands_by]), wave(&["a"]));
    }

    #[test]
    fn only_hosts_with_the_labels_of_the_version_are_in_its_waves() {
        let with_label = |name: &str, version: &str, role: &str| Presence {
            labels: with_role(role),
            ..host(name, version)
        };
        let two = release_on("2", "batch");
        let hosts = [host("a", "1"), with_label("b", "2", "batch"), with_label("c", "1", "batch")];
        let seen: Vec<_> = hosts.iter().collect();
        assert_eq!(first_wave("app", &two, &seen), wave(&["c"]));
        assert_eq!(first_wave("app", &two, &seen[..1]), Wave::All, "none has them");
        let step = |wave: Wave, hosts: &[&Presence]| {
            let record = Record::begin(Some(&begun(None, "1", Wave::All)), "app", two.clone(), wave);
            let (none, passed) = (BTreeSet::new(), Duration::from_secs(9));
            let progress = Progress {
                expected: &none,
                left: &none,
                watched: PRESENCE_TTL,
                waited: passed,
                held: passed,
            };
            next("app", (&record.unwrap().unwrap(), &two, 7), hosts, &STRATEGY, &progress)
        };
        assert_eq!(step(wave(&["b"]), &seen[..2]), Step::Extend(Wave::All));
        // One without them may fail as it likes, and has to have seen that it is not to have the app.
        let failing = with(host("a", "1"), |app| app.errors = 9);
        assert_eq!(step(Wave::All, &[&failing, seen[1]]), Step::Done);
        let late = Presence { seen: 6, ..host("a", "1") };
        let waiting = Step::Wait(Waiting::Serving(vec!["a".into()]));
        assert_eq!(step(Wave::All, &[&late, seen[1]]), waiting);
    }

    #[test]
    fn a_wave_grows_when_it_has_served_long_enough() {
        let hosts = [host("a", "2"), host("b", "1"), host("c", "1"), host("d", "1")];
        assert_eq!(step(wave(&["a"]), &hosts, STRATEGY, 4), Step::Wait(Waiting::Hold));
        assert_eq!(step(wave(&["a"]), &hosts, STRATEGY, 5), Step::Extend(Wave::All));
        let two = Strategy { wave: Some(2), ..STRATEGY };
        assert_eq!(step(wave(&["a"]), &hosts, two, 5), Step::Extend(wave(&["a", "b", "c"])));
        let three = Strategy { wave: Some(3), ..STRATEGY };
        assert_eq!(step(wave(&["a"]), &hosts, three, 5), Step::Extend(Wave::All));
    }

    #[test]
    fn it_is_done_when_all_serve_it() {
        let hosts = [host("a", "2"), host("b", "1")];
        assert_eq!(step(Wave::All, &hosts, STRATEGY, 9), Step::Wait(Waiting::Serving(vec!["b".into()])));
        let hosts = [host("a", "2"), host("b", "2")];
        assert_eq!(step(Wave::All, &hosts, STRATEGY, 4), Step::Wait(Waiting::Hold));
        assert_eq!(step(Wave::All, &hosts, STRATEGY, 5), Step::Done);
    }

    #[test]
    fn a_host_that_is_worse_stops_it() {
        let reason = |hosts: &[Presence]| match step(wave(&["a"]), hosts, STRATEGY, 9) {
            Step::GoBack { host, reason } => format!("{host}: {reason}"),
            other => panic!("{other:?}"),
        };
        let refused = RefusedVersion { version: "2".into(), revision: 7, reason: "no stamp".into() };
        let refuses = |version: &str, refused| {
            let refused = BTreeMap::from([("app".to_owned(), refused)]);
            Presence { refused, ..host("a", version) }
        };
        assert_eq!(reason(&[refuses("1", refused.clone())]), "a: no stamp");
        let failing = with(host("a", "2"), |app| app.errors = 1);
        assert_eq!(
            reason(std::slice::from_ref(&failing)),
            "a: it has had 1, and 0 errors are allowed (--max-errors)"
        );
        assert_eq!(
            reason(&[with(host("a", "2"), |app| app.phase = "failed".into())]),
            "a: the app is failed"
        );
        assert_eq!(reason(&[host("b", "1")]), "a: the host has left the fleet");

        let lenient = Strategy { max_errors: 1, ..STRATEGY };
        assert_eq!(step(wave(&["a"]), &[failing], lenient, 4), Step::Wait(Waiting::Hold));
        let older = refuses("2", RefusedVersion { version: "0".into(), ..refused.clone() });
        assert_eq!(step(wave(&["a"]), &[older], STRATEGY, 4), Step::Wait(Waiting::Hold));
        let before = refuses("1", RefusedVersion { revision: 6, ..refused });
        let step_of_before = step(wave(&["a"]), &[before], STRATEGY, 4);
        assert!(matches!(step_of_before, Step::Wait(Waiting::Serving(_))), "it tries it again");
        // One outside of the wave has nothing to do with it.
        let other = with(host("b", "1"), |app| app.errors = 9);
        assert_eq!(step(wave(&["a"]), &[host("a", "2"), other], STRATEGY, 4), Step::Wait(Waiting::Hold));
    }

    #[test]
    fn a_host_has_limited_time() {
        assert!(matches!(step(wave(&["a"]), &[host("a", "1")], STRATEGY, 59), Step::Wait(_)));
        let Step::GoBack { host, reason } = step(wave(&["a"]), &[host("a", "1")], STRATEGY, 60) else {
            panic!("it waits for ever");
        };
        assert_eq!((&*host, &*reason), ("a", "it does not serve the version within 60 s (--timeout)"));
    }

    #[test]
    fn a_host_has_left_when_it_was_not_heard_of_for_long_enough() {
        let record = begun(None, "2", wave(&["a"]));
        let none = BTreeSet::new();
        let just_begun = Progress {
            expected: &none,
            left: &none,
            watched: PRESENCE_TTL - Duration::from_secs(1),
            waited: Duration::ZERO,
            held: Duration::from_secs(9),
        };
        let step =
            |progress: &Progress<'_>| next("app", (&record, &release("2"), 1), &[], &STRATEGY, progress);
        assert_eq!(step(&just_begun), Step::Wait(Waiting::Serving(vec!["a".into()])));
        assert!(matches!(step(&Progress { watched: PRESENCE_TTL, ..just_begun }), Step::GoBack { .. }));
        let left = BTreeSet::from(["a".to_owned()]);
        let in_order = Progress { left: &left, watched: PRESENCE_TTL, ..just_begun };
        assert_eq!(
            step(&in_order),
            Step::Extend(Wave::All),
            "nobody waits for a host that has left in order"
        );
    }
}
