//! A WebSocket on a connection that was upgraded by a `tower` service: app and client handle the frames of RFC 6455
//! themselves.

use std::io::{self, Read, Write};

use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::{Role, WebSocket};

use super::exchange::{Exchange, Item};
use crate::http::stream::Chunk;
use crate::http::ws::Message;

/// The close frame of a host that replaces the app: code 1012.
const REPLACED: &[u8] = &[0x88, 0x02, 0x03, 0xf4];

/// The client.
pub(super) struct Frames(WebSocket<Tunnel>);

impl Frames {
    pub(super) fn new(mut exchange: Exchange) -> Self {
        exchange.begin_tunnel();
        let tunnel = Tunnel { exchange, read: io::Cursor::default(), ended: false };
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
    exchange: Exchange,
    read: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl Read for Tunnel {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.read.read(into)?;
            if read > 0 || self.ended {
                return Ok(read);
            }
            match self.exchange.item() {
                Item::Chunk(bytes) => self.read = io::Cursor::new(bytes.to_vec()),
                Item::Replaced => {
                    self.read = io::Cursor::new(REPLACED.to_vec());
                    self.ended = true;
                }
                Item::End(_) => self.ended = true,
                Item::Message(..) | Item::Close(..) => {}
            }
        }
    }
}

impl Write for Tunnel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.exchange.send_piece(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
