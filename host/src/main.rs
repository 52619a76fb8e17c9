//! The `atoll` command.

#![warn(clippy::self_named_module_files)]

use std::process::ExitCode;

mod cli;

#[global_allocator]
static ALLOCATOR: atoll_host::Allocator = atoll_host::Allocator;

fn main() -> ExitCode {
    atoll_host::run_child_process();
    cli::main()
}
