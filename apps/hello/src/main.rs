//! Serves this app by itself: `cargo run -p hello`.

atoll_host::standalone!();
