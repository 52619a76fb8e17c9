//! Bodies that come and go piece by piece, and WebSockets: what is open, by the number of its request.

mod channel;
mod chunk;
mod credit;
mod inbox;
mod joiner;
mod reader;
mod send;
mod sync;
mod waiters;

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use channel::{Channel, Item, Receiver};
pub use chunk::Chunk;
pub use reader::BodyStream;
pub(crate) use send::{Unsent, send_pieces};

use crate::abi::Buffer;
use crate::abi::call::Call;
use crate::abi::port::Port;
use crate::protocol::{self, Header, method};
use atoll_protocol::Error;

/// The open streams of a worker.
#[derive(Default)]
pub(crate) struct Streams(HashMap<u64, Arc<Channel>>);

/// Own threads of the app's may wait for what is open.
impl Drop for Streams {
    fn drop(&mut self) {
        self.0.drain().for_each(|(_, channel)| channel.close("the worker has exited"));
    }
}

impl Streams {
    /// Opens the streams of a request, or finds them open.
    pub(crate) fn open(&mut self, id: u64, port: &Port) -> Arc<Channel> {
        self.0.entry(id).or_insert_with(|| Arc::new(Channel::new(id, port.clone()))).clone()
    }

    /// Ends what is open for a request that is over.
    pub(crate) fn close(&mut self, id: u64, why: &str) {
        // Most have none open, for which nothing need be hashed.
        if self.0.is_empty() {
            return;
        }
        if let Some(channel) = self.0.remove(&id) {
            channel.close(why);
        }
    }

    /// Takes in a notification of the host's; `false` when it is not about a stream. What belongs to a request that is
    /// over is ignored.
    pub(crate) fn notification(&self, call: Call) -> bool {
        let params = call.raw_params();
        let taken = match call.method() {
            method::BODY_CHUNK => protocol::Stream::parse(params).map(|stream| {
                self.with(stream.id, |channel| channel.deliver(Item::Chunk(only_buffer(call))));
            }),
            method::BODY_END => protocol::BodyEnd::parse(params).map(|end| {
                self.with(end.id, |channel| {
                    if !end.trailers.is_empty() {
                        let trailers = end.trailers.into_iter().map(Header::into_owned);
                        channel.deliver(Item::Trailers(trailers.collect()));
                    }
                    channel.end(Ok(()));
                });
            }),
            method::BODY_ERROR => call.params::<protocol::BodyError<'_>>().map(|error| {
                self.with(error.id, |channel| channel.end(Err(Error::new(400, &*error.message))));
            }),
            method::BODY_CREDIT => protocol::Credit::parse(params)
                .map(|credit| self.with(credit.id, |channel| channel.grant(credit.bytes))),
            method::WS_MESSAGE => protocol::WsMessage::parse(params).map(|message| {
                let kind = message.kind;
                self.with(message.id, |channel| channel.deliver(Item::Message(kind, only_buffer(call))));
            }),
            method::WS_CLOSE => call.params::<protocol::WsClose<'_>>().map(|close| {
                self.with(close.id, |channel| {
                    channel.deliver(Item::Close(close.code, close.reason.into_owned()));
                    channel.end(Ok(()));
                });
            }),
            _ => return false,
        };
        if let Err(error) = taken {
            log::error!("malformed message from the host: {error}");
        }
        true
    }

    fn with(&self, id: u64, act: impl FnOnce(&Channel)) {
        if let Some(channel) = self.0.get(&id) {
            act(channel);
        }
    }
}

/// The buffer of a message that has one.
fn only_buffer(call: Call) -> Buffer {
    call.into_parts().transfer.take(0).unwrap_or_default()
}
