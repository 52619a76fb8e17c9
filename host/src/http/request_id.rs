//! What a request is called in logs, in problems and in responses.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use compact_str::{CompactString, format_compact};

/// The header that it is in.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One request's id: letters, digits and signs of ASCII.
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The client's own when it is a sensible one, else a new one.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        if let Some(id) = headers.get(X_REQUEST_ID).filter(|id| is_sensible(id.as_bytes())) {
            return Self(id.clone());
        }
        Self::new()
    }

    /// A new one.
    pub(crate) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self::numbered(LAST.fetch_add(1, Ordering::Relaxed))
    }

    /// The process's number and this one, in hexadecimal digits. Made for each request, so by hand.
    fn numbered(number: u64) -> Self {
        static PROCESS: LazyLock<CompactString> =
            LazyLock::new(|| format_compact!("{:x}-", std::process::id()));
        let mut id = PROCESS.clone();
        let digits = number.checked_ilog2().map_or(1, |bits| bits / 4 + 1);
        for digit in (0..digits).rev() {
            id.push(char::from(b"0123456789abcdef"[(number >> (4 * digit) & 15) as usize]));
        }
        Self(HeaderValue::from_str(&id).expect("digits and a dash are a header's value"))
    }

    pub(crate) fn as_str(&self) -> &str {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_hexadecimal() {
        for number in [0, 1, 15, 16, 0xabc, 0x1000, u64::MAX] {
            assert_eq!(RequestId::numbered(number).as_str(), format!("{:x}-{number:x}", std::process::id()));
        }
    }
}
