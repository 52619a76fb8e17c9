//! Two servers, or two ways to ask one, which do the same job by turns.

use std::cell::OnceCell;
use std::time::Duration;

use criterion::{Criterion, SamplingMode};

use crate::cpu;
use crate::table::{Row, Samples, Table, Unit};
use crate::turns::Turns;

/// Does the job so many times, and says how long it took.
pub(crate) type Load = Box<dyn FnMut(u64) -> Duration>;

/// Opens new connections to do the job over.
pub(crate) type Connect = Box<dyn Fn() -> Load>;

/// What is compared.
pub(crate) struct Comparison {
    /// criterion's name of it.
    pub(crate) id: &'static str,
    /// Its name in the table.
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    /// criterion's names of the two sides.
    pub(crate) sides: [&'static str; 2],
    /// What the table calls the second side.
    pub(crate) base: &'static str,
    /// What the job is counted in: `request`, `MiB`.
    pub(crate) of: &'static str,
    /// How many of these it does at once.
    pub(crate) each: u64,
    /// How often new connections do the job before it is measured.
    pub(crate) warm_up: u64,
    /// How often one side does the job before it is the other's turn.
    pub(crate) slice: u64,
}

/// What one side has taken.
#[derive(Default)]
struct Spent {
    time: Duration,
    /// How long the servers' threads ran.
    processor: Duration,
}

impl Comparison {
    /// Measures it, and adds a row of the time and one of the servers' processor time. `sides` is called once, when the
    /// first of the two benchmarks runs, if one does; what it returns is dropped at the end.
    pub(crate) fn bench(
        &self,
        criterion: &mut Criterion,
        table: &mut Table,
        sides: impl Fn() -> [Connect; 2],
    ) {
        let (connect, turns) = (OnceCell::new(), Turns::of(self.slice));
        let mut group = criterion.benchmark_group(self.id);
        group.sampling_mode(SamplingMode::Flat).sample_size(Samples::SIZE);
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(4));
        let row = |name, unit| Row::new(name, unit).against(self.base);
        let mut time = row(self.name.to_owned(), self.unit);
        let mut processor = row(format!("  processor time of the server per {}", self.of), Unit::Time);
        for (index, id) in self.sides.into_iter().enumerate() {
            let (times, processors) = (Samples::default(), Samples::default());
            group.bench_function(id, |bencher| {
                let connect = connect.get_or_init(&sides);
                bencher.iter_custom(|iterations| {
                    let [first, second] = self.sample(&turns, connect, iterations);
                    let count = iterations * self.each;
                    times.push(count, first.time, Some(second.time));
                    processors.push(count, first.processor, Some(second.processor));
                    [first.time, second.time][index]
                });
            });
            time = time.with(times);
            processor = processor.with(processors);
        }
        group.finish();
        table.add(time);
        table.add(processor);
    }

    /// The job as often by the one side as by the other.
    fn sample(&self, turns: &Turns, connect: &[Connect; 2], iterations: u64) -> [Spent; 2] {
        let mut spent = [Spent::default(), Spent::default()];
        turns.take(
            &mut spent,
            iterations,
            |[first, _], count| first.add(&connect[0], self.warm_up, count),
            |[_, second], count| second.add(&connect[1], self.warm_up, count),
        );
        spent
    }
}

impl Spent {
    /// Does the job over new connections, because it makes a difference which of a server's threads gets one, and on
    /// which processor.
    fn add(&mut self, connect: &Connect, warm_up: u64, count: u64) -> Duration {
        // All threads but this one are the servers', and the other side's have nothing to do.
        let servers = || cpu::process().saturating_sub(cpu::thread());
        let mut load = connect();
        load(warm_up);
        let before = servers();
        let time = load(count);
        self.processor += servers().saturating_sub(before);
        self.time += time;
        time
    }
}
