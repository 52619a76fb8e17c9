//! The two messages that every HTTP request costs, and those of streams, written and read in one go.
//!
//! What is written is byte for byte what serde_json makes of the same value, and what is read is what serde_json reads
//! of the same text; a text in another form, as JSON allows many, is left to serde_json. It takes less than half of the
//! instructions. What has written the message of a request knows where the texts in it are, and its reader needs not look for them:
//! see [`IndexedText`].

mod head;
mod index;
mod plain;
mod reader;
mod streams;
mod writer;

use self::reader::{Reader, leading_number};
use self::writer::Writer;
use super::http::{HttpRequest, HttpResponse};

pub use head::Head;
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

#[cfg(test)]
mod tests;
