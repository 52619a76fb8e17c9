//! How long the first request of an app takes that is not loaded, and how soon a new library answers.

use std::cell::{Cell, OnceCell};
use std::time::{Duration, Instant};

use atoll_host::internal::{App, State};
use criterion::{Criterion, SamplingMode};

use crate::host::{self, Host};
use crate::table::{Row, Samples, Table, Unit};

/// After how long without a request the library is unloaded for the next cold start.
const IDLE: Duration = Duration::from_millis(1);

/// The pause before a cold start, in which a host makes up for what the one before has used.
const SETTLE: Duration = Duration::from_millis(20);

pub(crate) fn bench(criterion: &mut Criterion, table: &mut Table) {
    let mut group = criterion.benchmark_group("lifecycle");
    // Each iteration takes some ten milliseconds, and as long again to clean up behind it.
    group.sampling_mode(SamplingMode::Flat).sample_size(Samples::SIZE);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    let replaced = Cell::new(1);
    let next = || replaced.replace(replaced.get() + 1);
    type Run<'a> = &'a dyn Fn(&Host) -> Duration;
    let idling = || Host::with_idle_timeout(Some(IDLE));
    let idling_process = || Host::in_process_with_idle_timeout(Some(IDLE));
    let idling_new_process = || Host::in_new_process_with_idle_timeout(Some(IDLE));
    let process = || Host::in_process_with_idle_timeout(None);
    type Kind<'a> = (&'static str, &'static str, fn() -> Host, Run<'a>);
    let kinds: [Kind<'_>; 6] = [
        ("cold-start", "first answer of an app that was not loaded", idling, &cold_start),
        ("cold-start-process", "  the same, in a process", idling_process, &cold_start),
        ("cold-start-new-process", "  the same, when none waits", idling_new_process, &cold_start),
        ("first-start", "first answer of an app that was registered just now", Host::new, &first_start),
        ("reload", "first answer by a library that replaced another", Host::new, &|host| {
            reload(host, next())
        }),
        ("reload-process", "  the same, in a process", process, &|host| reload(host, next())),
    ];
    for (id, name, make, run) in kinds {
        // One at a time: the answers come to this thread by way of the host that asked first.
        let host = OnceCell::new();
        let samples = Samples::default();
        group.bench_function(id, |bencher| {
            let host = host.get_or_init(make);
            bencher.iter_custom(|iterations| {
                let time = (0..iterations).map(|_| run(host)).sum();
                samples.push(iterations, time, None);
                time
            });
        });
        table.add(Row::new(name, Unit::Time).with(samples));
    }
    group.finish();
}

/// From a request to an app that was idle until its library was unloaded, until its answer.
fn cold_start(host: &Host) -> Duration {
    let app = host.app();
    host.run(async {
        host::send(&app).await;
        let before = app.history().last().expect("it has served").generation;
        wait_until_gone(&app, before).await;
        // A process that waits for an app is started beside the requests.
        tokio::time::sleep(SETTLE).await;
        let begun = Instant::now();
        host::send(&app).await;
        begun.elapsed()
    })
}

/// From a request to an app whose library has never been looked at, until its answer.
fn first_start(host: &Host) -> Duration {
    host.close();
    host.register();
    let app = host.app();
    host.run(async {
        let begun = Instant::now();
        host::send(&app).await;
        begun.elapsed()
    })
}

/// From the library's replacement until the first answer by the new one, while requests keep coming.
fn reload(host: &Host, number: usize) -> Duration {
    let app = host.app();
    let replacement = host.library().replacement(number);
    host.run(async {
        host::send(&app).await;
        let before = serving(&app);
        let begun = Instant::now();
        replacement.put();
        let time = loop {
            let now = serving(&app);
            host::send(&app).await;
            if now > before {
                break begun.elapsed();
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "the new library does not come");
        };
        wait_until_gone(&app, before).await;
        time
    })
}

/// The number of the generation that serves.
fn serving(app: &App) -> u64 {
    app.serving().expect("hello serves").number()
}

async fn wait_until_gone(app: &App, generation: u64) {
    let gone = |state| matches!(state, State::Unloaded | State::Pinned);
    while !app.history().iter().any(|step| step.generation == generation && gone(step.state)) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
