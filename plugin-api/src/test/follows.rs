//! What comes after an answer.

use atoll_port::{ReplyEvent, answer};

use crate::protocol::{Body, Header, HttpResponse};

/// What comes after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    Nothing,
    Body,
    Endless(Endless),
}

/// An endless body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endless {
    Events,
    WebSocket,
    /// A connection that was upgraded by a `tower` service.
    Tunnel,
}

impl Follows {
    /// What follows this. A method may have a result of any kind, after which nothing does.
    pub(super) fn of(event: &ReplyEvent) -> Self {
        let ReplyEvent::Answer(message, _) = event else { return Self::Nothing };
        let Ok(HttpResponse { status, headers, body }) = answer::http(&message.json) else {
            return Self::Nothing;
        };
        let is_events = |Header(name, value): &Header<'_>| {
            name.eq_ignore_ascii_case("content-type") && value.starts_with("text/event-stream")
        };
        match body {
            None | Some(Body::Transfer(_)) => Self::Nothing,
            Some(Body::Websocket(_)) => Self::Endless(Endless::WebSocket),
            Some(Body::Stream(_)) if status == 101 => Self::Endless(Endless::Tunnel),
            Some(Body::Stream(_)) if headers.iter().any(is_events) => Self::Endless(Endless::Events),
            Some(Body::Stream(_)) => Self::Body,
        }
    }
}
