//! A request through an app's port to its worker and back, without HTTP, against the bare hop.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use atoll_host::internal::App;
use atoll_plugin::protocol::{Request, method};
use atoll_port::Generation;
use criterion::{Criterion, SamplingMode};

use crate::hop::Hop;
use crate::host::{self, Host};
use crate::table::{Row, Samples, Table, Unit};
use crate::turns::{Turns, let_it_sleep};

struct Ends {
    host: Host,
    hop: Hop,
}

pub(crate) fn bench(criterion: &mut Criterion, table: &mut Table) {
    // Made when the first of the benches runs, if one does.
    let mut ends = OnceCell::new();
    type Run = fn(&mut Ends, u64) -> Duration;
    let kinds: [(&str, &str, Run); 2] = [
        ("empty", "port round trip, empty", empty),
        ("http", "port round trip, an HTTP request's JSON", http),
    ];
    let mut group = criterion.benchmark_group("port");
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(Samples::SIZE)
        .warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(3));
    for (id, name, run) in kinds {
        let (samples, turns) = (Samples::default(), Turns::of(100));
        group.bench_function(id, |bencher| {
            ends.get_or_init(|| Ends { host: Host::new(), hop: Hop::new() });
            let ends = ends.get_mut().expect("it was just made");
            bencher.iter_custom(|iterations| {
                let (time, base) =
                    turns.take(ends, iterations, run, |ends, iterations| ends.hop.run(iterations));
                samples.push(iterations, time, Some(base));
                time
            });
        });
        table.add(Row::new(name, Unit::Time).against("channel hop").with(samples));
    }
    group.finish();
}

/// The smallest request that there is: an app without a state to save answers it with `null`.
fn empty(ends: &mut Ends, iterations: u64) -> Duration {
    timed(ends, iterations, async |app| {
        let in_flight = app.acquire().await.unwrap_or_else(|why| panic!("hello does not serve: {why}"));
        let save = |id| {
            let request = Request::new(id, method::STATE_SAVE, ());
            serde_json::to_vec(&request).expect("a message can be written").into()
        };
        let answer = Generation::workers(&*in_flight).call(save, None, None).expect("the port is open");
        answer.await.expect("the worker answers");
    })
}

/// A real request, written as JSON and read again on both sides.
fn http(ends: &mut Ends, iterations: u64) -> Duration {
    timed(ends, iterations, host::send)
}

fn timed(ends: &mut Ends, iterations: u64, request: impl AsyncFn(&App)) -> Duration {
    let app = ends.host.app();
    ends.host.run(async {
        let mut time = Duration::ZERO;
        for _ in 0..iterations {
            let_it_sleep();
            let begun = Instant::now();
            request(&app).await;
            time += begun.elapsed();
        }
        time
    })
}
