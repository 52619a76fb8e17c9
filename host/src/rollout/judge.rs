//! The verdict on a new version.

use super::counts::Counts;
use super::evidence::{Evidence, Tick};

/// How often a version that is not worse than the current one is rejected, at most: one rollout of a hundred.
const FALSE_ALARMS: f64 = 0.01;

/// How many criteria have evidence: each may have its part of the false alarms (Bonferroni).
const CRITERIA: f64 = 3.0;

/// The strength of evidence that is enough.
const ENOUGH: f64 = CRITERIA / FALSE_ALARMS;

/// How improbable it is that so many requests fail of a version that is tolerated.
const IMPROBABLE: f64 = 0.001;

/// How many requests of a version a comparison of times takes.
const TIMED: u64 = 20;

/// How often the bytes in the heap of the current version the new one may have, besides a number of bytes that each may have, and
/// in how many ticks it may have more.
const HEAPS: u64 = 2;
const ANY_HEAP: u64 = 64 << 20;
const LARGE_HEAP_TICKS: u32 = 6;

/// How much worse a new version may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tolerance {
    /// By how much the part of its requests that fail may be higher, from 0 to 1.
    pub(crate) error_rise: f64,
    /// By how much the 95th percentile of the times that its workers take for a response may be higher, as a part of that of the
    /// current version.
    pub(crate) p95_rise: f64,
}

/// Compares a new version with the current one, tick by tick.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    tolerance: Tolerance,
    errors: Evidence,
    panics: Evidence,
    times: Evidence,
    /// The times of the current version before the tick that comes.
    known: Counts,
    /// Since the step began.
    current: Counts,
    new: Counts,
    /// The bytes in the heaps of both, and for how many ticks the new one has had too many.
    heaps: (u64, u64),
    large_heap_ticks: u32,
}

/// What the versions have done since the step began.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison<'a> {
    pub(crate) current: &'a Counts,
    pub(crate) new: &'a Counts,
    /// The strength of the evidence that the new one has more errors, more panics, or is slower, each as a part of what is
    /// enough, from 0 to 1.
    pub(crate) evidence: [f64; 3],
}

impl Judge {
    pub(crate) fn new(tolerance: Tolerance) -> Self {
        Self {
            tolerance,
            errors: Evidence::new(),
            panics: Evidence::new(),
            times: Evidence::new(),
            known: Counts::default(),
            current: Counts::default(),
            new: Counts::default(),
            heaps: (0, 0),
            large_heap_ticks: 0,
        }
    }

    /// Takes note of what the versions have done in the same time.
    pub(crate) fn observe(&mut self, current: &Counts, new: &Counts) {
        let tick = |counts: &Counts, hits: u64| Tick { requests: counts.requests, hits };
        self.errors.add(tick(current, current.failures), tick(new, new.failures));
        self.panics.add(tick(current, current.panics), tick(new, new.panics));
        if let Some(bound) = self.bound() {
            let timed =
                |counts: &Counts| Tick { requests: counts.times.count(), hits: counts.slower_than(bound) };
            self.times.add(timed(current), timed(new));
        }
        self.known.add(current);
        self.current.add(current);
        self.new.add(new);
    }

    /// Takes note of how many bytes are in the heaps of both.
    pub(crate) fn observe_heaps(&mut self, current: u64, new: u64) {
        self.heaps = (current, new);
        let is_large = new > ANY_HEAP.saturating_add(current.saturating_mul(HEAPS));
        self.large_heap_ticks = if is_large { self.large_heap_ticks + 1 } else { 0 };
    }

    /// The time above which few requests of the current version are, and few of the new one may be: a bound of the histogram.
    fn bound(&self) -> Option<f64> {
        let p95 = self.known.p95().filter(|_| self.known.times.count() >= TIMED)?;
        let most = p95 * (1.0 + self.tolerance.p95_rise);
        self.known.times.buckets().map(|(bound, _)| bound).find(|bound| *bound >= most)
    }

    /// A step with another weight begins. The evidence stays.
    pub(crate) fn begin_step(&mut self) {
        (self.current, self.new) = (Counts::default(), Counts::default());
    }

    /// Why the new version is rejected, if it is.
    pub(crate) fn rejects(&self) -> Option<String> {
        let Self { current, new, tolerance, .. } = self;
        if new.worker_ends > 0 {
            return Some("a worker exited unexpectedly".to_owned());
        }
        if self.large_heap_ticks >= LARGE_HEAP_TICKS {
            let (before, now) = self.heaps;
            return Some(format!("its heap has {now} bytes, and that of the current version {before}"));
        }
        let percent = |part: f64| part * 100.0;
        let rise = new.failure_rate() - current.failure_rate();
        if self.errors.strength() >= ENOUGH
            && rise > tolerance.error_rise
            && is_above(new, current.failure_rate() + tolerance.error_rise)
        {
            return Some(format!(
                "{:.2} % of its requests failed, and {:.2} % of those of the current version (max_error_rise = {})",
                percent(new.failure_rate()),
                percent(current.failure_rate()),
                tolerance.error_rise
            ));
        }
        if self.panics.strength() >= ENOUGH {
            return Some(format!(
                "it panicked {} times in {} requests, and the current version {} times in {}",
                new.panics, new.requests, current.panics, current.requests
            ));
        }
        let known = |counts: &Counts| counts.p95().filter(|_| counts.times.count() >= TIMED);
        let (Some(before), Some(now)) = (known(current), known(new)) else { return None };
        if self.times.strength() >= ENOUGH && now > before * (1.0 + tolerance.p95_rise) {
            return Some(format!(
                "for 95 % of its requests a worker took up to {:.1} ms, and {:.1} ms with the current version (max_p95_rise = {})",
                now * 1000.0,
                before * 1000.0,
                tolerance.p95_rise
            ));
        }
        None
    }

    /// What was compared.
    pub(crate) fn comparison(&self) -> Comparison<'_> {
        let evidence = [&self.errors, &self.panics, &self.times];
        let part = |evidence: &Evidence| (evidence.strength() / ENOUGH).min(1.0);
        Comparison { current: &self.current, new: &self.new, evidence: evidence.map(part) }
    }
}

/// Whether a version of which this part of the requests fail would hardly have had so many failures, by the bound of Chernoff.
fn is_above(counts: &Counts, rate: f64) -> bool {
    let (found, rate) = (counts.failure_rate(), rate.clamp(f64::EPSILON, 1.0 - f64::EPSILON));
    let term = |found: f64, expected: f64| if found > 0.0 { found * (found / expected).ln() } else { 0.0 };
    let divergence = term(found, rate) + term(1.0 - found, 1.0 - rate);
    found > rate && counts.requests as f64 * divergence > -IMPROBABLE.ln()
}
