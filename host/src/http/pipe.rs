//! What a task writes for the response of a connection on the same thread.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::web::{Bytes, BytesMut};
use futures_util::Stream;
use tokio::io::AsyncWrite;

/// So many bytes may wait for the connection.
const LIMIT: usize = 64 * 1024;

/// The end that is written to. Dropped, it ends the other one.
pub(super) struct Writer(Rc<RefCell<Pipe>>);

/// The end that is sent: all that has been written since it was asked last, in one piece.
pub(super) struct Reader(Rc<RefCell<Pipe>>);

#[derive(Default)]
struct Pipe {
    bytes: BytesMut,
    /// One of the ends is gone.
    closed: bool,
    /// The waker of the task that waits for the other end, at most one.
    waiting: Option<Waker>,
}

/// A pipe within a thread.
pub(super) fn pipe() -> (Writer, Reader) {
    let pipe = Rc::<RefCell<Pipe>>::default();
    (Writer(pipe.clone()), Reader(pipe))
}

impl Pipe {
    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<T> {
        self.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    fn close(&mut self) {
        self.closed = true;
        self.wake();
    }
}

impl AsyncWrite for Writer {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipe = self.0.borrow_mut();
        if pipe.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let taken = bytes.len().min(LIMIT - pipe.bytes.len());
        if taken == 0 && !bytes.is_empty() {
            return pipe.wait(context);
        }
        pipe.bytes.extend_from_slice(&bytes[..taken]);
        pipe.wake();
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.borrow_mut().close();
    }
}

impl Stream for Reader {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut pipe = self.0.borrow_mut();
        if !pipe.bytes.is_empty() {
            let bytes = std::mem::take(&mut pipe.bytes).freeze();
            pipe.wake();
            return Poll::Ready(Some(bytes));
        }
        if pipe.closed { Poll::Ready(None) } else { pipe.wait(context) }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.borrow_mut().close();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[test]
    fn what_is_written_before_a_read_is_one_piece() {
        let (mut writer, mut reader) = pipe();
        assert!(reader.next().now_or_never().is_none());
        for text in ["one ", "two "] {
            writer.write_all(text.as_bytes()).now_or_never().unwrap().unwrap();
        }
        assert_eq!(reader.next().now_or_never(), Some(Some("one two ".into())));
        assert!(reader.next().now_or_never().is_none());
        writer.write_all(b"three").now_or_never().unwrap().unwrap();
        drop(writer);
        assert_eq!(reader.next().now_or_never(), Some(Some("three".into())));
        assert_eq!(reader.next().now_or_never(), Some(None));
    }

    #[test]
    fn both_ends_wait_for_each_other() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let all: Vec<u8> = (0..5 * LIMIT).map(|n| n as u8).collect();
        let (mut writer, reader) = pipe();
        let (write, read) = runtime.block_on(async {
            let write = async {
                let written = writer.write_all(&all).await;
                drop(writer);
                written
            };
            tokio::join!(write, reader.collect::<Vec<_>>())
        });
        write.unwrap();
        assert!(read.iter().all(|piece| piece.len() <= LIMIT));
        assert_eq!(read.concat(), all);
    }

    #[test]
    fn nothing_can_be_written_when_nobody_reads() {
        let (mut writer, reader) = pipe();
        writer.write_all(&vec![0; LIMIT]).now_or_never().unwrap().unwrap();
        assert!(writer.write_all(b"more").now_or_never().is_none());
        drop(reader);
        let error = writer.write_all(b"more").now_or_never().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
