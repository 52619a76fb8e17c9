//! The table at the end: medians, and their ratios to what they are compared with.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

/// The measured samples of one benchmark.
#[derive(Default)]
pub(crate) struct Samples(RefCell<VecDeque<Sample>>);

/// Seconds for each iteration.
#[derive(Clone, Copy)]
struct Sample {
    time: f64,
    base: Option<f64>,
}

impl Samples {
    /// How many samples criterion takes of each benchmark. What it does before, to warm up, is forgotten.
    pub(crate) const SIZE: usize = 30;

    /// Adds what `iterations` took, and what as many of the thing took that it is compared with.
    pub(crate) fn push(&self, iterations: u64, time: Duration, base: Option<Duration>) {
        let each = |time: Duration| time.as_secs_f64() / iterations as f64;
        let mut samples = self.0.borrow_mut();
        if samples.len() == Self::SIZE {
            samples.pop_front();
        }
        samples.push_back(Sample { time: each(time), base: base.map(each) });
    }
}

/// What is shown of a time.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// The time itself.
    Time,
    /// How many there are in a second.
    Rate,
}

impl Unit {
    fn show(self, seconds: f64) -> String {
        match self {
            Self::Rate => format!("{:.0} /s", 1.0 / seconds),
            Self::Time if seconds < 1e-3 => format!("{:.1} µs", seconds * 1e6),
            Self::Time => format!("{:.1} ms", seconds * 1e3),
        }
    }

    /// How much of the one there is for each of the other.
    fn ratio(self, time: f64, base: f64) -> f64 {
        match self {
            Self::Time => time / base,
            Self::Rate => base / time,
        }
    }
}

/// One line of the table.
pub(crate) struct Row {
    name: &'static str,
    unit: Unit,
    base: &'static str,
    samples: Vec<Sample>,
}

impl Row {
    pub(crate) fn new(name: &'static str, unit: Unit) -> Self {
        Self { name, unit, base: "", samples: Vec::new() }
    }

    /// Names what it is compared with.
    pub(crate) fn against(self, base: &'static str) -> Self {
        Self { base, ..self }
    }

    /// Adds the samples of a benchmark, unless it did not run or was only tried out.
    pub(crate) fn with(mut self, samples: Samples) -> Self {
        let samples = samples.0.into_inner();
        if samples.len() == Samples::SIZE {
            self.samples.extend(samples);
        }
        self
    }

    fn cells(&self) -> [String; 5] {
        let times: Vec<f64> = self.samples.iter().map(|sample| sample.time).collect();
        let pairs: Vec<(f64, f64)> =
            self.samples.iter().filter_map(|sample| Some((sample.time, sample.base?))).collect();
        let median = self.unit.show(quantile(times, 0.5));
        if pairs.is_empty() {
            return [self.name.to_owned(), median, String::new(), String::new(), String::new()];
        }
        let base = self.unit.show(quantile(pairs.iter().map(|&(_, base)| base).collect(), 0.5));
        let ratio =
            |part| quantile(pairs.iter().map(|&(time, base)| self.unit.ratio(time, base)).collect(), part);
        let spread = format!("{:.2} to {:.2}", ratio(0.25), ratio(0.75));
        [self.name.to_owned(), median, format!("{} {base}", self.base), format!("{:.2}", ratio(0.5)), spread]
    }
}

/// The value below which this part of the values is; there is at least one.
fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}

/// What was measured.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(crate) fn add(&mut self, row: Row) {
        if !row.samples.is_empty() {
            self.0.push(row);
        }
    }

    /// Prints what was measured, if anything was.
    pub(crate) fn print(&self) {
        if self.0.is_empty() {
            return;
        }
        let head = ["", "median", "compared with", "ratio", "middle half"].map(str::to_owned);
        let lines: Vec<_> = std::iter::once(head).chain(self.0.iter().map(Row::cells)).collect();
        let widths: [usize; 5] = std::array::from_fn(|column| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
        });
        println!();
        for [name, median, base, ratio, spread] in &lines {
            let [a, b, c, d, _] = widths;
            let line = format!("{name:a$}  {median:>b$}  {base:c$}  {ratio:>d$}  {spread}");
            println!("{}", line.trim_end());
        }
        println!();
        if self.0.iter().any(|row| row.samples.iter().any(|sample| sample.base.is_some())) {
            println!("A ratio is the median over pairs of samples that were taken by turns.");
        }
        println!("Raw data: target/criterion");
    }
}
