//! What a worker sends for one request.

use atoll_plugin::abi::{Buffer, Message};
use atoll_plugin::protocol::{
    self, BodyError, Credit, Head, Incoming, Stream, WsClose, WsKind, WsMessage, method,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::observe::timing::Times;

/// What a worker sends for one of the host's requests.
#[derive(Debug)]
pub(crate) enum Event {
    /// The answer: a result or an error; and what it took.
    Answer(Message, Times),
    /// A piece of the answer's body.
    Chunk(Buffer),
    /// The answer's body is complete.
    End,
    /// The answer's body ends incomplete.
    Failed(String),
    /// So many bytes more may be sent to it.
    Credit(u64),
    /// A WebSocket message.
    WsMessage(WsKind, Buffer),
    /// The WebSocket is closed, with a code and a reason.
    WsClose(u16, String),
}

/// What a message of a worker's is.
#[derive(Debug)]
pub(crate) enum Sent {
    /// It is for the host's request of this number.
    Event(u64, Event),
    /// A request of the app's own, with its number.
    Request(u64, Request),
    /// Nobody waits any more for the app's request of this number.
    Cancel(u64),
}

/// A request of an app's own.
#[derive(Debug)]
pub(crate) enum Request {
    /// A method of another app.
    Call(Message),
    /// An HTTP request to another app.
    Fetch(Message),
}

/// How much of a name that is not known is said.
const NAME: usize = 64;

/// Why a message of a worker's is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SentError {
    #[error("the app sent a message that cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("the app sent an answer without a number")]
    NoNumber,
    #[error("the app sent the message {0}, which this host does not know")]
    Unknown(String),
}

/// What is to be made of a message, when its text is read.
#[derive(Debug)]
enum Kind {
    Complete(Sent),
    Answer(u64),
    Chunk(u64),
    WsMessage(WsMessage),
    Call(u64),
    Fetch(u64),
}

impl Sent {
    /// Reads a message's envelope, and the parameters of a notification.
    pub(crate) fn parse(mut message: Message) -> Result<Self, SentError> {
        let kind = kind(&message.json)?;
        let mut buffer = || message.transfer.take(0).unwrap_or_default();
        Ok(match kind {
            Kind::Complete(sent) => sent,
            Kind::Chunk(id) => Self::Event(id, Event::Chunk(buffer())),
            Kind::WsMessage(WsMessage { id, kind }) => Self::Event(id, Event::WsMessage(kind, buffer())),
            Kind::Answer(id) => Self::Event(id, Event::Answer(message, Times::default())),
            Kind::Call(id) => Self::Request(id, Request::Call(message)),
            Kind::Fetch(id) => Self::Request(id, Request::Fetch(message)),
        })
    }
}

fn kind(json: &[u8]) -> Result<Kind, SentError> {
    usual(json).map_or_else(|| other(json), Ok)
}

/// What comes often, in the form in which this workspace's crates write it.
fn usual(json: &[u8]) -> Option<Kind> {
    match Head::of(json)? {
        Head::Result { id, .. } => Some(Kind::Answer(id)),
        Head::Call { id: None, method, params } => piece(method, params),
        Head::Call { id: Some(_), .. } => None,
    }
}

fn other(json: &[u8]) -> Result<Kind, SentError> {
    let Incoming { id, method, params, .. } = serde_json::from_slice(json)?;
    let Some(name) = method else { return id.map(Kind::Answer).ok_or(SentError::NoNumber) };
    let (id, event) = match (&*name, id) {
        (method::BODY_CHUNK, None) => return Ok(Kind::Chunk(read::<Stream>(params)?.id)),
        (method::WS_MESSAGE, None) => return Ok(Kind::WsMessage(read(params)?)),
        (method::CALL, Some(id)) => return Ok(Kind::Call(id)),
        (method::FETCH, Some(id)) => return Ok(Kind::Fetch(id)),
        (method::CANCEL, None) => {
            return Ok(Kind::Complete(Sent::Cancel(read::<protocol::Cancel>(params)?.id)));
        }
        (method::BODY_END, None) => (read::<Stream>(params)?.id, Event::End),
        (method::BODY_ERROR, None) => {
            let BodyError { id, message } = read(params)?;
            (id, Event::Failed(message.into_owned()))
        }
        (method::BODY_CREDIT, None) => {
            let Credit { id, bytes } = read(params)?;
            (id, Event::Credit(bytes))
        }
        (method::WS_CLOSE, None) => {
            let WsClose { id, code, reason } = read(params)?;
            (id, Event::WsClose(code, reason.into_owned()))
        }
        (name, _) => return Err(SentError::Unknown(name.chars().take(NAME).collect())),
    };
    Ok(Kind::Complete(Sent::Event(id, event)))
}

/// What comes often and is in the usual form; the rest is left to serde_json.
fn piece(method: &[u8], params: &[u8]) -> Option<Kind> {
    let params = std::str::from_utf8(params).ok()?;
    if method == method::BODY_CHUNK.as_bytes() {
        Stream::parse(params).ok().map(|stream| Kind::Chunk(stream.id))
    } else if method == method::WS_MESSAGE.as_bytes() {
        WsMessage::parse(params).ok().map(Kind::WsMessage)
    } else if method == method::BODY_CREDIT.as_bytes() {
        let Credit { id, bytes } = Credit::parse(params).ok()?;
        Some(Kind::Complete(Sent::Event(id, Event::Credit(bytes))))
    } else {
        None
    }
}

/// Checks that the ways of reading a message come to the same.
#[cfg(feature = "fuzzing")]
pub(crate) fn check_agreement(json: &[u8]) {
    match (usual(json), other(json)) {
        (Some(usual), Ok(other)) => assert_eq!(format!("{usual:?}"), format!("{other:?}")),
        // Whether its result is JSON is seen when the result is read.
        (Some(Kind::Answer(_)) | None, _) => {}
        (Some(usual), Err(error)) => panic!("{usual:?} is read, and it is none: {error}"),
    }
}

fn read<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<T, serde_json::Error> {
    serde_json::from_str(params.map_or("null", RawValue::get))
}
