//! Which request a message of a worker's is about, as far as its beginning shows.

/// The number of the request that a message answers, or that its parameters begin with. `None`: it is about none, or is in
/// another form than the one in which Atoll's crates write it.
pub(super) fn subject(json: &[u8]) -> Option<u64> {
    let rest = json.strip_prefix(br#"{"jsonrpc":"2.0","#)?;
    if let Some(numbered) = rest.strip_prefix(br#""id":"#) {
        return number(numbered);
    }
    let rest = rest.strip_prefix(br#""method":""#)?;
    let end = memchr::memchr(b'"', rest)?;
    number(rest[end..].strip_prefix(br#"","params":{"id":"#)?)
}

fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).take(20);
    let mut number = None;
    for digit in digits {
        number = Some(number.unwrap_or(0_u64).checked_mul(10)?.checked_add(u64::from(digit - b'0'))?);
    }
    number
}

#[cfg(test)]
mod tests {
    use atoll_protocol::{Credit, ErrorObject, HttpResponse, Request, Response, Stream};
    use serde_json::json;

    use super::*;
    use crate::message::to_json;

    #[test]
    fn the_messages_of_a_worker_have_one() {
        let error = ErrorObject { code: 1, message: "no".into(), data: None };
        let head = HttpResponse { status: 200, headers: Default::default(), body: None };
        for message in [
            to_json(&Response::result(4711, 1)),
            to_json(&Response::error(4711, error)),
            head.message(4711),
            Stream { id: 4711 }.chunk_message(),
            Credit { id: 4711, bytes: 5 }.message(),
            to_json(&Request::notification("body.end", Stream { id: 4711 })),
        ] {
            assert_eq!(subject(&message), Some(4711), "{}", String::from_utf8_lossy(&message));
        }
        for other in [
            to_json(&Request::notification("x", json!([1]))),
            br#"{"id":3}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":99999999999999999999}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":"#.to_vec(),
            Vec::new(),
        ] {
            assert_eq!(subject(&other), None);
        }
    }
}
