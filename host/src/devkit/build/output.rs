//! The output of cargo and the compiler: shown immediately, and kept for browsers.

use std::io::{self, IsTerminal, Write};

use anstream::StripStream;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much is kept; the first errors are what people need.
const KEPT: usize = 256 << 10;

/// How many lines an excerpt has at most.
const EXCERPT: usize = 40;

/// Whether standard error is to have colours.
pub(super) fn has_colors() -> bool {
    match std::env::var_os("CARGO_TERM_COLOR") {
        Some(choice) if choice == "always" => true,
        Some(choice) if choice == "never" => false,
        _ => io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    }
}

/// Whether cargo may be asked for colours, wherever they are shown in the end.
pub(super) fn may_color() -> bool {
    std::env::var_os("CARGO_TERM_COLOR").is_none_or(|choice| choice == "auto")
}

/// Writes a text to standard error, with its colours or without.
pub(super) fn show(text: &str) {
    if has_colors() { eprint!("{text}") } else { eprint!("{}", plain(text)) }
}

/// Copies a stream to standard error as it comes, with its colours or without, and returns its beginning.
pub(super) async fn copy_to_stderr(stream: Option<impl AsyncRead + Unpin>, colors: bool) -> String {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return String::new() };
    let mut stderr: Box<dyn Write> =
        if colors { Box::new(io::stderr()) } else { Box::new(StripStream::new(io::stderr())) };
    let mut chunk = vec![0; 8 << 10];
    // A pipe that cannot be read has nothing more to say.
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        let text = &chunk[..length];
        // Nobody may be there to read it.
        let _ = stderr.write_all(text).and_then(|()| stderr.flush());
        kept.extend_from_slice(&text[..length.min(KEPT - kept.len())]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// The first errors in what cargo said, with its colours; all of it, if there is none. Text written over a line becomes
/// a separate line.
pub(super) fn excerpt(text: &str) -> String {
    let text = text.replace('\r', "\n");
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| plain(line).starts_with("error")).unwrap_or(0);
    let lines = &lines[first..];
    let mut excerpt = lines[..lines.len().min(EXCERPT)].join("\n");
    if lines.len() > EXCERPT {
        excerpt.push_str("\n…");
    }
    excerpt.trim_end().to_owned()
}

/// A terminal's text without its control sequences.
pub(super) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_begins_with_the_first_error() {
        let text = "   Compiling hello\n\x1b[33mwarning\x1b[0m: x\n\r    Building 1/2\r\x1b[K\x1b[0m\x1b[1m\x1b[38;5;9merror[E0425]\
                    \x1b[0m\x1b[1m: cannot find\x1b[0m\n --> src/lib.rs:1:1\n";
        let with_colors = excerpt(text);
        assert!(with_colors.contains("\x1b[38;5;9merror"), "{with_colors:?}");
        assert_eq!(plain(&with_colors), "error[E0425]: cannot find\n --> src/lib.rs:1:1");
        assert_eq!(excerpt("no such command\n"), "no such command");
        assert_eq!(excerpt(""), "");
    }

    #[test]
    fn an_excerpt_has_an_end() {
        let text = excerpt(&"error\n".repeat(1000));
        assert_eq!(text.lines().count(), EXCERPT + 1);
        assert!(text.ends_with('…'));
    }

    #[test]
    fn links_are_no_text() {
        assert_eq!(plain("\x1b]8;;https://x/\x1b\\E0425\x1b]8;;\x1b\\ \x1b]9;4;1;50\x07ok"), "E0425 ok");
    }
}
