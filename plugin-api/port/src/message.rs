//! Messages of the host's.

use atoll_protocol::IndexedText;
use atoll_protocol::abi::{Buffer, Message};
use serde::Serialize;

use crate::buffer;

/// A message's text.
///
/// # Panics
/// When `message` cannot be written as JSON; the types of the protocol always can.
pub fn to_json(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("a message of the protocol can be written as JSON")
}

/// A message with this text, and these buffers.
pub fn message(text: impl Into<IndexedText>, transfer: Vec<Buffer>) -> Message {
    let IndexedText { json, index } = text.into();
    Message { json: buffer::from_vec(json), index: buffer::from_vec(index), transfer: buffer::list(transfer) }
}
