//! What a worker sends for one request.

use atoll_protocol::abi::{Buffer, Message};
use atoll_protocol::{
    self as protocol, BodyEnd, BodyError, Credit, Head, Header, Incoming, Stream, WsClose, WsKind, WsMessage,
    method,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::problem::Problem;
use crate::timing::RequestTiming;

/// What a worker sends for one of the host's requests.
#[derive(Debug)]
pub enum ReplyEvent {
    /// The answer: a result or an error; and what it took.
    Answer(Message, RequestTiming),
    /// A piece of the answer's body.
    Chunk(Buffer),
    /// The answer's body is complete; and its trailers.
    End(Vec<Header<'static>>),
    /// The answer's body ends incomplete.
    Failed(String),
    /// So many bytes more may be sent to it.
    Credit(u64),
    /// A WebSocket message.
    WsMessage(WsKind, Buffer),
    /// The WebSocket is closed, with a code and a reason.
    WsClose(u16, String),
    /// There is no answer, for this reason: [`Port::fail`](crate::Port::fail).
    Refused(Box<Problem>),
}

/// What a message of a worker's is.
#[derive(Debug)]
pub enum WorkerMessage {
    /// It is for the host's request of this number.
    ReplyEvent(u64, ReplyEvent),
    /// A request of the app's own, with its number.
    CallRequest(u64, CallRequest),
    /// The app's request with this id is no longer pending.
    Cancel(u64),
    /// So many pieces of work that belong to no request are to be done.
    Background(usize),
}

/// A request of an app's own.
#[derive(Debug)]
pub enum CallRequest {
    /// A method of another app.
    Call(Message),
    /// An HTTP request to another app.
    Fetch(Message),
}

/// How much of a name that is not known is said.
const NAME: usize = 64;

/// Why a message of a worker's is none.
#[derive(Debug, thiserror::Error)]
pub enum WorkerMessageError {
    /// It is not JSON, or has not the parameters of its method.
    #[error("the app sent a malformed message: {0}")]
    Malformed(#[from] serde_json::Error),
    /// An answer without the number of its request.
    #[error("the app sent a response without an id")]
    NoNumber,
    /// A method that no host has.
    #[error("the app sent the unknown message {0}")]
    Unknown(String),
}

/// What is to be made of a message, when its text is read.
#[derive(Debug)]
enum MessageKind {
    Complete(WorkerMessage),
    Answer(u64),
    Chunk(u64),
    WsMessage(WsMessage),
    Call(u64),
    Fetch(u64),
}

impl WorkerMessage {
    /// Reads a message's envelope, and the parameters of a notification.
    pub fn parse(mut message: Message) -> Result<Self, WorkerMessageError> {
        let kind = kind(&message.json)?;
        let mut buffer = || message.transfer.take(0).unwrap_or_default();
        Ok(match kind {
            MessageKind::Complete(sent) => sent,
            MessageKind::Chunk(id) => Self::ReplyEvent(id, ReplyEvent::Chunk(buffer())),
            MessageKind::WsMessage(WsMessage { id, kind }) => {
                Self::ReplyEvent(id, ReplyEvent::WsMessage(kind, buffer()))
            }
            MessageKind::Answer(id) => {
                Self::ReplyEvent(id, ReplyEvent::Answer(message, RequestTiming::default()))
            }
            MessageKind::Call(id) => Self::CallRequest(id, CallRequest::Call(message)),
            MessageKind::Fetch(id) => Self::CallRequest(id, CallRequest::Fetch(message)),
        })
    }
}

fn kind(json: &[u8]) -> Result<MessageKind, WorkerMessageError> {
    usual(json).map_or_else(|| other(json), Ok)
}

/// What comes often, in the form in which this workspace's crates write it.
fn usual(json: &[u8]) -> Option<MessageKind> {
    match Head::of(json)? {
        Head::Result { id, .. } => Some(MessageKind::Answer(id)),
        Head::Call { id: None, method, params } => piece(method, params),
        Head::Call { id: Some(_), .. } => None,
    }
}

fn other(json: &[u8]) -> Result<MessageKind, WorkerMessageError> {
    let Incoming { id, method, params, .. } = serde_json::from_slice(json)?;
    let Some(name) = method else { return id.map(MessageKind::Answer).ok_or(WorkerMessageError::NoNumber) };
    let (id, event) = match (&*name, id) {
        (method::BODY_CHUNK, None) => return Ok(MessageKind::Chunk(read::<Stream>(params)?.id)),
        (method::WS_MESSAGE, None) => return Ok(MessageKind::WsMessage(read(params)?)),
        (method::CALL, Some(id)) => return Ok(MessageKind::Call(id)),
        (method::FETCH, Some(id)) => return Ok(MessageKind::Fetch(id)),
        (method::CANCEL, None) => {
            return Ok(MessageKind::Complete(WorkerMessage::Cancel(read::<protocol::Cancel>(params)?.id)));
        }
        (method::BACKGROUND, None) => {
            let protocol::Background { count } = read(params)?;
            return Ok(MessageKind::Complete(WorkerMessage::Background(count)));
        }
        (method::BODY_END, None) => return Ok(end(read(params)?)),
        (method::BODY_ERROR, None) => {
            let BodyError { id, message } = read(params)?;
            (id, ReplyEvent::Failed(message.into_owned()))
        }
        (method::BODY_CREDIT, None) => {
            let Credit { id, bytes } = read(params)?;
            (id, ReplyEvent::Credit(bytes))
        }
        (method::WS_CLOSE, None) => {
            let WsClose { id, code, reason } = read(params)?;
            (id, ReplyEvent::WsClose(code, reason.into_owned()))
        }
        (name, _) => return Err(WorkerMessageError::Unknown(name.chars().take(NAME).collect())),
    };
    Ok(MessageKind::Complete(WorkerMessage::ReplyEvent(id, event)))
}

fn end(BodyEnd { id, trailers }: BodyEnd<'_>) -> MessageKind {
    let trailers = trailers.into_iter().map(Header::into_owned).collect();
    MessageKind::Complete(WorkerMessage::ReplyEvent(id, ReplyEvent::End(trailers)))
}

/// What comes often and is in the usual form; the rest is left to serde_json.
fn piece(method: &[u8], params: &[u8]) -> Option<MessageKind> {
    let params = std::str::from_utf8(params).ok()?;
    if method == method::BODY_CHUNK.as_bytes() {
        Stream::parse(params).ok().map(|stream| MessageKind::Chunk(stream.id))
    } else if method == method::BODY_END.as_bytes() {
        BodyEnd::parse(params).ok().map(end)
    } else if method == method::WS_MESSAGE.as_bytes() {
        WsMessage::parse(params).ok().map(MessageKind::WsMessage)
    } else if method == method::BODY_CREDIT.as_bytes() {
        let Credit { id, bytes } = Credit::parse(params).ok()?;
        Some(MessageKind::Complete(WorkerMessage::ReplyEvent(id, ReplyEvent::Credit(bytes))))
    } else {
        None
    }
}

/// Checks that the ways of reading a message come to the same.
#[cfg(feature = "fuzzing")]
pub fn check_agreement(json: &[u8]) {
    match (usual(json), other(json)) {
        (Some(usual), Ok(other)) => assert_eq!(format!("{usual:?}"), format!("{other:?}")),
        // Whether its result is JSON is seen when the result is read.
        (Some(MessageKind::Answer(_)) | None, _) => {}
        (Some(usual), Err(error)) => panic!("{usual:?} is read, and it is none: {error}"),
    }
}

fn read<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<T, serde_json::Error> {
    serde_json::from_str(params.map_or("null", RawValue::get))
}
