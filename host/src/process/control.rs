//! What a host and an app process tell each other besides the messages of ports, and how: each message is its length and
//! JSON on a Unix socket. The first one of the host's comes with the descriptors that the process needs.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::abi::reports::Panic;
use crate::library::content_hash::ContentHash;
use crate::sandbox::{InForce, Policy};

/// How many bytes a message may have. A log record is cut long before.
pub(crate) const MESSAGE_LIMIT: usize = 4 << 20;

/// How many descriptors the system sends at a time: `SCM_MAX_FD`.
pub(crate) const MAX_DESCRIPTORS: usize = 253;

/// What a host tells an app process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Does ahead what all apps need, and what the sandboxes of those have in common whose policies have this
    /// [shape](Policy::shape). From then on it can be for no others.
    Prepare(Option<Box<Policy>>),
    /// Opens an app's library and starts its workers. It comes with the descriptors of the library, of the file for the record of
    /// a fault, of the host's memory and the process's, of the libraries that it needs, of an eventfd for each worker, and of
    /// the host's lanes.
    Open(Box<Opening>),
    /// Reports log records up to this level: 0 (none) to 5 (trace).
    LogLevel(u8),
    /// Ends, now that all workers have: when the app's own threads have, or after so many milliseconds.
    Exit { limit_ms: u64 },
}

/// What an app process is for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opening {
    pub(crate) app: String,
    pub(crate) generation: u64,
    pub(crate) workers: usize,
    /// The lane of the thread that fetches what is for no request.
    pub(crate) home: u8,
    /// The names of the copies of libraries that it needs, each behind those that it needs itself.
    pub(crate) needed: Vec<String>,
    /// Where was looked for those, for people.
    pub(crate) searched: Vec<String>,
    /// The hash of the library's content.
    pub(crate) content: ContentHash,
    /// Whether the interface of a library with this content was compared with the host's.
    pub(crate) is_verified: bool,
    pub(crate) log_level: u8,
    /// The stack of each worker, in bytes.
    pub(crate) stack_size: usize,
    /// The working directory.
    pub(crate) folder: PathBuf,
    /// What the process may do; `None`: what its user may.
    pub(crate) policy: Option<Policy>,
}

/// What an app process reports.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// What is in force of the policy.
    Sandboxed(InForce),
    /// The process could not be sandboxed; why.
    NoSandbox { reason: String },
    /// The library is loaded, and there is a thread for each worker.
    Ready,
    /// The library was refused; why.
    Refused { reason: String },
    /// There is no thread for a worker; the number of the system's error.
    NoThread { worker: usize, number: i32 },
    /// A worker has returned from the app's code.
    WorkerEnded { worker: usize, how: String },
    /// The app has called a function that ends a process, on the thread of this name.
    Aborted { function: String, thread: String },
    /// A log record.
    Log(LogReport),
    /// A panic.
    Panicked(Panic),
}

/// A log record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogReport {
    pub(crate) level: u8,
    pub(crate) line: u32,
    pub(crate) target: String,
    pub(crate) file: String,
    pub(crate) message: String,
    /// As in [`LogRecord`](atoll_plugin::abi::LogRecord), and absent where it is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) fields: String,
    /// As above.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) spans: String,
}

/// A message as it is sent.
///
/// # Errors
/// It is too large.
pub(crate) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    if length > MESSAGE_LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a message of {length} bytes is longer than {MESSAGE_LIMIT}"),
        ));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_ne_bytes());
    Ok(bytes)
}

/// How many bytes a message has behind these, which begin it.
///
/// # Errors
/// There are too many.
pub(crate) fn length_of(start: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_ne_bytes(start) as usize;
    if length <= MESSAGE_LIMIT { Ok(length) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Sends a message with descriptors, at once: the socket has room for it.
///
/// # Errors
/// The system's, or the message is too large.
pub(crate) fn send_with(
    socket: &UnixStream,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = encode(message)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if descriptors.len() > MAX_DESCRIPTORS || !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other(format!("cannot send more than {MAX_DESCRIPTORS} descriptors")));
    }
    let sent = sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    let mut socket = socket;
    socket.write_all(&bytes[sent..])
}

/// Waits for a message, and for the descriptors that come with it. `None`: the other side is gone.
///
/// # Errors
/// The system's, or it is no message.
pub(crate) fn receive_with<T: DeserializeOwned>(
    mut socket: &UnixStream,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut start = [0; 4];
    let received =
        recvmsg(socket, &mut [IoSliceMut::new(&mut start)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    socket.read_exact(&mut start[received.bytes..])?;
    let mut bytes = vec![0; length_of(start)?];
    socket.read_exact(&mut bytes)?;
    Ok(Some((serde_json::from_slice(&bytes)?, descriptors)))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn messages_come_with_their_descriptors() {
        let (host, process) = UnixStream::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        send_with(&host, &Order::LogLevel(3), &[file.as_fd(), host.as_fd()]).unwrap();
        send_with(&host, &Order::Exit { limit_ms: 5 }, &[]).unwrap();
        let (order, descriptors) = receive_with::<Order>(&process).unwrap().unwrap();
        assert!(matches!(order, Order::LogLevel(3)));
        assert_eq!(descriptors.len(), 2);
        // One of them is the other end of the socket.
        drop(descriptors);
        let (order, descriptors) = receive_with::<Order>(&process).unwrap().unwrap();
        assert!(matches!(order, Order::Exit { limit_ms: 5 }) && descriptors.is_empty());
        drop(host);
        assert!(receive_with::<Order>(&process).unwrap().is_none());
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let (mut host, process) = UnixStream::pair().unwrap();
        host.write_all(&u32::MAX.to_ne_bytes()).unwrap();
        assert_eq!(receive_with::<Order>(&process).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let (mut host, process) = UnixStream::pair().unwrap();
        host.write_all(&3_u32.to_ne_bytes()).unwrap();
        host.write_all(b"{}x").unwrap();
        assert!(receive_with::<Order>(&process).is_err());
        let long = "x".repeat(MESSAGE_LIMIT);
        assert_eq!(encode(&long).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
