//! An answer with its length in its head.

/// What has come of an answer.
pub(super) struct Answer {
    buffer: Box<[u8; 4096]>,
    filled: usize,
}

impl Default for Answer {
    fn default() -> Self {
        Self { buffer: Box::new([0; 4096]), filled: 0 }
    }
}

impl Answer {
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.buffer[self.filled..]
    }

    pub(super) fn grow(&mut self, read: usize) {
        assert!(read > 0, "the server closed the connection");
        self.filled += read;
    }

    /// Whether the answer is there as a whole; then it is dropped, for the next one.
    pub(super) fn is_complete(&mut self) -> bool {
        const END: &[u8] = b"\r\n\r\n";
        const LENGTH: &str = "content-length: ";
        let text = &self.buffer[..self.filled];
        let Some(end) = text.windows(END.len()).position(|window| window == END) else { return false };
        let head = std::str::from_utf8(&text[..end]).expect("the head is text");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let at = head.find(LENGTH).expect("the answer says its length") + LENGTH.len();
        let digits = head[at..].split('\r').next().unwrap_or("");
        let length: usize = digits.parse().expect("the length is a number");
        if self.filled < end + END.len() + length {
            return false;
        }
        assert_eq!(self.filled, end + END.len() + length, "there is more than was asked for");
        self.filled = 0;
        true
    }
}
