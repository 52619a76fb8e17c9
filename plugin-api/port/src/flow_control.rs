//! What a worker has sent for one request, so that it cannot send more than its host takes.

use atoll_protocol::{INITIAL_CREDIT, piece_credit};

use crate::problem::Problem;
use crate::worker_message::ReplyEvent;

/// How many grants of credit may wait until the host reads them. An app that grants for each piece it has taken has fewer.
const GRANTS: u32 = 2 * (INITIAL_CREDIT / piece_credit(0)) as u32;

/// A worker sends what it may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CreditError {
    /// A piece of a stream, or a WebSocket message.
    #[error("the app sent more of a stream than its credit allows")]
    NoCredit,
    /// Credit for what it was not sent.
    #[error("the app granted credit {GRANTS} times without receiving data")]
    Grants,
}

/// What a worker may still send for one request.
#[derive(Debug)]
pub(crate) struct FlowControl {
    /// Below zero when the last piece was larger.
    credit: i64,
    /// Grants that the host has not read.
    grants: u32,
    /// An answer, and that its handler has failed after it.
    answers: u8,
    /// The stream has ended.
    ended: bool,
}

impl Default for FlowControl {
    fn default() -> Self {
        Self { credit: INITIAL_CREDIT as i64, grants: 0, answers: 0, ended: false }
    }
}

impl FlowControl {
    /// Whether an event is to be passed on; if not, it came after the end, and nobody reads it.
    ///
    /// # Errors
    /// It breaks the protocol: nothing more of the stream is passed on.
    pub(crate) fn admit(&mut self, event: &ReplyEvent) -> Result<bool, CreditError> {
        match event {
            ReplyEvent::Answer(..) => {
                self.answers = self.answers.saturating_add(1);
                Ok(self.answers <= 2)
            }
            _ if self.ended => Ok(false),
            ReplyEvent::Chunk(bytes) | ReplyEvent::WsMessage(_, bytes) => {
                if self.credit <= 0 {
                    self.ended = true;
                    return Err(CreditError::NoCredit);
                }
                self.credit = self.credit.saturating_sub_unsigned(piece_credit(bytes.len()));
                Ok(true)
            }
            ReplyEvent::Credit(_) => {
                if self.grants == GRANTS {
                    self.ended = true;
                    return Err(CreditError::Grants);
                }
                self.grants += 1;
                Ok(true)
            }
            ReplyEvent::End(_) | ReplyEvent::Failed(_) | ReplyEvent::WsClose(..) | ReplyEvent::Refused(_) => {
                self.ended = true;
                Ok(true)
            }
        }
    }

    /// How a request ends for this reason: without an answer, or with one that is incomplete. `None`: it has ended.
    pub(crate) fn fail(&mut self, problem: Problem) -> Option<ReplyEvent> {
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        Some(match self.answers {
            0 => ReplyEvent::Refused(Box::new(problem)),
            _ => ReplyEvent::Failed(problem.detail().to_owned()),
        })
    }

    /// The worker may send more.
    pub(crate) fn grant(&mut self, credit: u64) {
        self.credit = self.credit.saturating_add_unsigned(credit);
    }

    /// The host has read one of the worker's grants.
    pub(crate) fn note_credit_read(&mut self) {
        self.grants = self.grants.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer;
    use crate::problem::ProblemKind;
    use atoll_protocol::abi::Message;

    fn chunk(bytes: usize) -> ReplyEvent {
        ReplyEvent::Chunk(buffer::from_vec(vec![0; bytes]))
    }

    #[test]
    fn pieces_pass_as_long_as_there_is_credit_and_empty_ones_take_some() {
        let mut outgoing = FlowControl::default();
        let pieces = INITIAL_CREDIT / piece_credit(0);
        for _ in 0..pieces {
            assert_eq!(outgoing.admit(&chunk(0)), Ok(true));
        }
        outgoing.grant(1);
        assert_eq!(outgoing.admit(&chunk(1 << 20)), Ok(true), "one may be larger than the credit");
        assert_eq!(outgoing.admit(&chunk(0)), Err(CreditError::NoCredit));
        assert_eq!(outgoing.admit(&chunk(0)), Ok(false), "it is said once");
    }

    #[test]
    fn grants_pass_as_long_as_they_are_read() {
        let mut outgoing = FlowControl::default();
        for _ in 0..3 * GRANTS {
            assert_eq!(outgoing.admit(&ReplyEvent::Credit(1)), Ok(true));
            outgoing.note_credit_read();
        }
        for _ in 0..GRANTS {
            assert_eq!(outgoing.admit(&ReplyEvent::Credit(1)), Ok(true));
        }
        assert_eq!(outgoing.admit(&ReplyEvent::Credit(1)), Err(CreditError::Grants));
    }

    #[test]
    fn a_request_that_fails_has_no_answer_or_an_incomplete_one() {
        let problem = || Problem::new(ProblemKind::BadGateway, "gone");
        let mut outgoing = FlowControl::default();
        assert!(matches!(outgoing.fail(problem()), Some(ReplyEvent::Refused(_))));
        assert!(outgoing.fail(problem()).is_none());
        let mut outgoing = FlowControl::default();
        assert_eq!(outgoing.admit(&ReplyEvent::Answer(Message::default(), Default::default())), Ok(true));
        assert!(matches!(outgoing.fail(problem()), Some(ReplyEvent::Failed(why)) if why == "gone"));
    }

    #[test]
    fn nothing_passes_after_the_end_but_that_the_handler_failed() {
        let mut outgoing = FlowControl::default();
        let answer = || ReplyEvent::Answer(Message::default(), Default::default());
        assert_eq!(outgoing.admit(&answer()), Ok(true));
        assert_eq!(outgoing.admit(&ReplyEvent::End(Vec::new())), Ok(true));
        assert_eq!(outgoing.admit(&ReplyEvent::End(Vec::new())), Ok(false));
        assert_eq!(outgoing.admit(&ReplyEvent::Credit(1)), Ok(false));
        assert_eq!(outgoing.admit(&answer()), Ok(true));
        assert_eq!(outgoing.admit(&answer()), Ok(false));
    }
}
