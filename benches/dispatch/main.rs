//! `cargo bench`: what it costs to get a request to an app and back, how fast streams and messages go, how fast apps start
//! and are replaced, and what memory they take.
//!
//! What is compared is measured by turns in one run, so that noise of the machine hits both sides. After criterion's
//! reports comes a table of the medians and their ratios.

mod awake;
mod axum_app;
mod child;
mod comparison;
mod cpu;
mod fleet;
mod hop;
mod host;
mod http;
mod instructions;
mod isolation;
mod library;
mod lifecycle;
mod load;
mod many;
mod memory;
mod port;
mod request;
mod servers;
mod streams;
mod table;
mod turns;

use std::process::ExitCode;

use criterion::Criterion;

/// That of the `atoll` command, for all that is compared.
#[global_allocator]
static ALLOCATOR: atoll_host::Allocator = atoll_host::Allocator;

fn main() -> ExitCode {
    // Apps in processes are this program again.
    atoll_host::run_child_process();
    if child::Job::was_done() {
        return ExitCode::SUCCESS;
    }
    let mut criterion = Criterion::default().nresamples(20_000).configure_from_args();
    let mut table = table::Table::default();
    hop::bench(&mut criterion, &mut table);
    port::bench(&mut criterion, &mut table);
    http::bench(&mut criterion, &mut table);
    streams::bench(&mut criterion, &mut table);
    axum_app::bench(&mut criterion, &mut table);
    isolation::bench(&mut criterion, &mut table);
    fleet::bench(&mut criterion, &mut table);
    many::bench(&mut criterion, &mut table);
    lifecycle::bench(&mut criterion, &mut table);
    memory::bench(&mut criterion, &mut table);
    let is_within = instructions::bench(&mut criterion, &mut table);
    criterion.final_summary();
    table.finish();
    if is_within {
        ExitCode::SUCCESS
    } else {
        eprintln!("a request takes more instructions than its budget");
        ExitCode::FAILURE
    }
}
