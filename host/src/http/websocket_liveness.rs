//! Whether the client of a silent WebSocket is still there.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// When nothing was sent in either direction for this time, the host sends a ping.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long nothing may come from a client after a ping. Then the WebSocket is closed.
pub(crate) const PONG_TIMEOUT: Duration = Duration::from_secs(20);

/// What the host's pings carry: the answers to them are not the app's.
pub(super) const PING: &[u8] = b"atoll is here";

/// When something was sent last, in each direction.
#[derive(Debug)]
struct Traffic {
    read: Cell<Instant>,
    written: Cell<Instant>,
}

/// A stream whose traffic is noted.
pub(super) struct Noted<S> {
    stream: S,
    traffic: Rc<Traffic>,
}

/// What follows from silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The client is to be sent a ping.
    Ping,
    /// It has not answered.
    Unanswered,
}

/// Follows the traffic of a WebSocket.
pub(super) struct Liveness {
    traffic: Rc<Traffic>,
    /// When a ping was sent that nothing has answered.
    pinged: Option<Instant>,
    /// Reset only when it has run out, so that a message costs nothing.
    timer: Pin<Box<Sleep>>,
}

/// The same stream, and what follows its traffic.
pub(super) fn watch<S>(stream: S) -> (Noted<S>, Liveness) {
    let now = Instant::now();
    let traffic = Rc::new(Traffic { read: Cell::new(now), written: Cell::new(now) });
    let timer = Box::pin(sleep_until(now + PING_INTERVAL));
    (Noted { stream, traffic: traffic.clone() }, Liveness { traffic, pinged: None, timer })
}

impl Liveness {
    /// Waits for silence.
    ///
    /// Cancel safe: dropping the future loses nothing.
    pub(super) async fn silence(&mut self) -> Silence {
        loop {
            self.timer.as_mut().await;
            let (now, due) = (Instant::now(), self.due());
            if due > now {
                self.timer.as_mut().reset(due);
                continue;
            }
            if self.pinged.take().is_some() {
                return Silence::Unanswered;
            }
            self.pinged = Some(now);
            self.timer.as_mut().reset(now + PONG_TIMEOUT);
            return Silence::Ping;
        }
    }

    /// When the silence has lasted too long, if it lasts.
    fn due(&mut self) -> Instant {
        let read = self.traffic.read.get();
        // All that comes from the client shows that it is there, also a part of a large message.
        self.pinged = self.pinged.filter(|pinged| read <= *pinged);
        match self.pinged {
            Some(pinged) => pinged + PONG_TIMEOUT,
            None => read.max(self.traffic.written.get()) + PING_INTERVAL,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.traffic.read.set(Instant::now());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.traffic.written.set(Instant::now());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
