//! Bodies that come and go piece by piece, and WebSockets: what is open, by the number of its request.

mod channel;
mod chunk;
mod reader;

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use channel::{Channel, Item};
pub use chunk::Chunk;
pub use reader::BodyStream;

use crate::abi::Buffer;
use crate::call::Call;
use crate::error::Error;
use crate::port::Port;
use crate::protocol::{self, method};

/// The open streams of a worker.
#[derive(Default)]
pub(crate) struct Streams(HashMap<u64, Arc<Channel>>);

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
        let taken = match call.method() {
            method::BODY_CHUNK => self.with_buffer(call, |protocol::Stream { id }| (id, Item::Chunk)),
            method::BODY_END => {
                self.with(&call, |stream: &protocol::Stream| stream.id, |channel, _| channel.end(Ok(())))
            }
            method::BODY_ERROR => self.with(
                &call,
                |error: &protocol::BodyError<'_>| error.id,
                |channel, error| channel.end(Err(Error::new(400, &*error.message))),
            ),
            method::BODY_CREDIT => self.with(
                &call,
                |credit: &protocol::Credit| credit.id,
                |channel, credit| channel.grant(credit.bytes),
            ),
            method::WS_MESSAGE => self
                .with_buffer(call, |protocol::WsMessage { id, kind }| (id, move |b| Item::Message(kind, b))),
            method::WS_CLOSE => self.with(
                &call,
                |close: &protocol::WsClose<'_>| close.id,
                |channel, close| {
                    channel.deliver(Item::Close(close.code, close.reason.into_owned()));
                    channel.end(Ok(()));
                },
            ),
            _ => return false,
        };
        if let Err(error) = taken {
            log::error!("a message of the host's cannot be read: {error}");
        }
        true
    }

    fn with<'a, T: serde::Deserialize<'a>>(
        &self,
        call: &'a Call,
        id: impl FnOnce(&T) -> u64,
        act: impl FnOnce(&Channel, T),
    ) -> Result<(), serde_json::Error> {
        let params = call.params::<T>()?;
        if let Some(channel) = self.0.get(&id(&params)) {
            act(channel, params);
        }
        Ok(())
    }

    fn with_buffer<T: serde::de::DeserializeOwned, F: FnOnce(Buffer) -> Item>(
        &self,
        call: Call,
        item: impl FnOnce(T) -> (u64, F),
    ) -> Result<(), serde_json::Error> {
        let (id, item) = item(call.params::<T>()?);
        let (_, _, mut transfer) = call.into_parts();
        if let Some(channel) = self.0.get(&id) {
            channel.deliver(item(transfer.take(0).unwrap_or_default()));
        }
        Ok(())
    }
}
