//! What is to be written to a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

/// As much is encoded before it is written.
const FULL: usize = 32 * 1024;

/// A larger piece is written from where it is.
const COPIED: usize = 16 * 1024;

/// A buffer that has become larger is not kept.
const KEPT: usize = 64 * 1024;

/// Bytes in the order in which they are written.
#[derive(Default)]
pub(super) struct Output {
    /// Comes first.
    pub(super) encoded: BytesMut,
    piece: Bytes,
}

impl Output {
    /// How many bytes there are.
    pub(super) fn len(&self) -> usize {
        self.encoded.len() + self.piece.len()
    }

    /// Whether it is to be written before more is added.
    pub(super) fn is_full(&self) -> bool {
        !self.piece.is_empty() || self.encoded.len() >= FULL
    }

    /// Adds a piece. Only if it is not full.
    pub(super) fn push(&mut self, piece: Bytes) {
        if piece.len() <= COPIED {
            self.encoded.extend_from_slice(&piece);
        } else {
            self.piece = piece;
        }
    }

    /// Writes all.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.len() > 0 {
            let stream = Pin::new(&mut *stream);
            let written = if self.piece.is_empty() {
                ready!(stream.poll_write(context, &self.encoded))?
            } else if self.encoded.is_empty() {
                ready!(stream.poll_write(context, &self.piece))?
            } else {
                let slices = [IoSlice::new(&self.encoded), IoSlice::new(&self.piece)];
                ready!(stream.poll_write_vectored(context, &slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_encoded = written.min(self.encoded.len());
            if of_encoded == self.encoded.len() {
                self.encoded.clear();
            } else {
                self.encoded.advance(of_encoded);
            }
            self.piece.advance(written - of_encoded);
        }
        if self.encoded.capacity() > KEPT {
            self.encoded = BytesMut::new();
        }
        Pin::new(stream).poll_flush(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn all_is_written_in_order() {
        let mut output = Output::default();
        output.encoded.extend_from_slice(b"head ");
        output.push("small ".into());
        assert!(!output.is_full());
        let large = vec![b'x'; COPIED + 1];
        output.push(large.clone().into());
        assert!(output.is_full());
        let mut written = Vec::new();
        let all = std::future::poll_fn(|context| output.poll_write(&mut written, context));
        all.now_or_never().unwrap().unwrap();
        assert_eq!(written, [&b"head small "[..], &large].concat());
        assert_eq!(output.len(), 0);
    }
}
