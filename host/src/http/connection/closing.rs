//! The end of a connection on which the client may still be sending.
//!
//! A socket that is closed with bytes that nobody has read resets the connection, and the client may lose the answer that
//! was sent before. So the host ends its own side, and reads and discards what still comes, within limits.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::limits::{DISCARD_PAUSE, DISCARD_TIMEOUT, MAX_DISCARDED};

/// How long a client that has sent all of its request may take to close its end.
const PAUSE_AFTER_ALL: Duration = Duration::from_secs(1);

/// How many bytes are read at once.
const PIECE: usize = 16 * 1024;

/// Ends a connection after its last answer has been written; `unread` says that the client is in the midst of a request.
pub(super) async fn close(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    buffer: &mut BytesMut,
    unread: bool,
) {
    let pause = if unread { DISCARD_PAUSE } else { PAUSE_AFTER_ALL };
    if !matches!(timeout(pause, stream.shutdown()).await, Ok(Ok(()))) {
        return;
    }
    let deadline = Instant::now() + DISCARD_TIMEOUT;
    let mut left = MAX_DISCARDED;
    while left > 0 {
        buffer.clear();
        buffer.reserve(PIECE);
        let until = deadline.min(Instant::now() + pause);
        match timeout_at(until, stream.read_buf(buffer)).await {
            Ok(Ok(bytes @ 1..)) => left = left.saturating_sub(bytes as u64),
            _ => return,
        }
    }
}
