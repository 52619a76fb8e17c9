//! Rolling a version out over a fleet.

use std::time::{Duration, Instant};

use anyhow::bail;
use atoll_host::config::FleetSettings;
use atoll_host::internal::escape;
use atoll_host::internal::fleet::nats::Fleet;
use atoll_host::internal::fleet::{
    Members, Record, Settled, Step, Strategy, Waiting, Wave, first_wave, next, settled,
};
use atoll_host::internal::fleet::{Progress, Release};

use super::observer::{Look, Observer, note_all};
use super::release::Built;
use crate::cli::out;
use crate::cli::units::{count, now_ms};

/// What came of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rolled {
    /// So many hosts serve the version.
    Out(usize),
    /// It went back, because of this.
    Back(String),
}

/// Where rollouts are reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reporter {
    /// Whether each step is printed.
    pub(super) is_verbose: bool,
}

impl Reporter {
    fn say(self, app: &str, text: &str) {
        if self.is_verbose {
            // A closed output does not stop a rollout.
            let _ = out::print(format!("{app}: {}\n", escape::line(text)));
        }
    }
}

/// The record that was there when a command began, with its revision.
pub(super) type Before = Option<(Record, u64)>;

/// Uploads a version and rolls it out, or resumes its rollout.
pub(super) async fn roll_out(
    settings: &FleetSettings,
    built: &Built,
    before: Before,
    strategy: &Strategy,
    reporter: Reporter,
) -> anyhow::Result<Rolled> {
    let fleet = Fleet::connect(settings).await?;
    let (app, release) = (&*built.app, &built.release);
    let uploaded = built.upload(&fleet).await?;
    let mut members = Members::default();
    let now = Instant::now();
    note_all(&mut members, &fleet, app).await?;
    let wave = first_wave(app, release, &members.living(now));
    let record = before.as_ref().map(|(record, _)| record);
    let begun = Record::begin(record, app, release.clone(), wave)?;
    let revision = before.as_ref().map(|(_, revision)| *revision);
    let start = match (begun, before) {
        (Some(record), _) => {
            let uploaded = if uploaded == 0 {
                "nothing to upload".to_owned()
            } else {
                crate::cli::units::bytes(uploaded) + " uploaded"
            };
            reporter.say(app, &format!("version {}, {uploaded}", release.version));
            let revision = fleet.publish(app, &record, revision).await?;
            (record, revision)
        }
        // Hosts that refused it may do better now.
        (None, Some((record, revision))) if record.wave == Wave::All => {
            let again = record.signed(release).extended(Wave::All, now_ms());
            let revision = fleet.publish(app, &again, Some(revision)).await?;
            drop(fleet);
            return settle(settings, app, (again, revision), strategy.timeout).await.map(Rolled::Out);
        }
        (None, Some(found)) => {
            reporter.say(app, &format!("resuming the rollout of the version {}", release.version));
            let (record, revision) = found;
            let signed = record.signed(release);
            if signed == record {
                (record, revision)
            } else {
                let revision = fleet.publish(app, &signed, Some(revision)).await?;
                (signed, revision)
            }
        }
        (None, None) => bail!("{app} has no record in the fleet"),
    };
    drop(fleet);
    drive(Observer::new(settings, app, start), release, strategy, reporter).await
}

/// Extends the waves of a version until all hosts serve it, or goes back.
async fn drive(
    mut observer: Observer<'_>,
    release: &Release,
    strategy: &Strategy,
    reporter: Reporter,
) -> anyhow::Result<Rolled> {
    let app = observer.app;
    let mut began = Instant::now();
    let mut held_since = None::<Instant>;
    let mut said = None;
    let rolled = observer.follow(|seen| {
        if said.as_ref() != Some(&seen.record.wave) {
            said = Some(seen.record.wave.clone());
            (began, held_since) = (Instant::now(), None);
            let hosts = (seen.hosts_of_target().len(), seen.hosts().len());
            reporter.say(app, &describe(&seen.record.wave, release, hosts));
        }
        let progress = Progress {
            expected: &seen.expected,
            left: &seen.left,
            watched: seen.watched(),
            waited: began.elapsed(),
            held: held_since.map_or(Duration::ZERO, |since| since.elapsed()),
        };
        match next(app, (&seen.record, release, seen.revision), &seen.hosts(), strategy, &progress) {
            Step::Extend(wave) => Look::Publish(Box::new(seen.record.extended(wave, now_ms()))),
            Step::Wait(Waiting::Serving(_)) => {
                held_since = None;
                Look::Wait
            }
            Step::Wait(Waiting::Hold) => {
                held_since.get_or_insert_with(Instant::now);
                Look::Wait
            }
            Step::GoBack { host, reason } => Look::End(Err((host, reason))),
            Step::Done => Look::End(Ok(seen.hosts_of_target().len())),
        }
    });
    let (host, reason) = match rolled.await? {
        Ok(hosts) => return Ok(Rolled::Out(hosts)),
        Err(failed) => failed,
    };
    let reason = format!("{host}: {reason}");
    reporter.say(app, &format!("going back, because of {reason}"));
    let back = observer.record.gone_back(&host, &reason, now_ms());
    let (began, timeout) = (Instant::now(), strategy.timeout);
    let settled = observer.follow(|seen| {
        if seen.record != back {
            return Look::Publish(Box::new(back.clone()));
        }
        look_if_settled(seen, began, timeout)
    });
    match settled.await? {
        Ok(_) => Ok(Rolled::Back(reason)),
        Err(worse) => Ok(Rolled::Back(format!("{reason}; and not all hosts went back: {worse}"))),
    }
}

/// Waits until all hosts have what a record for all of them has; how many there are.
pub(super) async fn settle(
    settings: &FleetSettings,
    app: &str,
    start: (Record, u64),
    timeout: Duration,
) -> anyhow::Result<usize> {
    let (mut observer, began) = (Observer::new(settings, app, start), Instant::now());
    let settled = observer.follow(|seen| look_if_settled(seen, began, timeout)).await?;
    settled.or_else(|reason| bail!("{app}: {reason}"))
}

fn look_if_settled(seen: &Observer<'_>, began: Instant, timeout: Duration) -> Look<Result<usize, String>> {
    let hosts = seen.hosts();
    match settled(seen.app, (&seen.record, seen.revision), &hosts) {
        Settled::All => Look::End(Ok(seen.hosts_of_target().len())),
        Settled::Refused { host, reason } => Look::End(Err(format!("{host}: {reason}"))),
        Settled::Waiting(names) if began.elapsed() >= timeout => {
            let names = names.join(", ");
            Look::End(Err(format!("{names}: not done within {} s (--timeout)", timeout.as_secs())))
        }
        Settled::Waiting(_) => Look::Wait,
    }
}

/// `hosts`: how many the version is for, and how many there are.
fn describe(wave: &Wave, release: &Release, (hosts, all): (usize, usize)) -> String {
    match wave {
        Wave::All if hosts == 0 && all > 0 => {
            let on: Vec<_> = release.on().iter().map(|(name, value)| format!("{name}={value}")).collect();
            let all = count(all, "host");
            format!(
                "none of {all} has the labels {} (`on`); hosts that have them get it when they join",
                on.join(", ")
            )
        }
        Wave::All if hosts == 0 => "no host is in the fleet; hosts get it when they join".to_owned(),
        Wave::All => format!("rolling out to all of {}", count(hosts, "host")),
        Wave::Hosts(names) => {
            format!("rolling out to {} of {}: {}", names.len(), count(hosts, "host"), names.join(", "))
        }
    }
}
