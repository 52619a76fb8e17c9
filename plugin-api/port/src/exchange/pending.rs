//! A request that a worker has: its answer, and the streams in both directions.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::upload::Upload;
use crate::generation::{Generation, InFlight};
use crate::reply::Answer;
use crate::reply_queue::WorkerGone;
use crate::worker_message::ReplyEvent;

/// One request, from the moment that it was sent to a generation: its answer, and the streams in both directions.
/// If it is dropped before the end, the request is cancelled.
pub struct Exchange<G: Generation> {
    in_flight: InFlight<G>,
    answer: Answer,
    pub(super) upload: Option<Upload>,
    /// When a piece of the request's body was sent last, after the request itself.
    pub(super) sent: Option<Instant>,
}

impl<G: Generation> Exchange<G> {
    pub(super) fn new(in_flight: InFlight<G>, answer: Answer, upload: Option<Upload>) -> Self {
        Self { in_flight, answer, upload, sent: None }
    }

    /// The next thing that the app has sent, while the request's body goes to it as it takes it.
    pub fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Result<ReplyEvent, WorkerGone>> {
        loop {
            if let Some(upload) = &mut self.upload {
                let complete = upload.poll_send(&self.answer, context).is_ready();
                self.sent = upload.last_sent().or(self.sent);
                if complete {
                    self.upload = None;
                }
            }
            match (ready!(self.answer.poll_event(context)), &mut self.upload) {
                (Ok(ReplyEvent::Credit(bytes)), Some(upload)) => upload.grant(bytes),
                (event, _) => return Poll::Ready(event),
            }
        }
    }

    /// The next thing that the app has sent.
    pub async fn event(&mut self) -> Result<ReplyEvent, WorkerGone> {
        poll_fn(|context| self.poll_event(context)).await
    }

    /// The next thing that the app has sent; `None` when the deadline has passed before.
    pub(super) async fn event_in_time(&mut self) -> Option<Result<ReplyEvent, WorkerGone>> {
        poll_fn(|context| match self.poll_event(context) {
            Poll::Ready(event) => Poll::Ready(Some(event)),
            Poll::Pending if self.answer.is_late() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// How far the client may be behind with the body, if it is further behind.
    pub(super) fn too_slow(&self) -> Option<Duration> {
        let pace = self.upload.as_ref()?.pace();
        pace.is_too_slow(Instant::now()).then(|| pace.limit())
    }

    /// When to look whether it takes too long: at the deadline, or when the client may be too slow with the body.
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        let look = self.upload.as_ref().map(|upload| upload.pace().next_look(Instant::now()));
        self.answer.set_deadline(look.map_or(deadline, |look| look.min(deadline)));
    }

    /// Whether the app would take more of the body than the client has sent.
    pub(super) fn waits_for_client(&self) -> bool {
        self.upload.as_ref().is_some_and(Upload::has_credit)
    }

    /// What comes back for the request, and the way to send more.
    pub fn answer(&mut self) -> &mut Answer {
        &mut self.answer
    }

    /// The request's stay in its generation.
    pub fn in_flight(&self) -> &InFlight<G> {
        &self.in_flight
    }
}
