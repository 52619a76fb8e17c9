//! What every piece of a stream and every WebSocket message costs, written and read in one go.

use super::reader::Reader;
use super::writer::Writer;
use crate::streams::{BodyEnd, Credit, Stream, WsKind, WsMessage};

/// Room for any of these messages.
const LENGTH: usize = 128;

impl Stream {
    /// The message that brings a piece of the body, its only buffer.
    ///
    /// ```
    /// use atoll_plugin::protocol::{Request, Stream};
    ///
    /// let stream = Stream { id: 7 };
    /// let text = serde_json::to_vec(&Request::notification("body.chunk", stream)).unwrap();
    /// assert_eq!(stream.chunk_message(), text);
    /// ```
    pub fn chunk_message(self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(LENGTH);
        writer.number(r#"{"jsonrpc":"2.0","method":"body.chunk","params":{"id":"#, self.id);
        writer.raw("}}");
        writer.json
    }

    /// Reads the parameters of [`method::BODY_CHUNK`](crate::method::BODY_CHUNK).
    ///
    /// # Errors
    /// The text is not JSON, or names no stream.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        read(text, Self::read)
    }

    pub(super) fn read(mut reader: Reader<'_, '_>) -> Option<Self> {
        let stream = Self { id: reader.number(r#"{"id":"#)? };
        reader.end("}").map(|()| stream)
    }
}

impl<'a> BodyEnd<'a> {
    /// The message that ends the body.
    ///
    /// ```
    /// use atoll_plugin::protocol::{BodyEnd, Header, Request};
    ///
    /// let end = BodyEnd { id: 7, trailers: vec![Header::new("grpc-status", "0")] };
    /// let text = serde_json::to_vec(&Request::notification("body.end", &end)).unwrap();
    /// assert_eq!(end.message(), text);
    /// ```
    pub fn message(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(LENGTH + 48 * self.trailers.len());
        writer.number(r#"{"jsonrpc":"2.0","method":"body.end","params":{"id":"#, self.id);
        if !self.trailers.is_empty() {
            writer.raw(r#","trailers":["#);
            writer.headers(&self.trailers);
            writer.raw("]");
        }
        writer.raw("}}");
        writer.json
    }

    /// Reads the parameters of [`method::BODY_END`](crate::method::BODY_END).
    ///
    /// # Errors
    /// The text is not JSON, or names no stream.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        match Reader::of(text).and_then(Self::read) {
            Some(end) => Ok(end),
            None => serde_json::from_str(text),
        }
    }

    pub(super) fn read(mut reader: Reader<'a, '_>) -> Option<Self> {
        let id = reader.number(r#"{"id":"#)?;
        let trailers = match reader.raw(r#","trailers":["#) {
            Some(()) => reader.headers()?,
            None => Vec::new(),
        };
        reader.end("}").map(|()| Self { id, trailers })
    }
}

impl Credit {
    /// The message that grants it.
    ///
    /// ```
    /// use atoll_plugin::protocol::{Credit, Request};
    ///
    /// let credit = Credit { id: 7, bytes: 131_072 };
    /// let text = serde_json::to_vec(&Request::notification("body.credit", credit)).unwrap();
    /// assert_eq!(credit.message(), text);
    /// ```
    pub fn message(self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(LENGTH);
        writer.number(r#"{"jsonrpc":"2.0","method":"body.credit","params":{"id":"#, self.id);
        writer.number(r#","bytes":"#, self.bytes);
        writer.raw("}}");
        writer.json
    }

    /// Reads the parameters of [`method::BODY_CREDIT`](crate::method::BODY_CREDIT).
    ///
    /// # Errors
    /// The text is not JSON, or grants nothing.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        read(text, Self::read)
    }

    pub(super) fn read(mut reader: Reader<'_, '_>) -> Option<Self> {
        let credit = Self { id: reader.number(r#"{"id":"#)?, bytes: reader.number(r#","bytes":"#)? };
        reader.end("}").map(|()| credit)
    }
}

impl WsMessage {
    /// The message that brings a WebSocket message, its only buffer.
    ///
    /// ```
    /// use atoll_plugin::protocol::{Request, WsKind, WsMessage};
    ///
    /// let message = WsMessage { id: 7, kind: WsKind::Text };
    /// let text = serde_json::to_vec(&Request::notification("ws.message", message)).unwrap();
    /// assert_eq!(message.message(), text);
    /// ```
    pub fn message(self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(LENGTH);
        writer.number(r#"{"jsonrpc":"2.0","method":"ws.message","params":{"id":"#, self.id);
        writer.raw(match self.kind {
            WsKind::Text => r#","kind":"text"}}"#,
            WsKind::Binary => r#","kind":"binary"}}"#,
            WsKind::Ping => r#","kind":"ping"}}"#,
            WsKind::Pong => r#","kind":"pong"}}"#,
        });
        writer.json
    }

    /// Reads the parameters of [`method::WS_MESSAGE`](crate::method::WS_MESSAGE).
    ///
    /// # Errors
    /// The text is not JSON, or not about a WebSocket message.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        read(text, Self::read)
    }

    pub(super) fn read(mut reader: Reader<'_, '_>) -> Option<Self> {
        let id = reader.number(r#"{"id":"#)?;
        let kind = match reader.text {
            r#","kind":"text"}"# => WsKind::Text,
            r#","kind":"binary"}"# => WsKind::Binary,
            r#","kind":"ping"}"# => WsKind::Ping,
            r#","kind":"pong"}"# => WsKind::Pong,
            _ => return None,
        };
        Some(Self { id, kind })
    }
}

/// In the form in which it is written here, or in any other. What is read with it has no texts that could have control
/// characters in them, so they need not be looked for.
fn read<'a, T: serde::Deserialize<'a>>(
    text: &'a str,
    own: impl FnOnce(Reader<'a, 'static>) -> Option<T>,
) -> Result<T, serde_json::Error> {
    match own(Reader::plain(text)) {
        Some(params) => Ok(params),
        None => serde_json::from_str(text),
    }
}
