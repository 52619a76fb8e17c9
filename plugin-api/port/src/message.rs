//! Messages of the host's.

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
pub fn message(json: Vec<u8>, transfer: Vec<Buffer>) -> Message {
    Message { json: buffer::from_vec(json), transfer: buffer::list(transfer) }
}
