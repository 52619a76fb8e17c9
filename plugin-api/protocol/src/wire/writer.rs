//! Writing a message.

use super::index;
use super::plain::is_plain;
use crate::http::Header;
use crate::streams::Body;

/// How many texts a request has besides its headers.
const OTHER_TEXTS: usize = 7;

/// Writes an object, in which a text's last quote is part of what comes after it.
pub(super) struct Writer {
    pub(super) json: Vec<u8>,
    /// Of a message that has one.
    pub(super) index: Option<Vec<u8>>,
}

impl Writer {
    /// For a message with an index and so many headers.
    pub(super) fn indexed(headers: usize) -> Self {
        let index = Vec::with_capacity(index::ENTRY * (OTHER_TEXTS + 2 * headers));
        Self { index: Some(index), ..Self::with_capacity(Self::room(headers)) }
    }

    /// How many bytes a message with so many headers has, unless they are long.
    pub(super) fn room(headers: usize) -> usize {
        384 + 48 * headers
    }

    /// For a message without an index.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { json: Vec::with_capacity(bytes), index: None }
    }

    // Copying a text of known length takes an instruction or two, and a call otherwise.
    #[inline(always)]
    pub(super) fn raw(&mut self, text: &str) {
        self.json.extend_from_slice(text.as_bytes());
    }

    pub(super) fn number(&mut self, before: &str, number: u64) {
        self.raw(before);
        self.json(&number);
    }

    fn json(&mut self, value: &impl serde::Serialize) {
        serde_json::to_writer(&mut self.json, value).expect("numbers and texts are always JSON");
    }

    /// A text without its last quote; the first one ends `before`.
    #[inline(always)]
    pub(super) fn text(&mut self, before: &str, text: &str) {
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

    pub(super) fn whole_text(&mut self, before: &str, text: &str) {
        self.text(before, text);
        self.json.push(b'"');
    }

    pub(super) fn headers(&mut self, headers: &[Header<'_>]) {
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
    pub(super) fn body(&mut self, body: Option<Body>) {
        match body {
            None => self.raw("null}}"),
            Some(body) => {
                self.json(&body);
                self.raw("}}");
            }
        }
    }
}
