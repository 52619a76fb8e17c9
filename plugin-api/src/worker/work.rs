//! What a worker of any kind does with a message of the host's, and how it answers.

use std::cell::RefCell;

use serde::Serialize;

use crate::abi::Message;
use crate::abi::call::{Arrival, Call};
use crate::abi::logging;
use crate::abi::port::{Closed, Port};
use crate::http::stream::Streams;
use crate::protocol::{Cancel, Response, method};
use crate::worker::host::Requests;
use crate::worker::rpc::RpcError;

/// After so many messages without a pause, the tasks get their turn.
pub(crate) const MESSAGES_PER_TURN: usize = 64;

/// What a message leaves to do. The numbers are those of requests.
pub(crate) enum Work {
    /// Answer an HTTP request.
    Http(u64, Call),
    /// Answer a call of a method.
    Method(u64, Call),
    /// Save the app's state.
    Save(u64),
    /// Stop working on a request, whose streams are closed.
    Cancel(u64),
    /// Finish what is running, and exit.
    Stop,
}

impl Work {
    /// Reads a message. What is the same for all workers is done with: answers, what comes on streams, the log level.
    pub(crate) fn of(message: Message, requests: &Requests, streams: &RefCell<Streams>) -> Option<Self> {
        let call = match Arrival::parse(message) {
            Ok(Arrival::Call(call)) => call,
            Ok(Arrival::Answer(id, message)) => {
                requests.answered(id, message);
                return None;
            }
            Err(error) => {
                log::error!("malformed message from the host: {error}");
                return None;
            }
        };
        match (call.method(), call.id()) {
            (method::HTTP, Some(id)) => return Some(Self::Http(id, call)),
            (method::STATE_SAVE, Some(id)) => return Some(Self::Save(id)),
            (_, Some(id)) => return Some(Self::Method(id, call)),
            (method::CANCEL, None) => {
                let Cancel { id } = call.params().ok()?;
                streams.borrow_mut().close(id, "this request is no longer pending");
                return Some(Self::Cancel(id));
            }
            (method::STOP, None) => return Some(Self::Stop),
            (method::LOG_LEVEL, None) => logging::follow(&call),
            (_, None) => _ = streams.borrow().notification(call),
        }
        None
    }
}

/// Sends the result of a request.
pub(crate) fn result(port: &Port, id: u64, result: impl Serialize) -> Result<(), Closed> {
    port.send(&Response::result(id, result), Vec::new())
}

/// Sends an error instead of a result.
pub(crate) fn refuse(port: &Port, id: u64, error: impl Into<RpcError>) -> Result<(), Closed> {
    port.send(&Response::error(id, error.into().into_object()), Vec::new())
}

/// Sends an error with this code.
pub(crate) fn fail(port: &Port, id: u64, code: i64, message: impl Into<String>) -> Result<(), Closed> {
    refuse(port, id, RpcError::new(code, message))
}
