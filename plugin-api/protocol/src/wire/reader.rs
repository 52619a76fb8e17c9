//! Reading a message that a [`Writer`](super::writer::Writer) has written.

use std::borrow::Cow;

use super::index::Entries;
use super::plain::find_quote;
use crate::http::{Header, HttpVersion};
use crate::streams::Body;

/// Room for the headers of most messages that have no index.
const HEADERS: usize = 12;

/// Reads an object as [`Writer`](super::writer::Writer) writes it; `None`: the text is in another form.
pub(super) struct Reader<'a, 'i> {
    pub(super) text: &'a str,
    /// Those of the strings that are not read yet; none where they are to be looked for.
    index: Entries<'i>,
}

impl<'a> Reader<'a, 'static> {
    /// Strings of JSON have no control characters, which is seen faster in all of the text than in each.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let has_controls = text.bytes().fold(false, |found, byte| found | (byte < b' '));
        (!has_controls).then_some(Self::plain(text))
    }

    /// Of a text that has no strings.
    pub(super) fn plain(text: &'a str) -> Self {
        Self { text, index: Entries::default() }
    }
}

impl<'a, 'i> Reader<'a, 'i> {
    /// With an index; `None`: there is none.
    pub(super) fn with(text: &'a str, index: &'i [u8]) -> Option<Self> {
        (!index.is_empty()).then(|| Self { text, index: Entries::of(index) })
    }
}

impl<'a> Reader<'a, '_> {
    #[inline(always)]
    pub(super) fn raw(&mut self, text: &str) -> Option<()> {
        self.text = self.text.strip_prefix(text)?;
        Some(())
    }

    pub(super) fn end(&self, text: &str) -> Option<()> {
        (self.text == text).then_some(())
    }

    pub(super) fn number(&mut self, before: &str) -> Option<u64> {
        self.raw(before)?;
        let (number, length) = leading_number(self.text.as_bytes())?;
        self.text = self.text.get(length..)?;
        Some(number)
    }

    /// A text up to its last quote, which is left.
    #[inline(always)]
    pub(super) fn text(&mut self, before: &str) -> Option<Cow<'a, str>> {
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

    pub(super) fn whole_text(&mut self, before: &str) -> Option<Cow<'a, str>> {
        let text = self.text(before)?;
        self.raw("\"").map(|()| text)
    }

    pub(super) fn headers(&mut self) -> Option<Vec<Header<'a>>> {
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

    pub(super) fn version(&mut self) -> Option<HttpVersion> {
        if self.raw(r#","version":""#).is_none() {
            return Some(HttpVersion::Http11);
        }
        let others = [HttpVersion::Http2, HttpVersion::Http10];
        let version = others.into_iter().find(|version| self.raw(version.as_str()).is_some())?;
        self.raw("\"").map(|()| version)
    }

    pub(super) fn body(&mut self) -> Option<Option<Body>> {
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
pub(super) fn leading_number(text: &[u8]) -> Option<(u64, usize)> {
    let (mut number, mut length) = (0_u64, 0);
    while let Some(byte) = text.get(length).filter(|byte| byte.is_ascii_digit()) {
        number = number.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
        length += 1;
    }
    let is_whole = matches!(text.get(length)?, b',' | b'}' | b']');
    (length > 0 && (length == 1 || text[0] != b'0') && is_whole).then_some((number, length))
}
