//! Small pieces of a body that are there at the same time, sent as one.

use std::mem;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::chunk::Chunk;

/// A piece that is as large goes by itself, without a copy.
const LARGE: usize = 4 * 1024;

/// Pieces are joined until they are as large together.
const ENOUGH: usize = 16 * 1024;

/// A piece that took as long to come is not held back for the next one, which may take as long.
const PATIENCE: Duration = Duration::from_micros(200);

/// What came from a body; `None` is its end.
type Next<P, E> = Option<Result<P, E>>;

/// Joins small pieces of a body as long as there are more, since each message costs as much as some of them.
///
/// None is delayed: the first one after a pause goes at once, and so does what has been joined when the body has no
/// more for now.
pub(crate) struct Joiner<P, E> {
    /// The next piece is the first one, or the first one that had to be waited for.
    after_pause: bool,
    /// What has come after the pieces that were joined, and is not one to be joined.
    kept: Option<Next<P, E>>,
    patience: Duration,
}

impl<P, E> Default for Joiner<P, E> {
    fn default() -> Self {
        Self { after_pause: true, kept: None, patience: PATIENCE }
    }
}

impl<P: AsRef<[u8]> + Into<Chunk>, E> Joiner<P, E> {
    /// The next piece, of those that `poll` brings.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<Next<P, E>>,
    ) -> Poll<Next<Chunk, E>> {
        let begun = Instant::now();
        let next = match self.kept.take() {
            Some(kept) => Poll::Ready(kept),
            None => poll(context),
        };
        let first = match next {
            Poll::Ready(Some(Ok(first))) => first,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {
                self.after_pause = true;
                return Poll::Pending;
            }
        };
        if mem::take(&mut self.after_pause) || is_large(&first) {
            return Poll::Ready(Some(Ok(first.into())));
        }
        let mut first = Some(first);
        let mut joined = Vec::new();
        while joined.len() < ENOUGH && begun.elapsed() < self.patience {
            match poll(context) {
                Poll::Ready(Some(Ok(piece))) if !is_large(&piece) => {
                    if let Some(first) = first.take() {
                        joined.extend_from_slice(first.as_ref());
                    }
                    joined.extend_from_slice(piece.as_ref());
                }
                Poll::Ready(other) => {
                    self.kept = Some(other);
                    break;
                }
                Poll::Pending => {
                    self.after_pause = true;
                    break;
                }
            }
        }
        Poll::Ready(Some(Ok(first.map_or_else(|| joined.into(), P::into))))
    }
}

fn is_large(piece: &impl AsRef<[u8]>) -> bool {
    piece.as_ref().len() >= LARGE
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;

    /// What a body does when it is asked for more.
    enum Step {
        Piece(usize),
        Pause,
        Fails,
    }
    use Step::{Fails, Pause, Piece};

    /// The lengths of what comes of these steps; 0: there was nothing for now. All bytes have to come, in order.
    fn lengths(steps: impl IntoIterator<Item = Step>) -> (Vec<usize>, Option<&'static str>) {
        lengths_with(Duration::MAX, steps)
    }

    fn lengths_with(
        patience: Duration,
        steps: impl IntoIterator<Item = Step>,
    ) -> (Vec<usize>, Option<&'static str>) {
        let mut steps: VecDeque<Step> = steps.into_iter().collect();
        let (mut made, mut taken) = (0_usize, 0_usize);
        let mut poll = |_: &mut Context<'_>| match steps.pop_front() {
            Some(Piece(length)) => {
                let bytes: Vec<u8> = (made..made + length).map(|n| n as u8).collect();
                made += length;
                Poll::Ready(Some(Ok(Chunk::from(bytes))))
            }
            Some(Pause) => Poll::Pending,
            Some(Fails) => Poll::Ready(Some(Err("it fails"))),
            None => Poll::Ready(None),
        };
        let mut context = Context::from_waker(Waker::noop());
        let (mut joiner, mut lengths) = (Joiner { patience, ..Joiner::default() }, Vec::new());
        loop {
            match joiner.poll_next(&mut context, &mut poll) {
                Poll::Ready(Some(Ok(chunk))) => {
                    let expected = (taken..taken + chunk.len()).map(|n| n as u8);
                    assert!(chunk.iter().copied().eq(expected), "the bytes are in order");
                    taken += chunk.len();
                    lengths.push(chunk.len());
                }
                Poll::Ready(Some(Err(error))) => return (lengths, Some(error)),
                Poll::Ready(None) => {
                    assert_eq!(taken, made, "all bytes come");
                    return (lengths, None);
                }
                Poll::Pending => lengths.push(0),
            }
        }
    }

    #[test]
    fn small_pieces_that_are_there_are_joined() {
        // The first one goes at once.
        assert_eq!(lengths((0..100).map(|_| Piece(76))), (vec![76, 99 * 76], None));
        let (lengths, _) = lengths((0..2000).map(|_| Piece(76)));
        assert!(
            lengths[1..lengths.len() - 1].iter().all(|n| (ENOUGH..ENOUGH + 76).contains(n)),
            "{lengths:?}"
        );
    }

    #[test]
    fn a_piece_is_not_held_back_for_one_that_is_not_there() {
        let steps = [Piece(1), Pause, Piece(2), Pause, Piece(3), Piece(4), Piece(5), Pause, Piece(6)];
        let (lengths, error) = lengths(steps);
        let sent: Vec<usize> = lengths.into_iter().filter(|length| *length > 0).collect();
        assert_eq!((sent, error), (vec![1, 2, 3, 9, 6], None));
    }

    #[test]
    fn pieces_that_take_long_go_one_by_one() {
        assert_eq!(lengths_with(Duration::ZERO, (1..5).map(Piece)), (vec![1, 2, 3, 4], None));
    }

    #[test]
    fn large_pieces_and_ends_come_after_what_was_joined() {
        let steps = [Piece(1), Piece(2), Piece(3), Piece(LARGE), Piece(4), Piece(5), Fails];
        assert_eq!(lengths(steps), (vec![1, 5, LARGE, 9], Some("it fails")));
        assert_eq!(lengths([Piece(1), Fails]), (vec![1], Some("it fails")));
        assert_eq!(lengths([]), (vec![], None));
    }

    #[test]
    fn a_piece_that_goes_by_itself_is_not_copied() {
        for length in [1, LARGE] {
            let mut pieces = vec![vec![0; length]];
            let place = pieces[0].as_ptr();
            let mut joiner = Joiner::<Chunk, ()> { after_pause: false, ..Joiner::default() };
            let mut context = Context::from_waker(Waker::noop());
            let sent = joiner.poll_next(&mut context, |_| match pieces.pop() {
                Some(piece) => Poll::Ready(Some(Ok(piece.into()))),
                None => Poll::Pending,
            });
            assert!(matches!(sent, Poll::Ready(Some(Ok(chunk))) if chunk.as_ptr() == place));
        }
    }
}
