//! Totals over hours, files and the ends of hosts.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::amounts::Amounts;
use super::ledger::{HOUR_MS, Ledger};
use super::past::Past;
use super::rows::{Key, Rows};
use super::store::{FILE_LIMIT, Store};
use super::*;
use crate::config::Period;
use crate::observe::metrics::Metrics;

fn key(app: &str) -> Key {
    Key { app: app.into(), library: "0123456789ab".into() }
}

fn requests(requests: u64) -> Amounts {
    Amounts { requests, ..Amounts::default() }
}

/// The requests of all apps in a report.
fn sum(report: &UsageReport) -> u64 {
    report.apps.iter().map(|entry| entry.requests).sum()
}

/// So many hours, in each of which an app has a request; all but the last are past.
fn filled(hours: u64) -> Ledger {
    let mut ledger = Ledger::default();
    for hour in 0..hours {
        ledger.add(hour * HOUR_MS, &key("a"), &requests(1));
    }
    ledger.close_hours((hours - 1) * HOUR_MS);
    ledger
}

#[test]
fn the_oldest_hours_become_one_and_nothing_is_lost() {
    let hours = KEPT_HOURS as u64 + 10;
    let ledger = filled(hours);
    assert_eq!(ledger.past.hours.len(), KEPT_HOURS);
    let before = ledger.past.before.as_ref().unwrap();
    assert_eq!((before.first, before.last), (0, 8));
    let report = |since: Option<u64>, until: Option<u64>| {
        let report = UsageReport::new(&ledger, since.map(|h| h * HOUR_MS), until.map(|h| h * HOUR_MS));
        (sum(&report), report.complete_since_ms.map(|since| since / HOUR_MS))
    };
    assert_eq!(report(None, None), (hours, None));
    assert_eq!(report(Some(0), Some(hours)), (hours, None), "all of what was before is in it");
    assert_eq!(report(Some(9), None), (hours - 9, None));
    assert_eq!(report(Some(5), None), (hours - 9, Some(9)), "a part of what was before cannot be told");
    assert_eq!(report(Some(0), Some(5)), (0, Some(9)));
    assert_eq!(report(Some(20), Some(30)), (10, None));
    assert_eq!(report(Some(hours), None), (0, None));
}

#[test]
fn a_period_is_complete_though_its_first_hours_are_no_longer_kept_apart() {
    let (apps, hours) = (1000, 80);
    let mut ledger = Ledger::default();
    for hour in 0..hours {
        for app in 0..apps {
            ledger.add(hour * HOUR_MS, &key(&format!("a{app}")), &requests(1));
        }
        ledger.close_hours(hour * HOUR_MS);
    }
    assert!(ledger.past.hours.len() * apps <= KEPT_ROWS);
    let of = |ledger: &Ledger, period: Period, hour: u64| {
        let used = ledger.used_in(period, hour * HOUR_MS);
        (used.len(), used.values().map(|used| used.requests).sum::<u64>() / apps as u64)
    };
    let last = hours - 1;
    assert_eq!(of(&ledger, Period::Hour, last), (apps, 1));
    assert_eq!(of(&ledger, Period::Day, last), (apps, hours % 24));
    assert_eq!(of(&ledger, Period::Month, last), (apps, hours));
    let february = 31 * 24;
    for hour in [february, february + 1] {
        ledger.add(hour * HOUR_MS, &key("a0"), &requests(apps as u64));
        ledger.close_hours(hour * HOUR_MS);
    }
    assert_eq!(of(&ledger, Period::Month, february + 1), (1, 2));
}

#[test]
fn a_time_stands_for_its_hour() {
    let ledger = filled(3);
    let report = UsageReport::new(&ledger, Some(HOUR_MS + 5), Some(2 * HOUR_MS - 5));
    assert_eq!(sum(&report), 1);
    assert_eq!((report.since_ms, report.until_ms), (Some(HOUR_MS), Some(2 * HOUR_MS)));
}

#[test]
fn more_rows_than_are_kept_make_the_oldest_hours_one() {
    let mut rows = Rows::default();
    for library in 0..LIBRARIES {
        let library = format!("{library:012x}").into();
        rows.add(&Key { app: "a".into(), library }, &requests(1));
    }
    let hours = KEPT_ROWS / LIBRARIES + 2;
    let past = Past::default().with((0..hours as u64).map(|hour| (hour, rows.clone())));
    let kept: usize = past.hours.values().map(Rows::len).sum();
    assert!(kept <= KEPT_ROWS && kept + LIBRARIES > KEPT_ROWS, "{kept}");
    let report = UsageReport::new(&Ledger::of(past, Default::default()), None, None);
    assert_eq!(sum(&report), (hours * LIBRARIES) as u64);
}

