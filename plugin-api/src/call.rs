//! A message of the host's, read as far as is needed to know what it asks for.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::abi::{Buffer, Buffers, Message};

/// A request or a notification of the host's.
#[derive(Debug)]
pub struct Call {
    json: Buffer,
    transfer: Buffers,
    id: Option<u64>,
    method: Cow<'static, str>,
    params: Range<usize>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

impl Call {
    /// Reads a message's envelope.
    ///
    /// # Errors
    /// When the text is not JSON, or not a request or notification.
    pub fn parse(message: Message) -> Result<Self, serde_json::Error> {
        let Message { json, transfer } = message;
        let (id, method, params) = {
            let envelope: Envelope<'_> = serde_json::from_slice(&json)?;
            let params = envelope.params.map_or(0..0, |params| {
                let start = params.get().as_ptr() as usize - json.as_ptr() as usize;
                start..start + params.get().len()
            });
            (envelope.id, known_method(&envelope.method), params)
        };
        Ok(Self { json, transfer, id, method, params })
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
        let text = &self.json[self.params.clone()];
        serde_json::from_slice(if text.is_empty() { b"null" } else { text })
    }

    /// The message's text, where in it the parameters are, and its buffers.
    pub fn into_parts(self) -> (Buffer, Range<usize>, Buffers) {
        (self.json, self.params, self.transfer)
    }
}

/// The protocol's own names need no allocation.
fn known_method(name: &str) -> Cow<'static, str> {
    use crate::protocol::method::{CANCEL, HTTP, START, STATE_SAVE, STOP};
    match [HTTP, CANCEL, STOP, START, STATE_SAVE].into_iter().find(|known| *known == name) {
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
        Message { json, transfer: Buffers::default() }
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

        assert!(Call::parse(message(r#"{"jsonrpc":"2.0","id":3}"#)).is_err());
        assert!(Call::parse(message("")).is_err());
    }
}
