//! Serves this app by itself: `cargo run -p thumbs`.

atoll_host::standalone!();
