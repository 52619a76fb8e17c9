//! What a request is called in logs and problems.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::http::header::HeaderMap;

/// The client's request id when it is a sensible one, else a new one.
pub(super) fn request_id(headers: &HeaderMap) -> String {
    // Asking for it is a system call.
    static PROCESS: LazyLock<u32> = LazyLock::new(std::process::id);
    static LAST: AtomicU64 = AtomicU64::new(0);
    let sensible = |id: &&str| !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic());
    match headers.get("x-request-id").and_then(|value| value.to_str().ok()).filter(sensible) {
        Some(id) => id.to_owned(),
        None => format!("{:x}-{:x}", *PROCESS, LAST.fetch_add(1, Ordering::Relaxed)),
    }
}
