//! An app's answer to a request.

use std::fmt;
use std::sync::Arc;

use atoll_protocol::abi::Message;
use atoll_protocol::{Body, HttpResponse};
use bytes::Bytes;

use super::download::Download;
use super::pending::Exchange;
use crate::answer::{self, AnswerError};
use crate::generation::Generation;
use crate::timing::RequestTiming;

/// Who has answered, and how long it took.
pub struct Answered<'a, G> {
    /// The generation.
    pub generation: &'a G,
    /// What its worker took.
    pub times: RequestTiming,
}

impl<G> Clone for Answered<'_, G> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<G> Copy for Answered<'_, G> {}

impl<G> fmt::Debug for Answered<'_, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answered").field("times", &self.times).finish_non_exhaustive()
    }
}

/// The body of an app's answer.
pub enum ResponseBody<G: Generation> {
    /// All of it.
    Whole(Bytes),
    /// It follows.
    Stream(Download<G>),
    /// The app has accepted a WebSocket handshake: see [`websocket::serve`](super::websocket::serve).
    WebSocket(Exchange<G>),
}

/// Reads the message that answers a request.
pub(super) fn read<G: Generation, R>(
    message: Message,
    mut exchange: Exchange<G>,
    head_limit: usize,
    read: impl FnOnce(&G, HttpResponse<'_>, ResponseBody<G>) -> R,
) -> Result<R, AnswerError> {
    let Message { json, mut transfer, .. } = message;
    let response = answer::http(&json).inspect_err(|_| exchange.answer().finish())?;
    answer::check_head(&response, json.len(), head_limit)?;
    let generation: Arc<G>;
    let whole = match response.body {
        Some(Body::Stream(_)) => {
            generation = exchange.in_flight().generation();
            let download = Download::new(exchange, &response, head_limit);
            return Ok(read(&generation, response, ResponseBody::Stream(download)));
        }
        Some(Body::Websocket(_)) => {
            generation = exchange.in_flight().generation();
            return Ok(read(&generation, response, ResponseBody::WebSocket(exchange)));
        }
        None => Bytes::new(),
        Some(Body::Transfer(index)) => {
            Bytes::from_owner(transfer.take(index).ok_or(AnswerError::NoBuffer(index))?)
        }
    };
    exchange.answer().finish();
    Ok(read(exchange.in_flight(), response, ResponseBody::Whole(whole)))
}
