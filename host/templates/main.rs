//! Serves this app by itself: `cargo run --features standalone`.

atoll_host::standalone!();
