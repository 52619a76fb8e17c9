//! Evidence that something happens to the requests of a new version more often than to those of the current one.
//!
//! In each tick, both versions have had some requests, and some of these were hit: they failed, say. For two rates, `a` of the
//! current version and `b > a` of the new one, the likelihood of what was seen, divided by its likelihood with the weighted average
//! of the two as the rate of both, is an e-variable: if the new version is not worse, its expectation is at most 1, whatever the
//! rate is in this tick (Turner, Ly, Grünwald: "Generic E-variables for exact sequential k-sample tests that allow for optional
//! stopping", Journal of Statistical Planning and Inference 230, 2024). As both versions are compared within a tick, what
//! happens to both, such as a database that is down, is no evidence.
//!
//! The product over the ticks is a test martingale, and so is the average over several `b` and over the ticks in which it begins, so
//! that what was before does not hide a version that becomes worse later. By Ville's inequality, the probability that it ever
//! reaches `1 / α` with a version that is not worse is at most `α`, however often it is looked at.

/// By how much the rate of the new version may be higher than that of the current one. These are looked for together.
const RISES: [f64; 7] = [0.003, 0.01, 0.03, 0.1, 0.2, 0.5, 0.9];

/// How much of what is known of the current version's rate is forgotten with each tick.
const FORGOTTEN: f64 = 0.02;

/// The rate of the current version when nothing is known of it, as if it were that of one request.
const PRIOR: f64 = 0.01;

const LEAST_RATE: f64 = 1e-6;
const MOST_RATE: f64 = 0.999;

/// The requests of a version in a tick, and those of them that were hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tick {
    pub(super) requests: u64,
    pub(super) hits: u64,
}

/// The evidence so far.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// For each rise the logarithm of its martingale.
    logarithms: [f64; RISES.len()],
    ticks: f64,
    /// What is known of the current version, with less weight the older it is.
    requests: f64,
    hits: f64,
}

impl Evidence {
    pub(super) fn new() -> Self {
        Self { logarithms: [f64::NEG_INFINITY; RISES.len()], ticks: 0.0, requests: 0.0, hits: 0.0 }
    }

    /// Adds what was seen in a tick.
    pub(super) fn add(&mut self, current: Tick, new: Tick) {
        // Known before the tick, as the theorem takes it.
        let a = ((self.hits + PRIOR) / (self.requests + 1.0)).clamp(LEAST_RATE, MOST_RATE);
        self.ticks += 1.0;
        // The part of the whole that begins now: all parts together are 1.
        let begins = -(self.ticks * (self.ticks + 1.0)).ln();
        for (logarithm, rise) in self.logarithms.iter_mut().zip(RISES) {
            let b = (a + rise).min(MOST_RATE);
            *logarithm = sum_of_logarithms(*logarithm, begins) + e_variable(current, new, a, b);
        }
        self.requests = self.requests * (1.0 - FORGOTTEN) + current.requests as f64;
        self.hits = self.hits * (1.0 - FORGOTTEN) + current.hits as f64;
    }

    /// How strong it is: with a version that is not worse, it ever reaches `x` with a probability of at most `1 / x`.
    pub(super) fn strength(&self) -> f64 {
        self.logarithms.iter().map(|logarithm| logarithm.exp()).sum::<f64>() / RISES.len() as f64
    }
}

/// The logarithm of the e-variable of a tick for the rates `a` and `b`.
fn e_variable(current: Tick, new: Tick, a: f64, b: f64) -> f64 {
    let (n, m) = (current.requests as f64, new.requests as f64);
    if n == 0.0 || m == 0.0 || b <= a {
        return 0.0;
    }
    let both = (n * a + m * b) / (n + m);
    let part = |tick: Tick, rate: f64| {
        let hits = tick.hits.min(tick.requests) as f64;
        hits * (rate / both).ln() + (tick.requests as f64 - hits) * ((1.0 - rate) / (1.0 - both)).ln()
    };
    part(current, a) + part(new, b)
}

/// The logarithm of the sum of two numbers that are given by their logarithms.
fn sum_of_logarithms(one: f64, other: f64) -> f64 {
    let (less, more) = (one.min(other), one.max(other));
    if less == f64::NEG_INFINITY { more } else { more + (less - more).exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The probability of so many hits.
    fn binomial(tick: Tick, rate: f64) -> f64 {
        let ways =
            (1..=tick.hits).map(|k| (tick.requests - tick.hits + k) as f64 / k as f64).product::<f64>();
        ways * rate.powi(tick.hits as i32) * (1.0 - rate).powi((tick.requests - tick.hits) as i32)
    }

    /// The expectation of the e-variable when the versions have these rates.
    fn expectation(requests: (u64, u64), rates: (f64, f64), looked_for: (f64, f64)) -> f64 {
        let mut expectation = 0.0;
        for hits in 0..=requests.0 {
            for other in 0..=requests.1 {
                let current = Tick { requests: requests.0, hits };
                let new = Tick { requests: requests.1, hits: other };
                let value = e_variable(current, new, looked_for.0, looked_for.1).exp();
                expectation += binomial(current, rates.0) * binomial(new, rates.1) * value;
            }
        }
        expectation
    }

    #[test]
    fn nothing_is_expected_of_a_version_that_is_not_worse() {
        for requests in [(1, 1), (9, 1), (3, 7), (20, 2)] {
            for rate in [0.0, 0.01, 0.1, 0.5, 0.9, 1.0] {
                for rise in RISES {
                    for a in [LEAST_RATE, 0.01, 0.09] {
                        let expected = expectation(requests, (rate, rate), (a, a + rise));
                        assert!(expected <= 1.0 + 1e-9, "{requests:?} {rate} {a} {rise}: {expected}");
                        let better = expectation(requests, (rate, rate * 0.5), (a, a + rise));
                        assert!(better <= 1.0 + 1e-9, "{requests:?} {rate} {a} {rise}: {better}");
                    }
                }
            }
        }
        assert!(expectation((9, 3), (0.01, 0.5), (0.01, 0.51)) > 5.0, "a worse one is noticed");
    }

    #[test]
    fn without_requests_there_is_no_evidence() {
        let mut evidence = Evidence::new();
        let some = Tick { requests: 100, hits: 100 };
        for _ in 0..100 {
            evidence.add(some, Tick::default());
            evidence.add(Tick::default(), some);
        }
        assert!(evidence.strength() <= 1.0, "{}", evidence.strength());
    }

    #[test]
    fn what_hits_both_is_no_evidence_and_hides_none() {
        let mut evidence = Evidence::new();
        for tick in 0..200 {
            let hits = if (50..100).contains(&tick) { (900, 9) } else { (1, 0) };
            evidence.add(Tick { requests: 1000, hits: hits.0 }, Tick { requests: 10, hits: hits.1 });
            assert!(evidence.strength() < 100.0, "tick {tick}: {}", evidence.strength());
        }
        let mut needed = 0;
        while evidence.strength() < 300.0 {
            evidence.add(Tick { requests: 1000, hits: 1 }, Tick { requests: 10, hits: 5 });
            needed += 1;
            assert!(needed < 5, "{}", evidence.strength());
        }
    }
}
