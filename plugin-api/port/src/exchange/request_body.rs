//! The body of a request.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use atoll_protocol::{Body, Header};
use bytes::Bytes;
use futures_util::stream;

use super::pace::BODY_TIMEOUT;
use super::upload::Upload;

/// A body as the client sends it; an error contains the reason why it is incomplete.
pub type BodySource = Pin<Box<dyn futures_util::Stream<Item = Result<BodyPart, String>>>>;

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyPart {
    /// Bytes of it.
    Data(Bytes),
    /// The trailers, with which it ends.
    Trailers(Vec<Header<'static>>),
}

/// The body of a request.
#[derive(Default)]
pub enum RequestBody {
    /// There is none.
    #[default]
    None,
    /// All of it.
    Whole(Bytes),
    /// It is still coming, after what has come already; its sender may be behind the minimum rate for so long.
    Stream(BodySource, Duration),
}

/// A body of more bytes is not sent along with its request, but piece by piece.
pub const WHOLE_LIMIT: usize = 64 * 1024;

impl From<Bytes> for RequestBody {
    fn from(mut bytes: Bytes) -> Self {
        if bytes.len() <= WHOLE_LIMIT {
            return Self::Whole(bytes);
        }
        let piece = move |_| {
            let next = bytes.split_to(bytes.len().min(WHOLE_LIMIT));
            (!next.is_empty()).then_some(Ok(BodyPart::Data(next)))
        };
        Self::Stream(Box::pin(stream::iter(std::iter::repeat(()).map_while(piece))), BODY_TIMEOUT)
    }
}

impl RequestBody {
    pub(super) fn in_message(&self) -> Option<Body> {
        match self {
            Self::None => None,
            Self::Whole(_) => Some(Body::Transfer(0)),
            Self::Stream(..) => Some(Body::STREAM),
        }
    }

    /// What goes along with the request.
    pub(super) fn whole(&self) -> Option<Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes.clone()),
            Self::None | Self::Stream(..) => None,
        }
    }

    pub(super) fn into_upload(self) -> Option<Upload> {
        match self {
            Self::Stream(source, timeout) => Some(Upload::new(source, timeout)),
            Self::None | Self::Whole(_) => None,
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Stream(..) => f.write_str("Stream"),
        }
    }
}