#[test]
fn all_that_is_kept_fits_into_the_file() {
    let most = Amounts {
        uptime_ns: u64::MAX,
        cpu_ns: u64::MAX,
        heap_byte_seconds: u64::MAX,
        requests: u64::MAX,
        received_bytes: u64::MAX,
        sent_bytes: u64::MAX,
        cold_starts: u64::MAX,
    };
    let mut row = Rows::default();
    row.add(
        &Key { app: "x".repeat(crate::config::MAX_APP_NAME).into(), library: "0123456789ab".into() },
        &most,
    );
    let bytes = serde_json::to_vec(&row).unwrap().len();
    // What was before, and all hours.
    let rows = KEPT_ROWS + 2 * LIBRARIES + 1;
    assert!((rows * bytes + KEPT_HOURS * 32) as u64 <= FILE_LIMIT, "{rows} rows of {bytes} bytes");
}

fn reopened(folder: &Path) -> (Store, Ledger) {
    Store::open(folder).unwrap()
}

#[test]
fn an_hour_that_is_over_counts_once_wherever_the_host_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, mut ledger) = reopened(folder.path());
    ledger.add(0, &key("a"), &requests(3));
    store.save(&mut ledger, 0).unwrap();
    let current = fs::read(folder.path().join("current.json")).unwrap();
    ledger.add(HOUR_MS, &key("a"), &requests(4));
    store.save(&mut ledger, HOUR_MS).unwrap();
    drop(store);
    assert_eq!(sum(&read(folder.path(), None, None).unwrap()), 7);

    // Killed when the past was written, and the hour was not.
    fs::write(folder.path().join("current.json"), &current).unwrap();
    let (mut store, mut ledger) = reopened(folder.path());
    assert_eq!(sum(&UsageReport::new(&ledger, None, None)), 3);
    ledger.add(HOUR_MS, &key("a"), &requests(1));
    store.save(&mut ledger, HOUR_MS).unwrap();
    drop(store);
    assert_eq!(sum(&read(folder.path(), None, None).unwrap()), 4);

    // The past is lost, as on a disk that breaks: what is left counts, also when the next hour begins.
    fs::remove_file(folder.path().join("past.json")).unwrap();
    let (mut store, mut ledger) = reopened(folder.path());
    ledger.add(2 * HOUR_MS, &key("a"), &requests(1));
    store.save(&mut ledger, 2 * HOUR_MS).unwrap();
    drop(store);
    assert_eq!(sum(&read(folder.path(), None, None).unwrap()), 2);
}

#[test]
fn the_clock_may_be_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, mut ledger) = reopened(folder.path());
    for hour in [5, 6, 5, 7] {
        ledger.add(hour * HOUR_MS, &key("a"), &requests(1));
        store.save(&mut ledger, hour * HOUR_MS).unwrap();
    }
    drop(store);
    let of_hour = |hour| sum(&read(folder.path(), Some(hour * HOUR_MS), Some((hour + 1) * HOUR_MS)).unwrap());
    assert_eq!([5, 6, 7].map(of_hour), [2, 1, 1]);
}

#[test]
fn a_folder_is_of_one_host_and_a_damaged_file_is_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = read(folder.path(), None, None).unwrap_err().to_string();
    assert!(nothing.contains("no host has kept counts in") && nothing.contains("--state-dir"), "{nothing}");
    let (mut store, mut ledger) = reopened(folder.path());
    let taken = Store::open(folder.path()).unwrap_err();
    assert!(matches!(taken, UsageError::Taken { .. }), "{taken}");
    ledger.add(0, &key("a"), &requests(3));
    store.save(&mut ledger, HOUR_MS).unwrap();
    drop(store);
    let file = folder.path().join("current.json");
    fs::write(&file, "{").unwrap();
    let damaged = read(folder.path(), None, None).unwrap_err().to_string();
    assert!(damaged.contains("current.json is damaged"), "{damaged}");
    let (store, ledger) = reopened(folder.path());
    assert_eq!(sum(&UsageReport::new(&ledger, None, None)), 3, "what is past is whole");
    assert_eq!(fs::read(folder.path().join("current.json.damaged")).unwrap(), b"{");
    drop(store);
    fs::write(&file, " ".repeat(FILE_LIMIT as usize + 1)).unwrap();
    let large = Store::open(folder.path()).unwrap_err();
    assert!(matches!(large, UsageError::File { .. }), "{large}");
}

