//! Messages out of frames.

use bytes::{Bytes, BytesMut};

use super::frame::Frame;
use crate::fleet::call_limits::MAX_CALL_MESSAGE;

/// A message between two hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// On whose behalf a request is made; empty in other messages.
    pub(crate) context: Bytes,
    /// The text, as it is in the port's protocol.
    pub(crate) text: Bytes,
    /// The buffer, if the text refers to one.
    pub(crate) buffer: Bytes,
    /// It is the last one of its exchange.
    pub(crate) last: bool,
}

/// What has come of a message that is not complete.
#[derive(Debug)]
struct Open {
    context_length: usize,
    text_length: usize,
    bytes: BytesMut,
}

/// Puts the frames of one direction of an exchange together.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    /// The number of the next frame.
    next: u32,
    open: Option<Open>,
}

/// Why the frames of an exchange make no messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// A frame was lost, or overtaken.
    #[error("messages between the hosts were lost: number {found} came instead of {expected}")]
    Order {
        /// The number of the frame that had to come.
        expected: u32,
        /// The number of the one that has.
        found: u32,
    },
    /// The lengths of the parts are more than there is.
    #[error("a message between the hosts is shorter than its parts")]
    Short,
    /// The message has too many bytes.
    #[error(
        "a message between the hosts has more than {MAX_CALL_MESSAGE} bytes, the limit of a call or a WebSocket message"
    )]
    TooLarge,
}

impl Assembly {
    /// Takes the next frame; a message, if it completes one.
    ///
    /// # Errors
    /// The exchange is broken.
    pub(crate) fn take(&mut self, frame: Frame) -> Result<Option<Message>, Broken> {
        let Frame { more, last, number, context_length, text_length, content, .. } = frame;
        if number != self.next {
            return Err(Broken::Order { expected: self.next, found: number });
        }
        self.next = self.next.wrapping_add(1);
        let Some(open) = &mut self.open else {
            let (context_length, text_length) = (context_length as usize, text_length as usize);
            if !more {
                return split(content, context_length, text_length, last).map(Some);
            }
            self.open = Some(Open { context_length, text_length, bytes: content.into() });
            return Ok(None);
        };
        if open.bytes.len() + content.len() > MAX_CALL_MESSAGE {
            return Err(Broken::TooLarge);
        }
        open.bytes.extend_from_slice(&content);
        match self.open.take_if(|_| !more) {
            Some(open) => split(open.bytes.freeze(), open.context_length, open.text_length, last).map(Some),
            None => Ok(None),
        }
    }
}

fn split(mut bytes: Bytes, context: usize, text: usize, last: bool) -> Result<Message, Broken> {
    if context.checked_add(text).is_none_or(|length| length > bytes.len()) {
        return Err(Broken::Short);
    }
    let context = bytes.split_to(context);
    let text = bytes.split_to(text);
    Ok(Message { context, text, buffer: bytes, last })
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::frame;
    use super::super::frame::{ExchangeId, Instance, Kind};
    use super::super::writer::{FrameWriter, Parts};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_that_is_missing_breaks_the_exchange() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.take(frame(Kind::ToCaller, 0, "a")).unwrap().unwrap().text, "a");
        let lost = assembly.take(frame(Kind::ToCaller, 2, "c"));
        assert_eq!(lost, Err(Broken::Order { expected: 1, found: 2 }));
    }

    #[test]
    fn lengths_are_not_believed() {
        for (context_length, text_length) in [(0, 2), (2, 0), (u32::MAX, u32::MAX)] {
            let short = Frame { context_length, text_length, ..frame(Kind::ToCaller, 0, "a") };
            assert_eq!(Assembly::default().take(short), Err(Broken::Short));
        }
    }

    #[test]
    fn a_message_has_a_limit() {
        let piece = Bytes::from(vec![0; 16 << 20]);
        let mut assembly = Assembly::default();
        for number in 0..4 {
            let part = Frame { more: true, content: piece.clone(), ..frame(Kind::ToCaller, number, "") };
            assert_eq!(assembly.take(part), Ok(None));
        }
        assert_eq!(assembly.take(frame(Kind::ToCaller, 4, "x")), Err(Broken::TooLarge));
    }

    proptest! {
        /// Whatever the lengths of the parts and of a frame are.
        #[test]
        fn a_message_is_put_together_as_it_was_split(
            context in 0..300_usize, text in 0..300_usize, buffer in 0..300_usize, limit in 36..200_usize, last: bool,
        ) {
            let [context, text, buffer] = [context, text, buffer].map(|length| Bytes::from(vec![length as u8; length]));
            let exchange = ExchangeId { port: 1, request: 2 };
            let mut writer = FrameWriter::new(Instance(1), exchange, limit);
            let mut assembly = Assembly::default();
            for _ in 0..2 {
                let parts = Parts { context: &context, text: &text, buffer: &buffer };
                let frames = writer.write(Kind::Request, parts, last).unwrap();
                prop_assert!(frames.iter().all(|frame| frame.len() <= limit));
                let mut taken = frames.into_iter().map(|frame| assembly.take(Frame::decode(frame).unwrap()).unwrap());
                let message = taken.by_ref().find_map(|message| message);
                prop_assert!(taken.next().is_none());
                let expected = Message { context: context.clone(), text: text.clone(), buffer: buffer.clone(), last };
                prop_assert_eq!(message, Some(expected));
            }
        }
    }
}
