//! Tries out how threads can meet in what Atoll's threads share: the doorbell of a port, the queue of replies, and the
//! streams of a request.
//!
//! The files are those of the port and of the app's side, with [shuttle]'s locks and atomics in the place of the standard
//! ones: shuttle runs a scenario again and again, each time with its threads interleaved in another way, and reports a
//! deadlock, which is what a lost wake-up becomes. `cargo test -p atoll-models` runs the scenarios.

pub mod doorbell_model;
pub mod replies_model;
pub mod streams_model;
mod sync;

#[expect(dead_code, reason = "the models use a part of it")]
#[path = "../../../plugin-api/port/src/arrivals.rs"]
mod arrivals;
#[expect(dead_code, reason = "the models use a part of it")]
#[path = "../../../plugin-api/src/http/stream/credit.rs"]
mod credit;
#[expect(unreachable_pub, reason = "it is public in its crate")]
#[path = "../../../plugin-api/port/src/doorbell.rs"]
mod doorbell;
#[path = "../../../plugin-api/src/http/stream/inbox.rs"]
mod inbox;
#[path = "../../../plugin-api/src/http/stream/waiters.rs"]
mod waiters;

/// How often each scenario is run.
const RUNS: usize = 500;

/// Runs a scenario under random schedules.
fn run(scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = std::sync::Arc::new(scenario);
    let again = scenario.clone();
    shuttle::check_random(move || scenario(), RUNS);
    // Finds what takes a few switches at unlikely places.
    shuttle::check_pct(move || again(), RUNS, 3);
}
