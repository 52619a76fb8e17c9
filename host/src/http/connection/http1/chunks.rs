//! The trailers of a chunked body, which the codec reads over.

use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::{EMPTY_HEADER, Status};

use crate::http::limits::MAX_HEADERS;

/// The trailers of a body are no header fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Follows the chunks of a body, to know where its trailers begin. What it is shown is no proof against what the codec
/// refuses: that has the last word on where the body ends.
#[derive(Default)]
pub(super) struct Chunks {
    place: Place,
    /// A line that is not complete, or all of the trailers.
    text: Vec<u8>,
    /// How much was seen last before the trailers, and how much of the trailers.
    seen: (usize, usize),
}

/// What comes next.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// The length of a chunk, which may come after the end of a line.
    #[default]
    Length,
    /// So many bytes of a chunk.
    Data(u64),
    Trailers,
}

impl Chunks {
    /// Looks at what the codec is about to read.
    pub(super) fn look(&mut self, input: &[u8]) {
        let mut rest = input;
        while self.place == Place::Length && !rest.is_empty() {
            let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1);
            let (line, after) = rest.split_at(length);
            self.text.extend_from_slice(line);
            rest = after;
            if line.ends_with(b"\n") {
                self.place = place_after(&self.text);
                self.text.clear();
            }
        }
        let trailers: &[u8] = if self.place == Place::Trailers { rest } else { &[] };
        self.text.extend_from_slice(trailers);
        self.seen = (input.len() - rest.len(), trailers.len());
    }

    /// Notes that the codec has read so many bytes that are none of the body, and then a piece of this length.
    pub(super) fn advance(&mut self, taken: usize, piece: usize) {
        let (before, of_trailers) = self.seen;
        // The rest belongs to the next request.
        let unread = of_trailers.saturating_sub(taken.saturating_sub(before));
        self.text.truncate(self.text.len() - unread);
        if let Place::Data(left) = &mut self.place {
            *left = left.saturating_sub(piece as u64);
            if *left == 0 {
                self.place = Place::Length;
            }
        }
    }

    /// The trailers of a body that has ended.
    pub(super) fn into_trailers(self) -> Result<Option<Box<HeaderMap>>, Malformed> {
        if self.text == b"\r\n" {
            return Ok(None);
        }
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let Ok(Status::Complete((length, headers))) = httparse::parse_headers(&self.text, &mut headers)
        else {
            return Err(Malformed);
        };
        if length != self.text.len() {
            return Err(Malformed);
        }
        let mut trailers = HeaderMap::with_capacity(headers.len());
        for header in headers {
            let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| Malformed)?;
            trailers.append(name, HeaderValue::from_bytes(header.value).map_err(|_| Malformed)?);
        }
        Ok(Some(Box::new(trailers)))
    }
}

/// What comes after a line.
fn place_after(line: &[u8]) -> Place {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let length =
        std::str::from_utf8(&line[..digits]).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    match length {
        Some(0) => Place::Trailers,
        Some(length) => Place::Data(length),
        // The end of a chunk, or what the codec refuses.
        None => Place::Length,
    }
}

#[cfg(test)]
mod tests {
    use actix_http::ServiceConfig;
    use actix_http::h1::{Codec, Message};
    use bytes::BytesMut;
    use tokio::runtime;
    use tokio::task::LocalSet;
    use tokio_util::codec::Decoder;

    use super::*;

    /// What the codec and `Chunks` make of a body that comes in pieces of this size: the bytes, the trailers, and what is
    /// left.
    fn read(body: &str, size: usize) -> (String, Result<Option<Box<HeaderMap>>, Malformed>, String) {
        // The codec's clock is a task.
        let runtime = runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut codec = LocalSet::new().block_on(&runtime, async { Codec::new(ServiceConfig::default()) });
        let mut input = BytesMut::from("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
        assert!(matches!(codec.decode(&mut input), Ok(Some(Message::Item(_)))));
        let (mut chunks, mut bytes) = (Chunks::default(), Vec::new());
        let mut coming = body.as_bytes().chunks(size);
        loop {
            chunks.look(&input);
            let before = input.len();
            let message = codec.decode(&mut input).unwrap();
            let piece = match &message {
                Some(Message::Chunk(Some(piece))) => piece.len(),
                _ => 0,
            };
            chunks.advance(before - input.len() - piece, piece);
            match message {
                Some(Message::Chunk(Some(piece))) => bytes.extend_from_slice(&piece),
                Some(_) => break,
                None => input.extend_from_slice(coming.next().expect("the body has an end")),
            }
        }
        input.extend(coming.flatten());
        let left = String::from_utf8(input.to_vec()).unwrap();
        (String::from_utf8(bytes).unwrap(), chunks.into_trailers(), left)
    }

    #[test]
    fn trailers_are_found_however_the_body_comes() {
        let body = "3;a=b\r\none\r\n0013\r\n0\r\n\r\nx: 1\r\n12345678\r\n000\r\nX-Late: caf\u{e9}\r\nx-late:2\r\n\r\nGET / ";
        for size in 1..=body.len() {
            let (bytes, trailers, left) = read(body, size);
            assert_eq!((&*bytes, &*left), ("one0\r\n\r\nx: 1\r\n12345678", "GET / "), "{size}");
            let trailers = trailers.unwrap().unwrap();
            let late: Vec<_> = trailers.get_all("x-late").iter().map(HeaderValue::as_bytes).collect();
            assert_eq!(late, ["caf\u{e9}".as_bytes(), b"2"], "{size}");
        }
    }

    #[test]
    fn most_bodies_have_none() {
        for body in ["0\r\n\r\n", "1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n"] {
            for size in 1..=body.len() {
                assert_eq!(read(body, size).1, Ok(None), "{size}");
            }
        }
    }

    #[test]
    fn what_is_no_field_is_refused() {
        let many = "x: 1\r\n".repeat(MAX_HEADERS + 1);
        for trailers in ["x\r\n", "x y: 1\r\n", "x: 1\r\n y\r\n", ": 1\r\n", "x: \u{1}\r\n", &many] {
            let (bytes, trailers, _) = read(&format!("1\r\nx\r\n0\r\n{trailers}\r\n"), 7);
            assert_eq!((&*bytes, trailers), ("x", Err(Malformed)));
        }
    }
}
