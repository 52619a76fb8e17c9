//! Standard output, which may be a pipe that is closed early.

use std::io::{self, Write};
use std::ops::ControlFlow;

use atoll_host::internal::escape;
use serde::Serialize;

/// Writes to standard output, as it is. That the reader has left is no error: it has what it wanted.
pub(super) fn print(bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    unless_gone(stdout.write_all(bytes.as_ref()).and_then(|()| stdout.flush())).map(|_| ())
}

/// Writes text with colours to standard output; where they would not be seen, or are not wanted, without them.
pub(super) fn print_text(text: &str) -> io::Result<()> {
    print_on(text).map(|_| ())
}

/// As [`print_text`]; [`ControlFlow::Break`] when it is closed.
pub(super) fn print_on(text: &str) -> io::Result<ControlFlow<()>> {
    let mut stdout = anstream::AutoStream::auto(io::stdout().lock());
    unless_gone(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Writes a value as JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(print(format!("{}\n", escape::json(&serde_json::to_string_pretty(value)?)))?)
}

fn unless_gone(written: io::Result<()>) -> io::Result<ControlFlow<()>> {
    match written {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(error),
    }
}
