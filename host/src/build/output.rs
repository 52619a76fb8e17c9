//! What cargo and the compiler say: shown as it comes, and kept for those who do not see the terminal.

use std::io::{self, Write};

use tokio::io::{AsyncRead, AsyncReadExt};

/// How much is kept; the first errors are what people need.
const KEPT: usize = 256 << 10;

/// How many lines an excerpt has at most.
const EXCERPT: usize = 40;

/// Copies a stream to standard error as it comes, and returns its beginning.
pub(super) async fn copy_to_stderr(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return String::new() };
    let mut chunk = vec![0; 8 << 10];
    // A pipe that cannot be read has nothing more to say.
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        let text = &chunk[..length];
        let mut stderr = io::stderr().lock();
        // Nobody may be there to read it.
        let _ = stderr.write_all(text).and_then(|()| stderr.flush());
        kept.extend_from_slice(&text[..length.min(KEPT - kept.len())]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// The first errors in what cargo said, without colours; all of it, if there is none.
pub(super) fn excerpt(text: &str) -> String {
    let text = plain(text);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| line.starts_with("error")).unwrap_or(0);
    let lines = &lines[first..];
    let mut excerpt = lines[..lines.len().min(EXCERPT)].join("\n");
    if lines.len() > EXCERPT {
        excerpt.push_str("\n…");
    }
    excerpt.trim_end().to_owned()
}

/// A terminal's text without its control sequences; what it writes over a line is a line of its own.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            // ESC [ parameters letter
            '\x1b' if rest.clone().next() == Some('[') => {
                rest.by_ref().skip(1).find(|end| matches!(end, '@'..='~'));
            }
            // ESC ] … BEL or ESC \: links and titles.
            '\x1b' if rest.clone().next() == Some(']') => {
                let mut last = ']';
                for character in rest.by_ref() {
                    if character == '\x07' || (last == '\x1b' && character == '\\') {
                        break;
                    }
                    last = character;
                }
            }
            '\x1b' => {}
            '\r' => plain.push('\n'),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_begins_with_the_first_error() {
        let text = "   Compiling hello\n\x1b[33mwarning\x1b[0m: x\n\r    Building 1/2\r\x1b[K\x1b[0m\x1b[1m\x1b[38;5;9merror[E0425]\
                    \x1b[0m\x1b[1m: cannot find\x1b[0m\n --> src/lib.rs:1:1\n";
        assert_eq!(excerpt(text), "error[E0425]: cannot find\n --> src/lib.rs:1:1");
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
