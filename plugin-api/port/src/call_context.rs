//! On whose behalf a request is made: what the calls that its app makes meanwhile carry on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use atoll_protocol::HttpRequest;
use compact_str::{CompactString, format_compact};
use tokio::time::Instant;

use crate::host_note::HostNote;
use crate::request_line::RequestLine;

/// Where a request comes from: its id and trace context, the deadline of the first caller, and the apps that wait for
/// it; and what it asks for, as far as a crash report has it. Making and cloning one allocates nothing, unless the id is
/// longer than the host's own or there is a trace context.
#[derive(Clone, Debug)]
pub struct CallContext {
    request_id: CompactString,
    line: RequestLine,
    traceparent: Option<Arc<str>>,
    /// `None` when it is not fixed: a client is still sending, or a stream is open.
    deadline: Option<Instant>,
    /// The last one first.
    callers: Option<Arc<Caller>>,
    /// Of a request that goes to another host.
    host_note: Option<HostNote>,
}

/// An app that waits, and those that wait for it.
#[derive(Debug)]
struct Caller {
    app: Arc<str>,
    before: Option<Arc<Caller>>,
}

/// A call would come back to an app that waits for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("call cycle: {0}")]
pub struct Cycle(String);

impl CallContext {
    /// That of a request from outside.
    pub fn new(request_id: &str, traceparent: Option<&str>) -> Self {
        Self {
            request_id: request_id.into(),
            line: RequestLine::default(),
            traceparent: traceparent.map(Arc::from),
            deadline: None,
            callers: None,
            host_note: None,
        }
    }

    /// That of an HTTP request from outside.
    pub fn of_http(request: &HttpRequest<'_>) -> Self {
        Self::new(&request.request_id, request.traceparent.as_deref())
    }

    /// That of a request which another host passes on, where these apps wait for it: the first caller first.
    pub fn passed_on<'c>(
        request_id: &str,
        traceparent: Option<&str>,
        callers: impl IntoIterator<Item = &'c str>,
    ) -> Self {
        let callers = callers
            .into_iter()
            .fold(None, |before, app| Some(Arc::new(Caller { app: Arc::from(app), before })));
        Self { callers, ..Self::new(request_id, traceparent) }
    }

    /// The context of work without a request.
    pub fn background(app: &str) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self {
            request_id: format_compact!("{app}-{:x}", LAST.fetch_add(1, Ordering::Relaxed)),
            line: RequestLine::default(),
            traceparent: None,
            deadline: None,
            callers: None,
            host_note: None,
        }
    }

    /// That of a request to `target` which `caller` makes while it handles the one with this context.
    ///
    /// # Errors
    /// `target` is `caller`, or waits for it.
    pub fn call(&self, caller: &Arc<str>, target: &str) -> Result<Self, Cycle> {
        let callers = Caller { app: caller.clone(), before: self.callers.clone() };
        if callers.chain().any(|app| app == target) {
            let mut way: Vec<&str> = callers.chain().collect();
            way.reverse();
            return Err(Cycle(format!("{} → {target}", way.join(" → "))));
        }
        Ok(Self { callers: Some(Arc::new(callers)), host_note: None, ..self.clone() })
    }

    /// The apps that wait for it: the first caller first.
    pub fn callers(&self) -> Vec<&str> {
        let mut callers: Vec<&str> = self.callers.iter().flat_map(|caller| caller.chain()).collect();
        callers.reverse();
        callers
    }

    /// Has it noted there which host the request goes to, if that is another one.
    #[must_use]
    pub fn followed_by(self, host_note: Option<HostNote>) -> Self {
        Self { host_note, ..self }
    }

    /// Notes which host the request goes to, if someone follows that.
    pub fn note_host(&self, host: Arc<str>) {
        if let Some(note) = &self.host_note {
            note.set(host);
        }
    }

    /// In another step of the same trace, or of a new one, by its W3C trace context.
    pub fn set_traceparent(&mut self, traceparent: &str) {
        self.traceparent = Some(traceparent.into());
    }

    /// With this deadline, which is not later than the one before.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    /// When the first caller stops waiting, if there is a deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Removes the deadline, because the response has started and is streaming.
    pub fn clear_deadline(&mut self) {
        self.deadline = None;
    }

    /// How long to wait for an app that has `limit`: no longer than the first caller waits.
    pub fn remaining(&self, limit: Duration) -> Duration {
        self.deadline.map_or(limit, |deadline| limit.min(deadline.saturating_duration_since(Instant::now())))
    }

    /// Notes what is asked for: the pieces of a text such as `GET /apps/hello/greet`, of which the beginning is kept.
    pub fn set_request_line<'p>(&mut self, pieces: impl IntoIterator<Item = &'p str>) {
        self.line = pieces.into_iter().collect();
    }

    /// What is asked for; empty when that was not noted.
    pub fn request_line(&self) -> &str {
        self.line.as_str()
    }

    /// The id in logs.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// W3C trace context.
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }
}

