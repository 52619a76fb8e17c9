//! The floor: a message to a thread that sleeps and back, over channels, with nothing else.

use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};
use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::table::{Row, Samples, Table, Unit};
use crate::turns::let_it_sleep;

/// A thread that sends back whatever it gets, and waits on its channel in between.
pub(crate) struct Hop {
    there: Sender<u64>,
    back: Receiver<u64>,
}

impl Hop {
    pub(crate) fn new() -> Self {
        let (there, inbox) = unbounded();
        let (outbox, back) = unbounded();
        // The thread ends when the sender here is dropped.
        thread::spawn(move || inbox.into_iter().try_for_each(|number| outbox.send(number)));
        Self { there, back }
    }

    pub(crate) fn run(&self, iterations: u64) -> Duration {
        let hop = |number| {
            let_it_sleep();
            let begun = Instant::now();
            self.there.send(number).expect("the other thread lives");
            assert_eq!(self.back.recv(), Ok(number));
            begun.elapsed()
        };
        (0..iterations).map(hop).sum()
    }
}

pub(crate) fn bench(criterion: &mut Criterion, table: &mut Table) {
    let samples = Samples::default();
    let mut group = criterion.benchmark_group("hop");
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(Samples::SIZE)
        .warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(2));
    group.bench_function("channel", |bencher| {
        let hop = Hop::new();
        bencher.iter_custom(|iterations| {
            let time = hop.run(iterations);
            samples.push(iterations, time, None);
            time
        });
    });
    group.finish();
    table.add(Row::new("channel hop to a sleeping thread and back", Unit::Time).with(samples));
}
