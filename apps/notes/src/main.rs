//! Serves this app by itself: `cargo run -p notes`.

atoll_host::standalone!();
