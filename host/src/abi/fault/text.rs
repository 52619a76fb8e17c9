//! Text that a signal's handler writes.

use std::ffi::c_int;
use std::fmt;

/// How many bytes are collected before they are written.
const BUFFER: usize = 512;

/// Collects text and writes it to some files. What cannot be written is lost: there is nobody to report it to.
pub(super) struct Text {
    files: [c_int; super::sink::SINKS],
    buffer: [u8; BUFFER],
    len: usize,
}

impl Text {
    /// Text for these open files; a negative number is none.
    pub(super) fn new(files: [c_int; super::sink::SINKS]) -> Self {
        Self { files, buffer: [0; BUFFER], len: 0 }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.len == BUFFER {
                self.flush();
            }
            self.buffer[self.len] = byte;
            self.len += 1;
        }
    }

    /// At most `limit` bytes of a text as one word: what would end the word is written as `%20`.
    pub(super) fn word(&mut self, text: &[u8], limit: usize) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for &byte in &text[..text.len().min(limit)] {
            if byte.is_ascii_graphic() && byte != b'%' || byte >= 0x80 {
                self.bytes(&[byte]);
            } else {
                let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]];
                self.bytes(&[b'%', digits[0], digits[1]]);
            }
        }
    }

    /// A line of numbers and names.
    pub(super) fn line(&mut self, line: fmt::Arguments<'_>) {
        // It does not fail.
        let _ = fmt::write(self, line);
        self.bytes(b"\n");
    }

    /// Writes what has been collected.
    pub(super) fn flush(&mut self) {
        for &file in self.files.iter().filter(|file| **file >= 0) {
            let mut left = &self.buffer[..self.len];
            while !left.is_empty() {
                // SAFETY: the pointer and length are those of `left`.
                let written = unsafe { libc::write(file, left.as_ptr().cast(), left.len()) };
                match usize::try_from(written) {
                    Ok(written) if written > 0 => left = &left[written..],
                    _ => break,
                }
            }
        }
        self.len = 0;
    }
}

/// Formatting numbers and borrowed text allocates nothing.
impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

/// The text of a [word](Text::word).
pub(super) fn from_word(word: &str) -> String {
    let bytes = word.as_bytes();
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match escaped {
            Some(byte) => {
                text.push(byte);
                rest = &after[2..];
            }
            None => {
                text.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn text_is_written_whole_and_words_come_back() {
        let mut files = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
        let mut descriptors = [-1; super::super::sink::SINKS];
        descriptors[1] = files[0].as_raw_fd();
        descriptors[3] = files[1].as_raw_fd();
        let mut text = Text::new(descriptors);
        let long = "x".repeat(3 * BUFFER);
        text.line(format_args!("{long} {:#x}", 255));
        let hostile = "GET /a b%20\n\u{1b}ż";
        text.word(hostile.as_bytes(), 100);
        text.bytes(b" ");
        text.word(b"123456", 3);
        text.flush();
        for file in &mut files {
            let mut written = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut written).unwrap();
            let (first, rest) = written.split_once('\n').unwrap();
            assert_eq!(first, format!("{long} 0xff"));
            let (word, short) = rest.split_once(' ').unwrap();
            assert_eq!((from_word(word).as_str(), short), (hostile, "123"));
            assert!(!word.contains(['\n', '\u{1b}']));
        }
        assert_eq!(from_word("%4 %zz %"), "%4 %zz %");
    }
}
