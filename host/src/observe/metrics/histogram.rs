//! Times in buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in seconds. A request to an app takes some 50 µs here, and one that computes or waits
/// takes seconds at most.
pub(crate) const BOUNDS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];

/// How many times fell between one bound and the next; the last bucket has no bound.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// A histogram as it was at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    buckets: [u64; BOUNDS.len() + 1],
    nanos: u64,
}

impl Histogram {
    pub(crate) fn observe(&self, time: Duration) {
        self.buckets[bucket_of(time)].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            buckets: self.buckets.each_ref().map(|bucket| bucket.load(Ordering::Relaxed)),
            nanos: self.nanos.load(Ordering::Relaxed),
        }
    }
}

/// The bucket that a time is in.
fn bucket_of(time: Duration) -> usize {
    let seconds = time.as_secs_f64();
    BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len())
}

impl Snapshot {
    /// That of times which came so often.
    #[cfg(test)]
    pub(crate) fn of(times: impl IntoIterator<Item = (Duration, u64)>) -> Self {
        let mut snapshot = Self::default();
        for (time, count) in times {
            snapshot.buckets[bucket_of(time)] += count;
            snapshot.nanos += u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) * count;
        }
        snapshot
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of all times, in seconds.
    pub(crate) fn sum(&self) -> f64 {
        self.nanos as f64 / 1e9
    }

    /// The buckets, with their upper bounds.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS.into_iter().chain([f64::MAX]).zip(self.buckets)
    }

    /// What has come since an earlier one.
    #[must_use]
    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut since = self.clone();
        for (bucket, before) in since.buckets.iter_mut().zip(before.buckets) {
            *bucket = bucket.saturating_sub(before);
        }
        since.nanos = since.nanos.saturating_sub(before.nanos);
        since
    }

    /// Adds those of another one.
    pub(crate) fn add(&mut self, other: &Self) {
        for (bucket, other) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += other;
        }
        self.nanos += other.nanos;
    }

    /// The time, in seconds, that a part of all times from 0 to 1 is not above: evenly between the bounds of its bucket,
    /// as Prometheus takes it. `None`: there are no times.
    pub(crate) fn quantile(&self, part: f64) -> Option<f64> {
        let rank = self.count() as f64 * part;
        let mut below = 0.0;
        let mut lower = 0.0;
        for (bound, count) in self.buckets() {
            let count = count as f64;
            if count > 0.0 && below + count >= rank {
                let upper = if bound == f64::MAX { lower } else { bound };
                return Some(lower + (upper - lower) * ((rank - below) / count));
            }
            below += count;
            lower = bound;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_into_the_bucket_that_it_is_not_above() {
        let histogram = Histogram::default();
        for micros in [0, 50, 51, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let snapshot = histogram.snapshot();
        let counts: Vec<u64> = snapshot.buckets().map(|(_, count)| count).collect();
        assert_eq!((counts[0], counts[1], counts[15], counts[16]), (2, 1, 1, 1));
        assert_eq!(snapshot.count(), 5);
        assert!((snapshot.sum() - 20.000_102).abs() < 1e-9);
    }

    #[test]
    fn a_quantile_is_in_its_bucket() {
        assert_eq!(Snapshot::default().quantile(0.5), None);
        let histogram = Histogram::default();
        for _ in 0..99 {
            histogram.observe(Duration::from_micros(200));
        }
        histogram.observe(Duration::from_secs(60));
        let snapshot = histogram.snapshot();
        assert!((0.000_1..=0.000_25).contains(&snapshot.quantile(0.5).unwrap()));
        assert!((0.000_1..=0.000_25).contains(&snapshot.quantile(0.99).unwrap()));
        assert_eq!(snapshot.quantile(1.0), Some(10.0));
        assert_eq!(snapshot.since(&snapshot), Snapshot::default());
    }

    #[test]
    fn the_times_of_two_are_counted_together() {
        let [fast, slow] = [200, 60_000].map(|micros| {
            let histogram = Histogram::default();
            histogram.observe(Duration::from_micros(micros));
            histogram.snapshot()
        });
        let mut both = fast.clone();
        both.add(&slow);
        assert_eq!(both.count(), 2);
        assert_eq!(both.since(&slow), fast);
        assert!((0.05..=0.1).contains(&both.quantile(0.99).unwrap()));
    }
}