impl Caller {
    /// The apps, the last one first.
    fn chain(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self), |caller| caller.before.as_deref()).map(|caller| &*caller.app)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_to_an_app_that_waits_is_a_cycle() {
        let [a, b, c] = ["a", "b", "c"].map(Arc::<str>::from);
        let first = CallContext::new("1", None);
        assert_eq!(first.call(&a, "a").unwrap_err(), Cycle("a → a".to_owned()));
        let in_b = first.call(&a, "b").unwrap();
        let in_c = in_b.call(&b, "c").unwrap();
        assert_eq!(in_b.call(&b, "a").unwrap_err(), Cycle("a → b → a".to_owned()));
        assert_eq!(in_c.call(&c, "b").unwrap_err(), Cycle("a → b → c → b".to_owned()));
        assert!(in_c.call(&c, "d").is_ok());
        // The other branch of a fork is not on the way.
        assert!(first.call(&a, "c").unwrap().call(&c, "b").is_ok());
    }

    #[test]
    fn a_cycle_is_found_across_hosts() {
        let [a, b, c] = ["a", "b", "c"].map(Arc::<str>::from);
        let here = CallContext::new("1", None).call(&a, "b").unwrap().call(&b, "c").unwrap();
        assert_eq!(here.callers(), ["a", "b"]);
        let there = CallContext::passed_on(here.request_id(), here.traceparent(), here.callers());
        assert_eq!((there.request_id(), there.callers()), ("1", vec!["a", "b"]));
        assert_eq!(there.call(&c, "a").unwrap_err(), Cycle("a → b → c → a".to_owned()));
        assert_eq!(CallContext::passed_on("1", None, []).call(&c, "a").unwrap().callers(), ["c"]);
    }

    #[test]
    fn the_host_is_noted_for_who_follows_the_request() {
        let note = HostNote::default();
        let context = CallContext::new("1", None).followed_by(Some(note.clone()));
        assert_eq!(note.get(), None);
        context.clone().note_host("b".into());
        context.call(&"a".into(), "b").unwrap().note_host("c".into());
        assert_eq!(note.get().as_deref(), Some("b"), "a call of its app is another request");
    }

    #[test]
    fn nobody_waits_longer_than_the_first() {
        let mut context = CallContext::new("1", Some("00-1-2-01"));
        let minute = Duration::from_secs(60);
        assert_eq!(context.remaining(minute), minute);
        context.set_deadline(Instant::now() + minute / 2);
        let carried = context.call(&"a".into(), "b").unwrap();
        assert!(carried.remaining(minute) <= minute / 2);
        assert_eq!(carried.remaining(minute / 4), minute / 4);
        assert_eq!((carried.request_id(), carried.traceparent()), ("1", Some("00-1-2-01")));
        context.set_deadline(Instant::now() - minute);
        assert_eq!(context.remaining(minute), Duration::ZERO);
        context.clear_deadline();
        assert_eq!(context.remaining(minute), minute);
    }
}
