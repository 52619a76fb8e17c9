//! What an app sends.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::abi::{Buffer, Message};
use crate::protocol::{
    self, BodyError, Credit, HttpResponse, Incoming, Stream, WsClose, WsKind, WsMessage, method,
};

/// What comes for a request.
#[derive(Debug)]
pub(super) enum Event {
    /// Its response, and whether an endless body follows.
    Answer(Message, Follows),
    /// A piece of the answer's body.
    Chunk(Buffer),
    /// The answer's body is complete.
    End,
    /// The answer's body ends incomplete.
    Failed(String),
    /// So many bytes more may be sent to it.
    Credit(u64),
    WsMessage(WsKind, Buffer),
    WsClose(u16, String),
    /// Not of the app's: it is being replaced, which ends endless streams.
    Replaced,
}

/// What comes after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    Nothing,
    Body,
    Endless(Endless),
}

/// An endless body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endless {
    Events,
    WebSocket,
    /// A connection that was upgraded by a `tower` service.
    Tunnel,
}

impl Event {
    /// The endless stream that starts with it.
    pub(super) fn begins(&self) -> Option<Endless> {
        match self {
            Self::Answer(_, Follows::Endless(endless)) => Some(*endless),
            _ => None,
        }
    }

    /// Whether nothing comes after it.
    pub(super) fn is_last(&self) -> bool {
        match self {
            Self::Answer(_, follows) => *follows == Follows::Nothing,
            Self::End | Self::Failed(_) | Self::WsClose(..) => true,
            Self::Chunk(_) | Self::Credit(_) | Self::WsMessage(..) | Self::Replaced => false,
        }
    }
}

/// What a message of an app's is.
pub(super) enum Sent {
    /// It is for the test's request of this number.
    Event(u64, Event),
    /// A request of the app's own, with its number.
    Request(u64, Request),
    /// The app's request with this id is no longer pending.
    Cancel(u64),
}

/// What an app asks of other apps.
pub(super) enum Request {
    Call(Message),
    Fetch(Message),
}

impl Sent {
    pub(super) fn parse(mut message: Message) -> Result<Self, String> {
        let json = message.take_json();
        let Incoming { id, method, params, result, .. } =
            serde_json::from_slice(&json).map_err(|error| error.to_string())?;
        let mut buffer = || message.transfer.take(0).unwrap_or_default();
        let (id, event) = match (method.as_deref(), id) {
            (None, Some(id)) => {
                let follows = result.map_or(Follows::Nothing, follows);
                return Ok(Self::Event(id, Event::Answer(Message { json, ..message }, follows)));
            }
            (Some(method::CALL), Some(id)) => {
                return Ok(Self::Request(id, Request::Call(Message { json, ..message })));
            }
            (Some(method::FETCH), Some(id)) => {
                return Ok(Self::Request(id, Request::Fetch(Message { json, ..message })));
            }
            (Some(method::CANCEL), None) => return Ok(Self::Cancel(read::<protocol::Cancel>(params)?.id)),
            (Some(method::BODY_CHUNK), None) => (read::<Stream>(params)?.id, Event::Chunk(buffer())),
            (Some(method::BODY_END), None) => (read::<Stream>(params)?.id, Event::End),
            (Some(method::BODY_ERROR), None) => {
                let BodyError { id, message } = read(params)?;
                (id, Event::Failed(message.into_owned()))
            }
            (Some(method::BODY_CREDIT), None) => {
                let Credit { id, bytes } = read(params)?;
                (id, Event::Credit(bytes))
            }
            (Some(method::WS_MESSAGE), None) => {
                let WsMessage { id, kind } = read(params)?;
                (id, Event::WsMessage(kind, buffer()))
            }
            (Some(method::WS_CLOSE), None) => {
                let WsClose { id, code, reason } = read(params)?;
                (id, Event::WsClose(code, reason.into_owned()))
            }
            (Some(name), _) => return Err(format!("unknown message {name}")),
            (None, None) => return Err("a response without an id".to_owned()),
        };
        Ok(Self::Event(id, event))
    }
}

/// What follows an answer; a method may have a result of any kind, after which nothing does.
fn follows(result: &RawValue) -> Follows {
    let Ok(response) = HttpResponse::parse(result.get()) else { return Follows::Nothing };
    let events = |header: &protocol::Header<'_>| {
        header.0.eq_ignore_ascii_case("content-type") && header.1.starts_with("text/event-stream")
    };
    match response.body {
        None | Some(protocol::Body::Transfer(_)) => Follows::Nothing,
        Some(protocol::Body::Websocket(_)) => Follows::Endless(Endless::WebSocket),
        Some(protocol::Body::Stream(_)) if response.status == 101 => Follows::Endless(Endless::Tunnel),
        Some(protocol::Body::Stream(_)) if response.headers.iter().any(events) => {
            Follows::Endless(Endless::Events)
        }
        Some(protocol::Body::Stream(_)) => Follows::Body,
    }
}

fn read<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<T, String> {
    serde_json::from_str(params.map_or("null", RawValue::get)).map_err(|error| error.to_string())
}
