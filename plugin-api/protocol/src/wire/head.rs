//! The envelope of a message.

use memchr::memchr2;

use super::reader::leading_number;

/// A message in the form in which this crate writes it, whose parameters or result are not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head<'a> {
    /// A request or, without a number, a notification.
    Call {
        /// The request's number.
        id: Option<u64>,
        /// What is asked for.
        method: &'a [u8],
        /// The parameters.
        params: &'a [u8],
    },
    /// The answer to a request.
    Result {
        /// The request's number.
        id: u64,
        /// The result.
        result: &'a [u8],
    },
}

impl<'a> Head<'a> {
    /// Splits a message at its parameters or its result, which may be no JSON if the message is none. `None`: the
    /// message is in another form.
    ///
    /// ```
    /// use atoll_plugin::protocol::Head;
    ///
    /// let head = Head::of(br#"{"jsonrpc":"2.0","id":7,"method":"add","params":[1,2]}"#);
    /// assert_eq!(head, Some(Head::Call { id: Some(7), method: b"add", params: b"[1,2]" }));
    /// assert_eq!(Head::of(br#"{"id":7,"jsonrpc":"2.0","result":3}"#), None);
    /// ```
    pub fn of(message: &'a [u8]) -> Option<Self> {
        let mut rest = message.strip_prefix(br#"{"jsonrpc":"2.0","#)?.strip_suffix(b"}")?;
        let mut id = None;
        if let Some(numbered) = rest.strip_prefix(br#""id":"#) {
            let (number, length) = leading_number(numbered)?;
            rest = numbered[length..].strip_prefix(b",")?;
            id = Some(number);
        }
        if let (Some(id), Some(result)) = (id, rest.strip_prefix(br#""result":"#)) {
            return Some(Self::Result { id, result });
        }
        let named = rest.strip_prefix(br#""method":""#)?;
        let (method, rest) = named.split_at(memchr2(b'"', b'\\', named)?);
        let params = rest.strip_prefix(br#"","params":"#)?;
        Some(Self::Call { id, method, params })
    }
}
