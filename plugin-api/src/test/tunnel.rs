//! A WebSocket on a connection that was upgraded by a `tower` service: app and client handle the frames of RFC 6455
//! themselves.

use std::io::{self, Read, Write};

use bytes::Bytes;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::{Role, WebSocket};

use super::client::Client;
use crate::http::stream::Chunk;
use crate::http::ws::Message;

/// The client.
pub(super) struct Frames(WebSocket<Tunnel>);

impl Frames {
    pub(super) fn new(client: Client) -> Self {
        let tunnel = Tunnel { client, read: io::Cursor::default() };
        Self(WebSocket::from_raw_socket(tunnel, Role::Client, None))
    }

    pub(super) fn send(&mut self, message: Message) {
        let bytes = |bytes: Chunk| bytes.to_vec().into();
        let message = match message {
            Message::Text(text) => tungstenite::Message::Text(text.into()),
            Message::Binary(binary) => tungstenite::Message::Binary(bytes(binary)),
            Message::Ping(ping) => tungstenite::Message::Ping(bytes(ping)),
            Message::Pong(pong) => tungstenite::Message::Pong(bytes(pong)),
            Message::Close(code, reason) => {
                tungstenite::Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
            }
        };
        // An app that has closed the connection takes no more, which `receive` says.
        let _ = self.0.send(message);
    }

    pub(super) fn receive(&mut self) -> Message {
        match self.0.read() {
            Ok(tungstenite::Message::Text(text)) => Message::Text(text.as_str().to_owned()),
            Ok(tungstenite::Message::Binary(bytes)) => Message::binary(bytes.to_vec()),
            Ok(tungstenite::Message::Ping(bytes)) => Message::Ping(bytes.to_vec().into()),
            Ok(tungstenite::Message::Pong(bytes)) => Message::Pong(bytes.to_vec().into()),
            Ok(tungstenite::Message::Close(Some(frame))) => {
                // The answer to it is queued already.
                let _ = self.0.flush();
                Message::Close(frame.code.into(), frame.reason.as_str().to_owned())
            }
            Ok(tungstenite::Message::Close(None) | tungstenite::Message::Frame(_)) => {
                Message::Close(1005, String::new())
            }
            Err(error) => Message::Close(1006, error.to_string()),
        }
    }
}

/// The connection.
struct Tunnel {
    client: Client,
    read: io::Cursor<Bytes>,
}

impl Read for Tunnel {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.read.read(into)?;
            if read > 0 {
                return Ok(read);
            }
            let until = self.client.until();
            match self.client.chunk(until, "send anything more") {
                Some(Ok(bytes)) => self.read = io::Cursor::new(bytes),
                Some(Err(_)) | None => return Ok(0),
            }
        }
    }
}

impl Write for Tunnel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.client.send_pieces(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
