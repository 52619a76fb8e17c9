//! Standard output, which may be a pipe that nobody reads to the end.

use std::io::{self, Write};

/// Writes to standard output. That the reader has left is no error: it has what it wanted.
pub(super) fn print(bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes.as_ref()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}
