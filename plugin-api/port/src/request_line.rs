//! What a request asks for, kept without an allocation.

use std::fmt;

/// How many bytes are kept of a method and a path. Longer ones end with `…`.
pub(crate) const LIMIT: usize = 126;

/// What stands for the rest.
const REST: &str = "…";

/// The beginning of a text such as `GET /apps/hello/greet`.
#[derive(Clone, Copy)]
pub(crate) struct RequestLine {
    bytes: [u8; LIMIT],
    len: u8,
    /// Nothing more is appended.
    is_full: bool,
}

impl Default for RequestLine {
    fn default() -> Self {
        Self { bytes: [0; LIMIT], len: 0, is_full: false }
    }
}

impl RequestLine {
    pub(crate) fn as_str(&self) -> &str {
        // Only whole characters are appended.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }

    fn append(&mut self, text: &str) {
        let mut taken = text.len().min(LIMIT - REST.len() - usize::from(self.len).min(LIMIT - REST.len()));
        while !text.is_char_boundary(taken) {
            taken -= 1;
        }
        self.copy(&text[..taken]);
        if taken < text.len() {
            self.copy(REST);
            self.is_full = true;
        }
    }

    fn copy(&mut self, text: &str) {
        let start = usize::from(self.len);
        self.bytes[start..start + text.len()].copy_from_slice(text.as_bytes());
        self.len += text.len() as u8;
    }
}

impl<'p> FromIterator<&'p str> for RequestLine {
    fn from_iter<I: IntoIterator<Item = &'p str>>(pieces: I) -> Self {
        let mut line = Self::default();
        for piece in pieces {
            if !line.is_full {
                line.append(piece);
            }
        }
        line
    }
}

impl fmt::Debug for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_kept_in_whole_characters() {
        let line: RequestLine = ["GET", " ", "/apps/a", "/ż"].into_iter().collect();
        assert_eq!(line.as_str(), "GET /apps/a/ż");
        for length in LIMIT - 8..LIMIT + 8 {
            let text = "x".repeat(length);
            let line: RequestLine = [&*text, "ż", "rest"].into_iter().collect();
            let whole = format!("{text}żrest");
            assert!(line.as_str().len() <= LIMIT);
            match line.as_str().strip_suffix(REST) {
                Some(kept) => assert!(whole.starts_with(kept) && kept.len() + 5 > LIMIT - REST.len()),
                None => assert_eq!(line.as_str(), whole),
            }
        }
    }
}
