//! What was measured of one benchmark.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

/// The measured samples of one benchmark.
pub(crate) struct Samples {
    size: usize,
    taken: RefCell<VecDeque<Sample>>,
}

/// The value of each iteration: seconds, or what else the row's unit is of.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) value: f64,
    /// The same of what it is compared with.
    pub(super) base: Option<f64>,
}

impl Default for Samples {
    fn default() -> Self {
        Self::of(Self::SIZE)
    }
}

impl Samples {
    /// How many samples criterion takes of a benchmark, unless there is a reason for fewer.
    pub(crate) const SIZE: usize = 30;

    /// So many samples: what criterion does before, to warm up, is forgotten.
    pub(crate) fn of(size: usize) -> Self {
        Self { size, taken: RefCell::default() }
    }

    /// Adds what `iterations` took, and what as many of the thing took that it is compared with.
    pub(crate) fn push(&self, iterations: u64, time: Duration, base: Option<Duration>) {
        let each = |time: Duration| time.as_secs_f64() / iterations as f64;
        self.push_sample(Sample { value: each(time), base: base.map(each) });
    }

    /// Adds what is no time.
    pub(crate) fn push_value(&self, value: f64) {
        self.push_sample(Sample { value, base: None });
    }

    fn push_sample(&self, sample: Sample) {
        let mut taken = self.taken.borrow_mut();
        if taken.len() == self.size {
            taken.pop_front();
        }
        taken.push_back(sample);
    }

    /// All of them, or none if the benchmark did not run or was only tried out.
    pub(super) fn all(self) -> Vec<Sample> {
        let taken = self.taken.into_inner();
        if taken.len() == self.size { taken.into() } else { Vec::new() }
    }
}

/// The value below which this part of the values is; there is at least one.
pub(super) fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}
