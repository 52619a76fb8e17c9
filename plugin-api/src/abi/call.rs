//! A message of the host's, read as far as is needed to know what it asks for.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

use crate::abi::{Buffer, Buffers, Message};
use crate::protocol::Head;

/// A request or a notification of the host's.
#[derive(Debug)]
pub struct Call {
    json: Buffer,
    index: Buffer,
    transfer: Buffers,
    id: Option<u64>,
    method: Cow<'static, str>,
    params: Range<usize>,
}

/// What a message of the host's is.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A request or a notification.
    Call(Call),
    /// The answer to the app's request of this number.
    Answer(u64, Message),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

impl Call {
    /// Reads a message's envelope.
    ///
    /// # Errors
    /// When the text is not JSON, or not a request or notification.
    pub fn parse(message: Message) -> Result<Self, serde_json::Error> {
        match Arrival::parse(message)? {
            Arrival::Call(call) => Ok(call),
            Arrival::Answer(..) => Err(serde_json::Error::custom("missing field `method`")),
        }
    }

    /// The request's number; `None` for a notification.
    pub fn id(&self) -> Option<u64> {
        self.id
    }

    /// What is asked for.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The parameters; absent ones read as `null`.
    ///
    /// # Errors
    /// When they are not what `T` takes.
    pub fn params<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.raw_params())
    }

    /// The parameters' text; absent ones are `null`.
    pub fn raw_params(&self) -> &str {
        // They were read as JSON, which is UTF-8.
        let text = std::str::from_utf8(&self.json[self.params.clone()]).unwrap_or_default();
        if text.is_empty() { "null" } else { text }
    }

    /// What its message is made of.
    pub(crate) fn into_parts(self) -> CallParts {
        CallParts { json: self.json, index: self.index, params: self.params, transfer: self.transfer }
    }
}

/// The parts of a request or a notification.
pub(crate) struct CallParts {
    pub(crate) json: Buffer,
    /// That of the text: see [`IndexedText::index`](crate::protocol::IndexedText::index).
    pub(crate) index: Buffer,
    /// Where in the text the parameters are.
    pub(crate) params: Range<usize>,
    pub(crate) transfer: Buffers,
}

impl Arrival {
    /// Reads a message's envelope.
    pub(crate) fn parse(message: Message) -> Result<Self, serde_json::Error> {
        let Message { json, index, transfer } = message;
        let (id, method, params) = {
            let place = |params: &[u8]| {
                let start = params.as_ptr() as usize - json.as_ptr() as usize;
                start..start + params.len()
            };
            match Head::of(&json) {
                Some(Head::Call { id, method, params }) => {
                    let method = std::str::from_utf8(method).map_err(serde_json::Error::custom)?;
                    (id, Some(known_method(method)), place(params))
                }
                Some(Head::Result { id, .. }) => (Some(id), None, 0..0),
                None => {
                    let Envelope { id, method, params } = serde_json::from_slice(&json)?;
                    let params = params.map_or(0..0, |params| place(params.get().as_bytes()));
                    (id, method.as_deref().map(known_method), params)
                }
            }
        };
        match (method, id) {
            (Some(method), id) => Ok(Self::Call(Call { json, index, transfer, id, method, params })),
            (None, Some(id)) => Ok(Self::Answer(id, Message { json, index, transfer })),
            (None, None) => Err(serde_json::Error::custom("missing field `method`")),
        }
    }
}

/// The protocol's own names need no allocation.
fn known_method(name: &str) -> Cow<'static, str> {
    use crate::protocol::method::{
        BODY_CHUNK, BODY_CREDIT, BODY_END, BODY_ERROR, CANCEL, HTTP, LOG_LEVEL, START, STATE_SAVE, STOP,
        WS_CLOSE, WS_MESSAGE,
    };
    const KNOWN: [&str; 12] = [
        HTTP,
        CANCEL,
        BODY_CHUNK,
        BODY_CREDIT,
        BODY_END,
        BODY_ERROR,
        WS_MESSAGE,
        WS_CLOSE,
        STOP,
        START,
        STATE_SAVE,
        LOG_LEVEL,
    ];
    match KNOWN.into_iter().find(|known| *known == name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &'static str) -> Message {
        // SAFETY: the text is static and is not written to, and there is nothing to release.
        let json = unsafe {
            extern "C" fn nothing(_: *const u8, _: *mut u8, _: usize, _: usize) {}
            Buffer::from_raw_parts(text.as_ptr().cast_mut(), text.len(), 0, std::ptr::null(), nothing)
        };
        Message { json, ..Message::default() }
    }

    #[test]
    fn an_envelope_is_read_with_its_members_in_any_order() {
        let call =
            Call::parse(message(r#"{"params": {"id": 9},"method":"can\u0063el","jsonrpc":"2.0"}"#)).unwrap();
        assert_eq!((call.id(), call.method()), (None, "cancel"));
        assert_eq!(call.params::<crate::protocol::Cancel>().unwrap().id, 9);

        let call = Call::parse(message(r#"{"jsonrpc":"2.0","id":3,"method":"add"}"#)).unwrap();
        assert_eq!((call.id(), call.method()), (Some(3), "add"));
        assert_eq!(call.params::<Option<u8>>().unwrap(), None);

        assert!(Call::parse(message(r#"{"jsonrpc":"2.0"}"#)).is_err());
        let answer = Arrival::parse(message(r#"{"jsonrpc":"2.0","id":4,"result":1}"#));
        assert!(matches!(answer, Ok(Arrival::Answer(4, _))));
        assert!(Call::parse(message("")).is_err());
    }
}
