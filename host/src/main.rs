//! The `atoll` command.

use std::process::ExitCode;

mod cli;

#[global_allocator]
static ALLOCATOR: atoll_host::Allocator = atoll_host::Allocator;

fn main() -> ExitCode {
    cli::main()
}
