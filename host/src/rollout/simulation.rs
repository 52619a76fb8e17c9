//! Rollouts of versions that are as good as the current one, and of some that are not.

use std::time::Duration;

use fastrand::Rng;

use super::{Counts, Judge, Tolerance};
use crate::observe::metrics::Snapshot;

const TOLERANCE: Tolerance = Tolerance { error_rise: 0.01, p95_rise: 0.5 };

/// The percentages of the steps, each of so many ticks, of which two are a second.
const STEPS: [u32; 4] = [1, 5, 25, 50];
const TICKS: u32 = 60;
const TICKS_PER_SECOND: f64 = 2.0;

/// How a version behaves.
#[derive(Clone, Copy)]
struct Behaviour {
    failures: f64,
    panics: f64,
    /// The parts of the requests that take 0.2, 2, 20 and 200 ms.
    times: [f64; 4],
}

const GOOD: Behaviour = Behaviour { failures: 0.0, panics: 0.0, times: [0.7, 0.2, 0.08, 0.02] };

/// How many of `n` happen, each with this probability.
fn binomial(random: &mut Rng, n: u64, probability: f64) -> u64 {
    let mean = n as f64 * probability;
    if probability <= 0.0 || n == 0 {
        return 0;
    }
    if mean > 50.0 && n as f64 - mean > 50.0 {
        // By Box and Muller.
        let (one, other) = (1.0 - random.f64(), random.f64());
        let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos();
        return (mean + normal * (mean * (1.0 - probability)).sqrt()).round().clamp(0.0, n as f64) as u64;
    }
    // The distances from one to the next are geometric.
    let (mut count, mut at) = (0, 0.0);
    loop {
        at += ((1.0 - random.f64()).ln() / (1.0 - probability).max(f64::MIN_POSITIVE).ln()).floor() + 1.0;
        if at > n as f64 {
            return count;
        }
        count += 1;
    }
}

fn counts(random: &mut Rng, requests: u64, behaviour: Behaviour) -> Counts {
    let (mut left, mut rest) = (requests, 1.0);
    let mut times = [200, 2_000, 20_000, 200_000].map(|micros| (Duration::from_micros(micros), 0));
    for (part, (_, count)) in behaviour.times.into_iter().zip(&mut times) {
        *count = if part >= rest { left } else { binomial(random, left, part / rest) };
        (left, rest) = (left - *count, rest - part);
    }
    Counts {
        requests,
        failures: binomial(random, requests, behaviour.failures),
        panics: binomial(random, requests, behaviour.panics),
        worker_ends: 0,
        times: Snapshot::of(times),
    }
}

/// After how many ticks a rollout ends with a rejection, and why.
fn rejected(
    random: &mut Rng,
    per_second: f64,
    current: impl Fn(u32) -> Behaviour,
    new: impl Fn(u32) -> Behaviour,
) -> Option<(u32, String)> {
    let mut judge = Judge::new(TOLERANCE);
    let mut ticks = 0;
    for percent in STEPS {
        judge.begin_step();
        for _ in 0..TICKS {
            let expected = (per_second / TICKS_PER_SECOND) as u64;
            let requests = binomial(random, expected * 2, 0.5);
            let of_new = binomial(random, requests, f64::from(percent) / 100.0);
            let current = counts(random, requests - of_new, current(ticks));
            let new = counts(random, of_new, new(ticks));
            judge.observe(&current, &new);
            ticks += 1;
            if let Some(reason) = judge.rejects() {
                return Some((ticks, reason));
            }
        }
    }
    None
}

#[test]
fn a_version_that_is_the_same_is_rejected_in_one_rollout_of_a_hundred_at_most() {
    let mut random = Rng::with_seed(1);
    let mut alarms = Vec::new();
    for rollout in 0..1000 {
        let per_second = [10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0][rollout % 7];
        let failures = [0.0, 0.0001, 0.002, 0.02, 0.3][rollout % 5];
        // In some, what both depend on fails now and then, or is slow.
        let is_shaken = rollout % 3 == 0;
        let behaviour = |tick: u32| match tick % 50 {
            20..25 if is_shaken => Behaviour { failures: 0.8, times: [0.1, 0.1, 0.2, 0.6], ..GOOD },
            _ => Behaviour { failures, panics: failures / 10.0, ..GOOD },
        };
        if let Some((tick, reason)) = rejected(&mut random, per_second, behaviour, behaviour) {
            alarms.push(format!("rollout {rollout}, tick {tick}: {reason}"));
        }
    }
    assert!(alarms.len() <= 10, "{} of 1000:\n{}", alarms.len(), alarms.join("\n"));
}

/// How many of a hundred rollouts are rejected within so many ticks.
fn found(per_second: f64, within: u32, current: Behaviour, new: Behaviour) -> usize {
    let mut random = Rng::with_seed(2);
    let rejected = (0..100).filter_map(|_| rejected(&mut random, per_second, |_| current, |_| new));
    rejected.filter(|(ticks, _)| *ticks <= within).count()
}

#[test]
fn a_version_that_is_worse_is_rejected_soon() {
    let half = Behaviour { failures: 0.5, ..GOOD };
    // Ten requests a second.
    assert!(found(1000.0, 4, GOOD, half) >= 99, "within two seconds");
    let some = Behaviour { failures: 0.05, ..GOOD };
    assert!(found(1000.0, 240, GOOD, some) == 100);
    assert!(
        found(1000.0, 240, Behaviour { failures: 0.02, ..GOOD }, Behaviour { failures: 0.08, ..GOOD }) == 100
    );
    let panics = Behaviour { failures: 0.01, panics: 0.01, ..GOOD };
    assert!(found(1000.0, 240, GOOD, panics) == 100);
    let slow = Behaviour { times: [0.5, 0.2, 0.2, 0.1], ..GOOD };
    assert!(found(1000.0, 240, GOOD, slow) == 100);
}

#[test]
fn a_version_that_is_a_little_worse_is_tolerated() {
    let little = Behaviour { failures: 0.005, ..GOOD };
    let rejected = found(1000.0, 240, GOOD, little);
    assert!(rejected <= 5, "{rejected} of 100");
}

#[test]
fn one_worker_that_exits_is_enough() {
    let mut judge = Judge::new(TOLERANCE);
    judge.observe(&Counts { requests: 1000, worker_ends: 3, ..Counts::default() }, &Counts::default());
    assert_eq!(judge.rejects(), None);
    judge.observe(&Counts::default(), &Counts { requests: 1, worker_ends: 1, ..Counts::default() });
    assert!(judge.rejects().unwrap().contains("worker"));
}

#[test]
fn a_heap_that_stays_large_is_too_much() {
    let mut judge = Judge::new(TOLERANCE);
    for tick in 0..20 {
        // A moment is no growth.
        judge.observe_heaps(10 << 20, if tick % 5 == 4 { 80 << 20 } else { 90 << 20 });
        assert_eq!(judge.rejects(), None, "tick {tick}");
    }
    for _ in 0..6 {
        judge.observe_heaps(10 << 20, 90 << 20);
    }
    assert!(judge.rejects().unwrap().contains("heap"));
}

#[test]
fn few_requests_are_no_verdict() {
    let mut judge = Judge::new(TOLERANCE);
    judge.observe(
        &Counts { requests: 5, ..Counts::default() },
        &Counts { requests: 1, failures: 1, ..Counts::default() },
    );
    assert_eq!(judge.rejects(), None);
    let comparison = judge.comparison();
    assert_eq!((comparison.current.requests, comparison.new.failures), (5, 1));
    assert!(comparison.evidence.iter().all(|part| *part < 1.0), "{comparison:?}");
}
