//! The figures: medians over the turns, and ratios to the bare server in the same round.

use std::fmt;

use anyhow::Context;
use procfs::{CpuInfo, Current};

use crate::measure::{Measured, Turn};
use crate::options::Options;
use crate::peer::Peer;
use crate::tools::Tools;

/// What is told of a run; shown as Markdown.
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    connections: u32,
    /// When, where and how it was measured.
    circumstances: String,
    cores: usize,
}

/// What is told of a peer.
pub(crate) struct Row {
    pub(crate) peer: Peer,
    version: String,
    rate: f64,
    /// Of its requests in a second to the bare server's.
    pub(crate) ratio: f64,
    /// The least and the greatest of them.
    spread: [f64; 2],
    pub(crate) cpu_micros: f64,
    pub(crate) half_micros: f64,
    most_micros: f64,
    resident_mb: f64,
    start_millis: Option<f64>,
}

impl Report {
    pub(crate) fn new(measured: &[Measured], tools: &Tools, options: &Options) -> anyhow::Result<Self> {
        let base = measured.iter().find(|measured| measured.peer == Peer::BASE).context("no bare server")?;
        let rows = measured.iter().map(|measured| Row::new(measured, base, tools));
        let mut rows = rows.collect::<anyhow::Result<Vec<_>>>()?;
        rows.sort_by(|one, other| other.ratio.total_cmp(&one.ratio));
        let cores = std::thread::available_parallelism()?.get();
        Ok(Self {
            rows,
            connections: options.connections,
            circumstances: circumstances(options, cores)?,
            cores,
        })
    }
}

impl Row {
    fn new(measured: &Measured, base: &Measured, tools: &Tools) -> anyhow::Result<Self> {
        let median_of = |value: fn(&Turn) -> f64| median(measured.turns.iter().map(value).collect());
        let ratios: Vec<f64> =
            measured.turns.iter().zip(&base.turns).map(|(turn, base)| turn.rate / base.rate).collect();
        Ok(Self {
            peer: measured.peer,
            version: tools.version(measured.peer)?,
            rate: median_of(|turn| turn.rate),
            spread: [
                ratios.iter().copied().fold(f64::INFINITY, f64::min),
                ratios.iter().copied().fold(0.0, f64::max),
            ],
            ratio: median(ratios),
            cpu_micros: median_of(|turn| turn.cpu) * 1e6,
            half_micros: median_of(|turn| turn.half) * 1e6,
            most_micros: median_of(|turn| turn.most) * 1e6,
            resident_mb: measured.resident as f64 / 1e6,
            start_millis: (!measured.starts.is_empty()).then(|| median(measured.starts.clone()) * 1e3),
        })
    }
}

/// The middle of values, of which there is at least one, or between the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

fn circumstances(options: &Options, cores: usize) -> anyhow::Result<String> {
    let date = jiff::Timestamp::now().strftime("%-d %B %Y");
    let processors = CpuInfo::current().context("the processor is not known")?;
    let model = processors.model_name(0).unwrap_or("a processor without a name");
    let kernel = procfs::sys::kernel::Version::current()?;
    let [rounds, connections] = [options.rounds, options.connections];
    Ok(format!(
        "Measured on {date}, on {cores} cores of {model}, Linux {}.{}. In each of {rounds} rounds it is each server's \
         turn: {} s with {connections} connections, then {} s with one.",
        kernel.major,
        kernel.minor,
        options.seconds,
        options.seconds / 2.0,
    ))
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.connections;
        writeln!(out, "{}\n", self.circumstances)?;
        writeln!(
            out,
            "| | requests/s, {connections} connections | to the bare server | least to greatest | CPU time per request \
             | one connection: half within | 99 % within | memory | first request of an app |"
        )?;
        writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        for row in &self.rows {
            let name = row.peer.name();
            let name = if row.peer == Peer::Atoll { format!("**{name}**") } else { name.to_owned() };
            let [least, greatest] = row.spread;
            let start = row.start_millis.map_or_else(String::new, |millis| format!("{millis:.2} ms"));
            writeln!(
                out,
                "| {name} | {:.0} | {:.2} | {least:.2} to {greatest:.2} | {:.1} µs | {:.0} µs | {:.0} µs | {:.0} MB | {start} |",
                row.rate, row.ratio, row.cpu_micros, row.half_micros, row.most_micros, row.resident_mb,
            )?;
        }
        writeln!(out, "\n| | version | the way of a request | threads | first request of an app |")?;
        writeln!(out, "|---|---|---|---|---|")?;
        for row in &self.rows {
            let (peer, version) = (row.peer, &row.version);
            let (name, way, start) = (peer.name(), peer.way(), peer.start());
            writeln!(out, "| {name} | {version} | {way} | {} | {start} |", peer.threads(self.cores))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![5.0]), 5.0);
    }
}
