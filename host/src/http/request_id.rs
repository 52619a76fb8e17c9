//! What a request is called in logs, in problems and in responses.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

/// The header that it is in.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One request's id: letters, digits and signs of ASCII.
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    /// The client's own when it is a sensible one, else a new one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        // Asking for it is a system call.
        static PROCESS: LazyLock<u32> = LazyLock::new(std::process::id);
        static LAST: AtomicU64 = AtomicU64::new(0);
        if let Some(id) = headers.get(X_REQUEST_ID).filter(|id| is_sensible(id.as_bytes())) {
            return Self(id.clone());
        }
        let id = format!("{:x}-{:x}", *PROCESS, LAST.fetch_add(1, Ordering::Relaxed));
        Self(HeaderValue::try_from(id).expect("digits and a dash are a header's value"))
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().expect("it is ASCII")
    }

    /// Tells the client.
    pub(super) fn mark(self, response: &mut HttpResponse) {
        response.headers_mut().insert(X_REQUEST_ID, self.0);
    }
}

fn is_sensible(id: &[u8]) -> bool {
    (1..=128).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}
