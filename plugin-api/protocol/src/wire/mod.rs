//! The two messages that every HTTP request costs, and those of streams, written and read in one go.
//!
//! What is written is byte for byte what serde_json makes of the same value, and what is read is what serde_json reads
//! of the same text; a text in another form, as JSON allows many, is left to serde_json. It takes less than half of the
//! instructions. What has written the message of a request knows where the texts in it are, and its reader needs not look for them:
//! see [`IndexedText`].

mod index;
mod streams;

use std::borrow::Cow;

use memchr::memchr2;

use self::index::Entries;
use super::http::{Header, HttpRequest, HttpResponse, HttpVersion};
use super::streams::Body;

pub use index::IndexedText;

impl<'a> HttpRequest<'a> {
    /// The message that asks for it, as the request `id`.
    ///
    /// ```
    /// use atoll_plugin::protocol::{HttpRequest, Request};
    ///
    /// let request = HttpRequest::parse(r#"{"method":"GET","path":"/"}"#, &[]).unwrap();
    /// let text = serde_json::to_vec(&Request::new(7, "http", &request)).unwrap();
    /// assert_eq!(request.message(7).json, text);
    /// ```
    pub fn message(&self, id: u64) -> IndexedText {
        let mut writer = Writer::indexed(self.headers.len());
        writer.number(r#"{"jsonrpc":"2.0","id":"#, id);
        writer.text(r#","method":"http","params":{"method":""#, &self.method);
        writer.text(r#"","path":""#, &self.path);
        writer.text(r#"","query":""#, &self.query);
        writer.text(r#"","prefix":""#, &self.prefix);
        writer.raw(r#"","headers":["#);
        writer.headers(&self.headers);
        match &self.peer {
            None => writer.raw(r#"],"peer":null"#),
            Some(peer) => writer.whole_text(r#"],"peer":""#, peer),
        }
        writer.whole_text(r#","request_id":""#, &self.request_id);
        match &self.traceparent {
            None => writer.raw(r#","traceparent":null"#),
            Some(traceparent) => writer.whole_text(r#","traceparent":""#, traceparent),
        }
        if !self.version.is_http11() {
            writer.whole_text(r#","version":""#, self.version.as_str());
        }
        match self.deadline_ms {
            None => writer.raw(r#","deadline_ms":null,"body":"#),
            Some(ms) => {
                writer.number(r#","deadline_ms":"#, ms);
                writer.raw(r#","body":"#);
            }
        }
        writer.body(self.body);
        IndexedText { json: writer.json, index: writer.index.unwrap_or_default() }
    }

    /// Changes the deadline in the text of a message that [`message`](Self::message) has made, which is behind all that its index
    /// is of; whether it has one.
    ///
    /// ```
    /// use atoll_plugin::protocol::HttpRequest;
    ///
    /// let request = HttpRequest::parse(r#"{"method":"GET","path":"/","deadline_ms":30000}"#, &[]).unwrap();
    /// let mut message = request.message(7);
    /// assert!(HttpRequest::set_deadline(&mut message.json, 950));
    /// assert_eq!(message, HttpRequest { deadline_ms: Some(950), ..request }.message(7));
    /// ```
    pub fn set_deadline(message: &mut Vec<u8>, ms: u64) -> bool {
        let Some(Head::Call { method: b"http", params, .. }) = Head::of(message) else { return false };
        // Quotes in a text are escaped, so this is no part of one, and only the body comes after it.
        const FIELD: &[u8] = br#","deadline_ms":"#;
        let Some(field) = memchr::memmem::rfind(params, FIELD) else { return false };
        let digits = field + FIELD.len();
        let Some((_, length)) = leading_number(&params[digits..]) else { return false };
        // The message ends with the brace behind its parameters.
        let start = message.len() - 1 - params.len() + digits;
        message.splice(start..start + length, ms.to_string().into_bytes());
        true
    }

    /// Reads the parameters of [`method::HTTP`](super::method::HTTP), by the [index](IndexedText::index) of their message, which
    /// may be empty. It is believed: a text is what it names, with all that is in it.
    ///
    /// # Errors
    /// The text is not JSON, or not a request.
    pub fn parse(text: &'a str, index: &[u8]) -> Result<Self, serde_json::Error> {
        let by_index = Reader::with(text, index).and_then(Self::read);
        match by_index.or_else(|| Self::read(Reader::of(text)?)) {
            Some(request) => Ok(request),
            None => serde_json::from_str(text),
        }
    }

    fn read(mut reader: Reader<'a, '_>) -> Option<Self> {
        let request = Self {
            method: reader.text(r#"{"method":""#)?,
            path: reader.text(r#"","path":""#)?,
            query: reader.text(r#"","query":""#)?,
            prefix: reader.text(r#"","prefix":""#)?,
            headers: {
                reader.raw(r#"","headers":["#)?;
                reader.headers()?
            },
            peer: match reader.raw(r#","peer":null"#) {
                Some(()) => None,
                None => Some(reader.whole_text(r#","peer":""#)?),
            },
            request_id: reader.whole_text(r#","request_id":""#)?,
            traceparent: match reader.raw(r#","traceparent":null"#) {
                Some(()) => None,
                None => Some(reader.whole_text(r#","traceparent":""#)?),
            },
            version: reader.version()?,
            deadline_ms: match reader.raw(r#","deadline_ms":null"#) {
                Some(()) => None,
                None => Some(reader.number(r#","deadline_ms":"#)?),
            },
            body: reader.body()?,
        };
        reader.end("}").map(|()| request)
    }
}

impl<'a> HttpResponse<'a> {
    /// The message that answers the request `id` with it.
    ///
    /// ```
    /// use atoll_plugin::protocol::{HttpResponse, Response};
    ///
    /// let response = HttpResponse::parse(r#"{"status":204}"#).unwrap();
    /// let text = serde_json::to_vec(&Response::result(7, &response)).unwrap();
    /// assert_eq!(response.message(7), text);
    /// ```
    pub fn message(&self, id: u64) -> Vec<u8> {
        let mut writer = Writer::with_capacity(Writer::room(self.headers.len()));
        writer.number(r#"{"jsonrpc":"2.0","id":"#, id);
        writer.number(r#","result":{"status":"#, self.status.into());
        writer.raw(r#","headers":["#);
        writer.headers(&self.headers);
        writer.raw(r#"],"body":"#);
        writer.body(self.body);
        writer.json
    }

    /// Reads the result of [`method::HTTP`](super::method::HTTP).
    ///
    /// # Errors
    /// The text is not JSON, or not an answer.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        match Reader::of(text).and_then(Self::read) {
            Some(response) => Ok(response),
            None => serde_json::from_str(text),
        }
    }

    fn read(mut reader: Reader<'a, '_>) -> Option<Self> {
        let response = Self {
            status: reader.number(r#"{"status":"#)?.try_into().ok()?,
            headers: {
                reader.raw(r#","headers":["#)?;
                reader.headers()?
            },
            body: reader.body()?,
        };
        reader.end("}").map(|()| response)
    }
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// The high bit of each byte that is zero, and perhaps of some above the first one that is.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// As [`zeros`], of quotes and backslashes.
fn quotes(word: u64) -> u64 {
    zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')))
}

/// As [`zeros`], of what cannot stand for itself in a JSON string.
fn specials(word: u64) -> u64 {
    quotes(word) | (word.wrapping_sub(ONES * u64::from(b' ')) & !word & HIGH)
}

/// Whether all of a text can stand for itself in a JSON string.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    if let Some(last) = bytes.last_chunk() {
        let words = bytes.chunks_exact(8).filter_map(<[u8]>::first_chunk);
        return words.chain([last]).fold(0, |found, word| found | specials(u64::from_le_bytes(*word))) == 0;
    }
    // Of a short text each byte at least once, and some twice.
    let word = match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), bytes) {
        (Some(first), Some(last), _) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        (.., [first, .., last]) => {
            u64::from_le_bytes([*first, bytes[1], *last, b' ', b' ', b' ', b' ', b' '])
        }
        (.., [only]) => u64::from(*only) | (ONES * u64::from(b' ')) << 8,
        (.., []) => return true,
    };
    specials(word) == 0
}

/// Where the first quote or backslash is. Most texts are shorter than what a search by vectors is made for.
fn find_quote(bytes: &[u8]) -> Option<usize> {
    const SHORT: usize = 64;
    for (index, word) in bytes.chunks_exact(8).take(SHORT / 8).filter_map(<[u8]>::first_chunk).enumerate() {
        let found = quotes(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(8 * index + found.trailing_zeros() as usize / 8);
        }
    }
    let searched = (bytes.len() & !7).min(SHORT);
    memchr2(b'"', b'\\', &bytes[searched..]).map(|place| searched + place)
}

/// Room for the headers of most messages that have no index.
const HEADERS: usize = 12;

/// How many texts a request has besides its headers.
const OTHER_TEXTS: usize = 7;

/// Writes an object, in which a text's last quote is part of what comes after it.
struct Writer {
    json: Vec<u8>,
    /// Of a message that has one.
    index: Option<Vec<u8>>,
}

impl Writer {
    /// For a message with an index and so many headers.
    fn indexed(headers: usize) -> Self {
        let index = Vec::with_capacity(index::ENTRY * (OTHER_TEXTS + 2 * headers));
        Self { index: Some(index), ..Self::with_capacity(Self::room(headers)) }
    }

    /// How many bytes a message with so many headers has, unless they are long.
    fn room(headers: usize) -> usize {
        384 + 48 * headers
    }

    /// For a message without an index.
    fn with_capacity(bytes: usize) -> Self {
        Self { json: Vec::with_capacity(bytes), index: None }
    }

    // Copying a text of known length takes an instruction or two, and a call otherwise.
    #[inline(always)]
    fn raw(&mut self, text: &str) {
        self.json.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, before: &str, number: u64) {
        self.raw(before);
        self.json(&number);
    }

    fn json(&mut self, value: &impl serde::Serialize) {
        serde_json::to_writer(&mut self.json, value).expect("numbers and texts are always JSON");
    }

    /// A text without its last quote; the first one ends `before`.
    #[inline(always)]
    fn text(&mut self, before: &str, text: &str) {
        self.raw(before);
        self.value(text);
    }

    fn value(&mut self, text: &str) {
        if is_plain(text) {
            self.json.extend_from_slice(text.as_bytes());
            self.note(text.len(), false);
        } else {
            self.escaped(text);
        }
    }

    #[cold]
    fn escaped(&mut self, text: &str) {
        self.json.pop();
        let begun = self.json.len();
        self.json(&text);
        self.json.pop();
        self.note(self.json.len() - begun - 1, true);
    }

    #[inline(always)]
    fn note(&mut self, length: usize, is_escaped: bool) {
        if let Some(index) = &mut self.index {
            index::note(index, length, is_escaped);
        }
    }

    fn whole_text(&mut self, before: &str, text: &str) {
        self.text(before, text);
        self.json.push(b'"');
    }

    fn headers(&mut self, headers: &[Header<'_>]) {
        let Some((Header(name, value), rest)) = headers.split_first() else { return };
        self.text(r#"[""#, name);
        self.text(r#"",""#, value);
        for Header(name, value) in rest {
            self.text(r#""],[""#, name);
            self.text(r#"",""#, value);
        }
        self.raw(r#""]"#);
    }

    /// The body, and the end of the message.
    fn body(&mut self, body: Option<Body>) {
        match body {
            None => self.raw("null}}"),
            Some(body) => {
                self.json(&body);
                self.raw("}}");
            }
        }
    }
}

/// Reads an object as [`Writer`] writes it; `None`: the text is in another form.
struct Reader<'a, 'i> {
    text: &'a str,
    /// Those of the strings that are not read yet; none where they are to be looked for.
    index: Entries<'i>,
}

impl<'a> Reader<'a, 'static> {
    /// Strings of JSON have no control characters, which is seen faster in all of the text than in each.
    fn of(text: &'a str) -> Option<Self> {
        let has_controls = text.bytes().fold(false, |found, byte| found | (byte < b' '));
        (!has_controls).then_some(Self::plain(text))
    }

    /// Of a text that has no strings.
    fn plain(text: &'a str) -> Self {
        Self { text, index: Entries::default() }
    }
}

impl<'a, 'i> Reader<'a, 'i> {
    /// With an index; `None`: there is none.
    fn with(text: &'a str, index: &'i [u8]) -> Option<Self> {
        (!index.is_empty()).then(|| Self { text, index: Entries::of(index) })
    }
}

impl<'a> Reader<'a, '_> {
    #[inline(always)]
    fn raw(&mut self, text: &str) -> Option<()> {
        self.text = self.text.strip_prefix(text)?;
        Some(())
    }

    fn end(&self, text: &str) -> Option<()> {
        (self.text == text).then_some(())
    }

    fn number(&mut self, before: &str) -> Option<u64> {
        self.raw(before)?;
        let (number, length) = leading_number(self.text.as_bytes())?;
        self.text = self.text.get(length..)?;
        Some(number)
    }

    /// A text up to its last quote, which is left.
    #[inline(always)]
    fn text(&mut self, before: &str) -> Option<Cow<'a, str>> {
        self.raw(before)?;
        self.value()
    }

    #[inline(always)]
    fn value(&mut self) -> Option<Cow<'a, str>> {
        match self.index.next() {
            Some((length, is_escaped)) => {
                let text = self.take(length)?;
                if is_escaped { unescaped(text) } else { Some(Cow::Borrowed(text)) }
            }
            None => self.searched(),
        }
    }

    fn searched(&mut self) -> Option<Cow<'a, str>> {
        let bytes = self.text.as_bytes();
        let mut end = find_quote(bytes)?;
        if bytes[end] == b'"' {
            return self.take(end).map(Cow::Borrowed);
        }
        while bytes.get(end)? != &b'"' {
            // A character that is escaped is no end, whatever it is.
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        unescaped(self.take(end)?)
    }

    #[inline(always)]
    fn take(&mut self, length: usize) -> Option<&'a str> {
        let (text, rest) = self.text.split_at_checked(length)?;
        self.text = rest;
        Some(text)
    }

    fn whole_text(&mut self, before: &str) -> Option<Cow<'a, str>> {
        let text = self.text(before)?;
        self.raw("\"").map(|()| text)
    }

    fn headers(&mut self) -> Option<Vec<Header<'a>>> {
        if self.raw("]").is_some() {
            return Some(Vec::new());
        }
        let mut headers = Vec::with_capacity((self.index.len() / 2).max(HEADERS));
        self.raw(r#"[""#)?;
        loop {
            let name = self.value()?;
            let value = self.text(r#"",""#)?;
            headers.push(Header(name, value));
            if self.raw(r#""],[""#).is_none() {
                return self.raw(r#""]]"#).map(|()| headers);
            }
        }
    }

    fn version(&mut self) -> Option<HttpVersion> {
        if self.raw(r#","version":""#).is_none() {
            return Some(HttpVersion::Http11);
        }
        let others = [HttpVersion::Http2, HttpVersion::Http10];
        let version = others.into_iter().find(|version| self.raw(version.as_str()).is_some())?;
        self.raw("\"").map(|()| version)
    }

    fn body(&mut self) -> Option<Option<Body>> {
        self.raw(r#","body":"#)?;
        if self.raw("null").is_some() {
            return Some(None);
        }
        if self.raw(r#"{"stream":true}"#).is_some() {
            return Some(Some(Body::STREAM));
        }
        if self.raw(r#"{"websocket":true}"#).is_some() {
            return Some(Some(Body::WEBSOCKET));
        }
        let index = self.number(r#"{"transfer":"#)?.try_into().ok()?;
        self.raw("}").map(|()| Some(Body::Transfer(index)))
    }
}

/// What stands between the quotes of a JSON string.
#[cold]
fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str(&format!("\"{text}\"")).ok().map(Cow::Owned)
}

/// The number that a text begins with, and its length. Text that is not followed by these characters is part of another
/// number, and JSON has no zeros in front of one.
fn leading_number(text: &[u8]) -> Option<(u64, usize)> {
    let (mut number, mut length) = (0_u64, 0);
    while let Some(byte) = text.get(length).filter(|byte| byte.is_ascii_digit()) {
        number = number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
        length += 1;
    }
    let is_whole = matches!(text.get(length)?, b',' | b'}' | b']');
    (length > 0 && (length == 1 || text[0] != b'0') && is_whole).then_some((number, length))
}

/// A message in the form in which this crate writes it, whose parameters or result are not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head<'a> {
    /// A request or, without a number, a notification.
    Call {
        /// The request's number.
        id: Option<u64>,
        /// What is asked for.
        method: &'a [u8],
        /// The parameters.
        params: &'a [u8],
    },
    /// The answer to a request.
    Result {
        /// The request's number.
        id: u64,
        /// The result.
        result: &'a [u8],
    },
}

impl<'a> Head<'a> {
    /// Splits a message at its parameters or its result, which may be no JSON if the message is none. `None`: the
    /// message is in another form.
    ///
    /// ```
    /// use atoll_plugin::protocol::Head;
    ///
    /// let head = Head::of(br#"{"jsonrpc":"2.0","id":7,"method":"add","params":[1,2]}"#);
    /// assert_eq!(head, Some(Head::Call { id: Some(7), method: b"add", params: b"[1,2]" }));
    /// assert_eq!(Head::of(br#"{"id":7,"jsonrpc":"2.0","result":3}"#), None);
    /// ```
    pub fn of(message: &'a [u8]) -> Option<Self> {
        let mut rest = message.strip_prefix(br#"{"jsonrpc":"2.0","#)?.strip_suffix(b"}")?;
        let mut id = None;
        if let Some(numbered) = rest.strip_prefix(br#""id":"#) {
            let (number, length) = leading_number(numbered)?;
            rest = numbered[length..].strip_prefix(b",")?;
            id = Some(number);
        }
        if let (Some(id), Some(result)) = (id, rest.strip_prefix(br#""result":"#)) {
            return Some(Self::Result { id, result });
        }
        let named = rest.strip_prefix(br#""method":""#)?;
        let (method, rest) = named.split_at(memchr2(b'"', b'\\', named)?);
        let params = rest.strip_prefix(br#"","params":"#)?;
        Some(Self::Call { id, method, params })
    }
}

#[cfg(test)]
mod tests;
