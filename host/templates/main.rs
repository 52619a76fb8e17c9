//! Serves this app standalone: `cargo run --features standalone`.

atoll_host::standalone!();
