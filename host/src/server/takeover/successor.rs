//! The new host, as the running one sees it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_blocking;

use super::messages::{Answer, Handed, Hello, PROTOCOL, Released, Serving};
use super::predecessor::ANSWER_TIMEOUT;
use crate::process::control::{MAX_DESCRIPTORS, length_of, receive_with, send_with};

/// A process that has received the descriptors of this host, and does not serve yet.
#[derive(Debug)]
pub(super) struct Candidate {
    stream: UnixStream,
    process: i32,
}

/// A process that serves in place of this host.
#[derive(Debug)]
pub(in crate::server) struct Successor {
    stream: UnixStream,
    process: i32,
    kept: Vec<usize>,
}

impl Candidate {
    /// Sends a process that has connected what it needs to take over.
    pub(super) async fn accept(
        stream: UnixStream,
        serving: Vec<String>,
        handed: &[(Handed, OwnedFd)],
    ) -> io::Result<Self> {
        let process = peer(&stream)?;
        if handed.len() > MAX_DESCRIPTORS {
            let reason = format!("it has more than {MAX_DESCRIPTORS} sockets to hand over; stop it first");
            refuse(stream, reason.clone()).await?;
            return Err(io::Error::other(reason));
        }
        let descriptors = handed.iter().map(|(_, descriptor)| descriptor.try_clone());
        let descriptors = descriptors.collect::<io::Result<Vec<_>>>()?;
        let handed = handed.iter().map(|(handed, _)| handed.clone()).collect();
        let answer = Answer::Accepted { serving, handed };
        let stream = exchange(stream, answer, descriptors).await?;
        Ok(Self { stream, process })
    }

    /// Its process's number.
    pub(super) fn process(&self) -> i32 {
        self.process
    }

    /// Waits until it serves; the numbers of the descriptors that it uses.
    ///
    /// Cancel safe until its message comes, which it sends at once.
    pub(super) async fn serves(&mut self) -> io::Result<Vec<usize>> {
        self.stream.readable().await?;
        let mut start = [0; 4];
        if self.stream.read(&mut start[..1]).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has ended before it served"));
        }
        self.stream.read_exact(&mut start[1..]).await?;
        let mut bytes = vec![0; length_of(start)?];
        self.stream.read_exact(&mut bytes).await?;
        Ok(serde_json::from_slice::<Serving>(&bytes)?.kept)
    }

    pub(super) fn into_successor(self, kept: Vec<usize>) -> Successor {
        Successor { stream: self.stream, process: self.process, kept }
    }
}

impl Successor {
    /// Its process's number.
    pub(in crate::server) fn process(&self) -> i32 {
        self.process
    }

    /// Whether it uses the descriptor with this number.
    pub(in crate::server) fn keeps(&self, number: usize) -> bool {
        self.kept.contains(&number)
    }

    /// Reports that this host has given up what only one can have.
    pub(super) fn released(self) -> io::Result<()> {
        let stream = self.stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        send_with(&stream, &Released, &[])
    }
}

/// Refuses a process that has connected.
pub(super) async fn refuse(stream: UnixStream, reason: String) -> io::Result<()> {
    peer(&stream)?;
    exchange(stream, Answer::Refused { reason }, Vec::new()).await.map(drop)
}

/// The number of the process at the other end.
///
/// # Errors
/// It is another user's.
fn peer(stream: &UnixStream) -> io::Result<i32> {
    let peer = stream.peer_cred()?;
    if peer.uid() != rustix::process::geteuid().as_raw() {
        let reason = format!("the process belongs to user {}", peer.uid());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    Ok(peer.pid().unwrap_or(0))
}

/// Reads the first message of a process and answers it.
async fn exchange(stream: UnixStream, answer: Answer, descriptors: Vec<OwnedFd>) -> io::Result<UnixStream> {
    let stream = stream.into_std()?;
    let work = move || {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        let hello = receive_with::<Hello>(&stream)?.map(|(hello, _)| hello);
        let hello = hello.ok_or(io::ErrorKind::UnexpectedEof)?;
        if hello.protocol != PROTOCOL {
            let reason = format!(
                "version {} expects version {} of the messages of a takeover, and this host, version {}, has {PROTOCOL}; \
                 stop it and start the new one",
                hello.version,
                hello.protocol,
                env!("CARGO_PKG_VERSION")
            );
            send_with(&stream, &Answer::Refused { reason: reason.clone() }, &[])?;
            return Err(io::Error::other(reason));
        }
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        send_with(&stream, &answer, &descriptors)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    };
    UnixStream::from_std(spawn_blocking(work).await.map_err(io::Error::other)??)
}

/// A listener of the standard library's, for the runtime.
pub(super) fn listener(listener: &std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
    let listener = listener.try_clone()?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

#[cfg(test)]
mod tests {
    use super::super::messages::Role;
    use super::*;

    #[tokio::test]
    async fn another_version_of_the_messages_is_refused_with_the_reason() {
        let (own, other) = std::os::unix::net::UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        let hello = Hello { protocol: PROTOCOL + 1, version: "9.9".to_owned() };
        send_with(&other, &hello, &[]).unwrap();
        let own = UnixStream::from_std(own).unwrap();
        let refused = Candidate::accept(own, Vec::new(), &[]).await.unwrap_err().to_string();
        let Some((Answer::Refused { reason }, _)) = receive_with::<Answer>(&other).unwrap() else {
            panic!("it is refused");
        };
        assert_eq!(reason, refused);
        assert!(reason.starts_with("version 9.9 expects version 2 of the messages"), "{reason}");
    }

    #[tokio::test]
    async fn more_descriptors_than_the_system_sends_are_refused() {
        let (own, other) = std::os::unix::net::UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        send_with(&other, &Hello { protocol: PROTOCOL, version: String::new() }, &[]).unwrap();
        let handed: Vec<_> = (0..=MAX_DESCRIPTORS)
            .map(|_| (Handed::own(Role::Lock, None), other.as_fd().try_clone_to_owned().unwrap()))
            .collect();
        let own = UnixStream::from_std(own).unwrap();
        let refused = Candidate::accept(own, Vec::new(), &handed).await.unwrap_err().to_string();
        assert!(refused.starts_with("it has more than 253 sockets"), "{refused}");
        let answer = receive_with::<Answer>(&other).unwrap();
        assert!(matches!(answer, Some((Answer::Refused { .. }, _))));
    }
}
