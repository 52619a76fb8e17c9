//! What another host sends after its request.

use std::rc::Rc;

use atoll_plugin::protocol::{
    BodyEnd, BodyError, Credit as Granted, Header, Incoming, WsClose, WsKind, WsMessage, method,
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::credit::Credit;
use crate::dispatch::exchange::BodyPart;
use crate::fleet::calls::Message;

/// What comes of a WebSocket.
#[derive(Debug)]
pub(super) enum FromClient {
    Message(WsKind, Bytes),
    Close(u16, String),
}

/// A part of the request's body, or why it is incomplete.
pub(super) type Part = Result<BodyPart, String>;

/// Hands what comes to what waits for it. How much waits is bounded by the credit that was granted.
#[derive(Debug)]
pub(super) struct Inbound {
    /// `None`: the body is complete.
    body: Option<mpsc::UnboundedSender<Part>>,
    socket: mpsc::UnboundedSender<FromClient>,
    credit: Rc<Credit>,
}

/// What waits.
#[derive(Debug)]
pub(super) struct Receivers {
    pub(super) body: mpsc::UnboundedReceiver<Part>,
    pub(super) socket: mpsc::UnboundedReceiver<FromClient>,
    pub(super) credit: Rc<Credit>,
}

impl Inbound {
    pub(super) fn new() -> (Self, Receivers) {
        let (body, parts) = mpsc::unbounded_channel();
        let (socket, messages) = mpsc::unbounded_channel();
        let credit = Rc::<Credit>::default();
        let receivers = Receivers { body: parts, socket: messages, credit: credit.clone() };
        (Self { body: Some(body), socket, credit }, receivers)
    }

    /// Takes a message.
    ///
    /// # Errors
    /// It is none of the port's protocol.
    pub(super) fn take(&mut self, message: Message) -> Result<(), serde_json::Error> {
        let Message { text, buffer, .. } = message;
        let Incoming { method, params, .. } = serde_json::from_slice(&text)?;
        match method.as_deref().unwrap_or_default() {
            method::BODY_CHUNK => self.part(Ok(BodyPart::Data(buffer))),
            method::BODY_END => {
                let BodyEnd { trailers, .. } = read(params)?;
                if !trailers.is_empty() {
                    let trailers = trailers.into_iter().map(Header::into_owned).collect();
                    self.part(Ok(BodyPart::Trailers(trailers)));
                }
                self.body = None;
            }
            method::BODY_ERROR => {
                let BodyError { message, .. } = read(params)?;
                self.part(Err(message.into_owned()));
                self.body = None;
            }
            method::BODY_CREDIT => {
                let Granted { bytes, .. } = read(params)?;
                self.credit.grant(bytes);
            }
            method::WS_MESSAGE => {
                let WsMessage { kind, .. } = read(params)?;
                self.socket(FromClient::Message(kind, buffer));
            }
            method::WS_CLOSE => {
                let WsClose { code, reason, .. } = read(params)?;
                self.socket(FromClient::Close(code, reason.into_owned()));
            }
            other => log::debug!("another host sent the unknown message {other:?}"),
        }
        Ok(())
    }

    fn part(&self, part: Part) {
        // An app that has answered may not take the rest.
        self.body.iter().for_each(|body| drop(body.send(part.clone())));
    }

    fn socket(&self, message: FromClient) {
        let _ = self.socket.send(message);
    }
}

fn read<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<T, serde_json::Error> {
    serde_json::from_str(params.map_or("null", RawValue::get))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn message(text: &str) -> Message {
        Message { text: Bytes::copy_from_slice(text.as_bytes()), buffer: "x".into(), ..Message::default() }
    }

    #[test]
    fn a_body_comes_in_order_and_ends() {
        let (mut inbound, mut receivers) = Inbound::new();
        for text in [
            r#"{"jsonrpc":"2.0","method":"body.chunk","params":{"id":3}}"#,
            r#"{"jsonrpc":"2.0","method":"later.version","params":{"id":3}}"#,
            r#"{"jsonrpc":"2.0","method":"body.end","params":{"id":3,"trailers":[["a","b"]]}}"#,
            r#"{"jsonrpc":"2.0","method":"body.chunk","params":{"id":3}}"#,
        ] {
            inbound.take(message(text)).unwrap();
        }
        let mut next = || receivers.body.recv().now_or_never().unwrap();
        assert_eq!(next(), Some(Ok(BodyPart::Data("x".into()))));
        assert_eq!(next(), Some(Ok(BodyPart::Trailers(vec![Header::new("a", "b")]))));
        assert_eq!(next(), None);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let (mut inbound, _receivers) = Inbound::new();
        for text in ["", "{", "[]", r#"{"method":"body.credit","params":{"bytes":"x"}}"#] {
            assert!(inbound.take(message(text)).is_err(), "{text}");
        }
    }
}
