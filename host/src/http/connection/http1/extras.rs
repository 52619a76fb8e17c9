//! What a request has beside the bytes of its body.

use crate::http::connection::limits::MAX_CHUNK_EXTRAS;

/// What every chunk may have beside its bytes, without being counted: its length and line ends.
const CHUNK_FRAME: usize = 24;

/// What a request has beside the bytes of its body: the lengths of its chunks, their extensions, and trailers.
#[derive(Default)]
pub(super) struct Extras {
    /// Since the last piece of the body.
    pending: usize,
    /// What counts of those before.
    bytes: usize,
}

impl Extras {
    /// Notes more, before a piece or where there is none yet. Whether that is within the limit.
    pub(super) fn take(&mut self, taken: usize, is_before_piece: bool) -> bool {
        self.pending += taken;
        let bytes = self.bytes + self.pending.saturating_sub(CHUNK_FRAME);
        if is_before_piece {
            (self.pending, self.bytes) = (0, bytes);
        }
        bytes <= MAX_CHUNK_EXTRAS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_any_size_have_no_extras() {
        let mut extras = Extras::default();
        for _ in 0..100_000 {
            assert!(extras.take(4, false) && extras.take(2, true) && extras.take(0, true));
        }
        assert!(extras.take(5, false), "the last chunk");
    }

    #[test]
    fn extensions_and_trailers_are_counted_together() {
        let mut extras = Extras::default();
        assert!(extras.take(CHUNK_FRAME + MAX_CHUNK_EXTRAS / 2, true));
        assert!(extras.take(CHUNK_FRAME + MAX_CHUNK_EXTRAS / 2, false));
        assert!(!extras.take(1, false));
    }
}
