//! Answers that come piece by piece.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Reads the head of an answer, which has to have this status.
pub(super) async fn head(stream: &mut (impl AsyncBufRead + Unpin), status: &str) {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        let read = stream.read_line(&mut text).await.expect("the server answers");
        assert!(read > 0, "the server closed the connection: {text}");
    }
    assert_eq!(text.split(' ').nth(1), Some(status), "{text}");
}

/// Reads a body that comes in chunks, and shows it `piece` by piece; how many bytes it had.
pub(super) async fn chunked(stream: &mut (impl AsyncBufRead + Unpin), mut piece: impl FnMut(&[u8])) -> usize {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        stream.read_line(&mut line).await.expect("the server sends");
        let size = usize::from_str_radix(line.trim_end(), 16)
            .unwrap_or_else(|_| panic!("a chunk begins with its size, and not with {line:?}"));
        skip(stream, size, &mut piece).await;
        skip(stream, "\r\n".len(), |_| ()).await;
        if size == 0 {
            return length;
        }
        length += size;
    }
}

/// Reads so many bytes.
pub(super) async fn skip(
    stream: &mut (impl AsyncBufRead + Unpin),
    mut bytes: usize,
    mut piece: impl FnMut(&[u8]),
) {
    while bytes > 0 {
        let there = stream.fill_buf().await.expect("the server sends");
        assert!(!there.is_empty(), "the server closed the connection");
        let taken = there.len().min(bytes);
        piece(&there[..taken]);
        stream.consume(taken);
        bytes -= taken;
    }
}
