//! W3C trace context: the host is a step of its own in a trace that the client has begun.

use actix_web::http::header::{HeaderMap, HeaderName};

/// Made once: a name as text is read anew for each request.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The length of `00-TRACE-PARENT-FLAGS`.
const LENGTH: usize = 55;

/// The `traceparent` that the app gets: that of the client with a new parent id, which is the host's. `None` when the
/// client has sent none, more than one, or one that is not valid: the host begins no traces.
pub(super) fn traceparent(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all(TRACEPARENT);
    let (first, None) = (all.next()?, all.next()) else { return None };
    next(first.to_str().ok()?, fastrand::u64(1..))
}

/// With another parent id; `None` when `given` is not valid.
fn next(given: &str, parent: u64) -> Option<String> {
    let head = given.get(..LENGTH)?;
    let [version, trace, span, flags] = head.split('-').collect::<Vec<_>>().try_into().ok()?;
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
    };
    let is_set = |text: &str, length| is_hex(text, length) && text.bytes().any(|c| c != b'0');
    // Later versions may add fields, and begin as this one does.
    let ends = match given.as_bytes().get(LENGTH) {
        None => true,
        Some(next) => version != "00" && *next == b'-',
    };
    let valid = is_hex(version, 2)
        && version != "ff"
        && is_set(trace, 32)
        && is_set(span, 16)
        && is_hex(flags, 2)
        && ends;
    valid.then(|| format!("00-{trace}-{parent:016x}-{flags}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn the_trace_and_its_flags_stay() {
        for version in ["00", "01", "fe"] {
            let given = format!("{version}-{TRACE}-b7ad6b7169203331-01");
            assert_eq!(next(&given, 0xab), Some(format!("00-{TRACE}-00000000000000ab-01")));
        }
        let later = format!("01-{TRACE}-b7ad6b7169203331-00-more");
        assert_eq!(next(&later, 1), Some(format!("00-{TRACE}-0000000000000001-00")));
    }

    #[test]
    fn what_is_not_valid_is_none() {
        let zeros = "0".repeat(32);
        for given in [
            "",
            "00",
            &format!("ff-{TRACE}-b7ad6b7169203331-01"),
            &format!("00-{zeros}-b7ad6b7169203331-01"),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
            &format!("00-{TRACE}-b7ad6b7169203331-0x"),
            &format!("00-{TRACE}-b7ad6b7169203331-01-more"),
            &format!("01-{TRACE}-b7ad6b7169203331-01more"),
            &format!("00-{TRACE}-b7ad6b716920-331-01"),
            &format!("00-{TRACE}é"),
        ] {
            assert_eq!(next(given, 1), None, "{given}");
        }
    }
}
