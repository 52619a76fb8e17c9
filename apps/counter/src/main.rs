//! Serves this app by itself: `cargo run -p counter`.

atoll_host::standalone!();
