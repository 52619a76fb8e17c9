//! The table at the end: medians, and their ratios to what they are compared with.

mod file;
mod samples;
mod unit;

use std::fmt;

pub(crate) use self::samples::Samples;
use self::samples::{Sample, quantile};
pub(crate) use self::unit::Unit;

/// One line of the table.
pub(crate) struct Row {
    name: String,
    unit: Unit,
    base: &'static str,
    samples: Vec<Sample>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, unit: Unit) -> Self {
        Self { name: name.into(), unit, base: "", samples: Vec::new() }
    }

    /// Names what it is compared with.
    pub(crate) fn against(self, base: &'static str) -> Self {
        Self { base, ..self }
    }

    /// Adds the samples of a benchmark, unless it did not run or was only tried out.
    pub(crate) fn with(mut self, samples: Samples) -> Self {
        self.samples.extend(samples.all());
        self
    }

    fn cells(&self) -> [String; 5] {
        let values: Vec<f64> = self.samples.iter().map(|sample| sample.value).collect();
        let pairs: Vec<(f64, f64)> =
            self.samples.iter().filter_map(|sample| Some((sample.value, sample.base?))).collect();
        let median = self.unit.show(quantile(values, 0.5));
        if pairs.is_empty() {
            return [self.name.clone(), median, String::new(), String::new(), String::new()];
        }
        let base = self.unit.show(quantile(pairs.iter().map(|&(_, base)| base).collect(), 0.5));
        let ratio =
            |part| quantile(pairs.iter().map(|&(value, base)| self.unit.ratio(value, base)).collect(), part);
        let spread = format!("{:.2} to {:.2}", ratio(0.25), ratio(0.75));
        [self.name.clone(), median, format!("{} {base}", self.base), format!("{:.2}", ratio(0.5)), spread]
    }
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

    /// Prints what was measured, if anything was, and keeps it in files beside criterion's.
    pub(crate) fn finish(&self) {
        if self.0.is_empty() {
            return;
        }
        println!("\n{self}");
        match file::write(self) {
            Ok(folder) => println!("Raw data, and this table: {}", folder.display()),
            Err(error) => eprintln!("the table cannot be kept in a file: {error}"),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["", "median", "compared with", "ratio", "middle half"].map(str::to_owned);
        let lines: Vec<_> = std::iter::once(head).chain(self.0.iter().map(Row::cells)).collect();
        let widths: [usize; 5] = std::array::from_fn(|column| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
        });
        for [name, median, base, ratio, spread] in &lines {
            let [a, b, c, d, _] = widths;
            let line = format!("{name:a$}  {median:>b$}  {base:c$}  {ratio:>d$}  {spread}");
            writeln!(f, "{}", line.trim_end())?;
        }
        if self.0.iter().any(|row| row.samples.iter().any(|sample| sample.base.is_some())) {
            writeln!(f, "\nA ratio is the median over pairs of samples that were taken by turns.")?;
        }
        Ok(())
    }
}
