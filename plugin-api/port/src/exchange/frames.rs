//! Where the frames end of a WebSocket that the app carries itself (RFC 6455, section 5.2).

/// The close frame of a server that is being replaced: code 1012.
pub(super) const GOING_AWAY: &[u8] = &[0x88, 0x02, 0x03, 0xf4];

/// Follows the frames of a server, to know whether another one may follow.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The bytes of a header that is not complete: 2, 4 or 10.
    header: Vec<u8>,
    /// Bytes of the frame that are still to come.
    left: u64,
}

impl Frames {
    /// Takes note of what the server has sent.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let taken = self.left.min(bytes.len() as u64);
                self.left -= taken;
                bytes = &bytes[taken as usize..];
                continue;
            }
            self.header.push(bytes[0]);
            bytes = &bytes[1..];
            if let Some(length) = payload_length(&self.header) {
                self.left = length;
                self.header.clear();
            }
        }
    }

    /// Whether all frames are complete.
    pub(super) fn are_complete(&self) -> bool {
        self.left == 0 && self.header.is_empty()
    }
}

/// The length that a header states, when it is complete. A server's frames are not masked.
fn payload_length(header: &[u8]) -> Option<u64> {
    match *header.get(1)? & 0x7f {
        126 => Some(u16::from_be_bytes(*header.get(2..)?.first_chunk()?).into()),
        127 => Some(u64::from_be_bytes(*header.get(2..)?.first_chunk()?)),
        length => Some(length.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_all_lengths_are_followed() {
        let mut sent = vec![0x81, 2, b'h', b'i', 0x89, 0];
        sent.extend([0x82, 126, 1, 0]);
        sent.extend([0; 256]);
        sent.extend([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        sent.extend([0; 65_536]);
        for size in [1, 3, 1000, sent.len()] {
            let mut frames = Frames::default();
            let mut complete = 0;
            for piece in sent.chunks(size) {
                frames.follow(piece);
                complete += usize::from(frames.are_complete());
            }
            assert!(frames.are_complete(), "in pieces of {size}");
            assert!(complete <= 4);
        }
        let mut frames = Frames::default();
        frames.follow(&sent[..3]);
        assert!(!frames.are_complete());
    }
}