#[test]
fn what_has_not_changed_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, mut ledger) = reopened(folder.path());
    store.save(&mut ledger, 0).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    ledger.add(0, &key("a"), &requests(3));
    store.save(&mut ledger, 0).unwrap();
    let file = folder.path().join("current.json");
    fs::remove_file(&file).unwrap();
    ledger.note_read(1);
    store.save(&mut ledger, 1).unwrap();
    assert!(!file.exists());
    ledger.add(1, &key("a"), &requests(1));
    store.save(&mut ledger, 1).unwrap();
    assert!(file.exists());
}

#[test]
fn nothing_is_reported_that_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("usage");
    let usage = Usage::default();
    let metrics = Arc::<Metrics>::default();
    let _meter = usage.meter("a".into(), metrics.clone());
    let recorder = Recorder::start(usage.clone(), Some(&place)).unwrap();
    metrics.answered(200, Duration::ZERO);
    let begun = Instant::now();
    while sum(&usage.report(None, None)) == 0 {
        assert!(begun.elapsed() < 6 * WRITE_INTERVAL, "it is reported");
        std::thread::sleep(Duration::from_millis(5));
    }
    // As a disk that is full: the file cannot be replaced.
    fs::rename(&place, folder.path().join("elsewhere")).unwrap();
    metrics.answered(200, Duration::ZERO);
    drop(recorder);
    assert_eq!(sum(&usage.report(None, None)), 1);
    assert_eq!(sum(&read(&folder.path().join("elsewhere"), None, None).unwrap()), 1);
}

#[test]
fn two_hosts_that_take_over_from_each_other_count_in_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let host = |start: fn(Usage, Option<&Path>) -> std::io::Result<Recorder>| {
        let (usage, metrics) = (Usage::default(), Arc::<Metrics>::default());
        let meter = usage.meter("a".into(), metrics.clone());
        (start(usage.clone(), Some(folder.path())).unwrap(), usage, metrics, meter)
    };
    let (first, _, metrics, _meter) = host(Recorder::start);
    metrics.answered(200, Duration::ZERO);
    drop(first);
    let (old, _, of_old, _meter) = host(Recorder::start);
    let (new, usage, of_new, _meter) = host(Recorder::start_after_another);
    assert_eq!(sum(&usage.report(None, None)), 1, "what is in the folder is reported at once");
    of_old.answered(200, Duration::ZERO);
    of_new.answered(200, Duration::ZERO);
    // One that gives up does not wait.
    drop(host(Recorder::start_after_another).0);
    let finishing = std::thread::spawn(move || new.finish());
    drop(old);
    finishing.join().unwrap();
    assert_eq!(sum(&read(folder.path(), None, None).unwrap()), 3);
}

#[test]
fn an_app_that_is_gone_leaves_what_it_has_used() {
    let usage = Usage::default();
    let metrics = Arc::<Metrics>::default();
    let meter = usage.meter("a".into(), metrics.clone());
    let mut ledger = Ledger::default();
    metrics.answered(200, Duration::ZERO);
    drop(meter);
    for _ in 0..2 {
        usage.read(&mut ledger, 0);
    }
    assert_eq!(sum(&UsageReport::new(&ledger, None, None)), 1);
    // Nothing meters it any more.
    metrics.answered(200, Duration::ZERO);
    usage.read(&mut ledger, 0);
    assert_eq!(sum(&UsageReport::new(&ledger, None, None)), 1);
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(usage.clone(), Some(folder.path())).unwrap();
    let meter = usage.meter("a".into(), Arc::default());
    assert!(meter.total().is_zero(), "one of the same name begins at 0");
    drop(recorder);
}

#[test]
fn the_place_is_that_of_the_registry() {
    let state = Path::new("/state");
    let of = |config: &str| folder_of(state, Path::new(config));
    assert_eq!(of("/srv/apps.json"), of("/srv/./apps.json"));
    assert_ne!(of("/srv/apps.json"), of("/srv/other.json"));
    assert!(of("/srv/apps.json").starts_with(state));
}
