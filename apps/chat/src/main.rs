//! Serves this app by itself: `cargo run -p chat`.

atoll_host::standalone!();
