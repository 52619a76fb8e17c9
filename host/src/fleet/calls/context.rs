//! What a request carries on.

use std::borrow::Cow;
use std::time::Duration;

use atoll_port::CallContext;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// What a request to another host carries on, besides its message.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Context<'a> {
    /// The app that it is for.
    #[serde(borrow)]
    pub(crate) app: Cow<'a, str>,
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<Cow<'a, str>>,
    /// How much time is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline_ms: Option<u64>,
    /// The apps that wait for it, the first caller first; none: it comes from outside.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    callers: Vec<Cow<'a, str>>,
}

impl<'a> Context<'a> {
    /// That of a request to an app.
    pub(crate) fn new(app: &'a str, context: &'a CallContext) -> Self {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now()).as_millis();
        Self {
            app: app.into(),
            request_id: context.request_id().into(),
            traceparent: context.traceparent().map(Into::into),
            deadline_ms: context.deadline().map(|deadline| u64::try_from(left(deadline)).unwrap_or(u64::MAX)),
            callers: context.callers().into_iter().map(Into::into).collect(),
        }
    }

    /// Whether it comes from outside, and not from another app.
    pub(crate) fn is_from_outside(&self) -> bool {
        self.callers.is_empty()
    }

    /// The context of the request on this host.
    pub(crate) fn to_call_context(&self) -> CallContext {
        let callers = self.callers.iter().map(|caller| &**caller);
        let mut context = CallContext::passed_on(&self.request_id, self.traceparent.as_deref(), callers);
        let left = self.deadline_ms.map(Duration::from_millis);
        if let Some(deadline) = left.and_then(|left| Instant::now().checked_add(left)) {
            context.set_deadline(deadline);
        }
        context
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_comes_to_the_other_host() {
        let mut context = CallContext::passed_on("id", Some("00-1-2-01"), ["a", "b"]);
        context.set_deadline(Instant::now() + Duration::from_secs(60));
        let text = serde_json::to_vec(&Context::new("shop", &context)).unwrap();
        let read: Context<'_> = serde_json::from_slice(&text).unwrap();
        assert_eq!((&*read.app, read.is_from_outside()), ("shop", false));
        let there = read.to_call_context();
        assert_eq!((there.request_id(), there.traceparent()), ("id", Some("00-1-2-01")));
        assert_eq!(there.callers(), ["a", "b"]);
        let left = there.remaining(Duration::from_secs(100));
        assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");

        let outside = serde_json::to_vec(&Context::new("shop", &CallContext::new("1", None))).unwrap();
        assert_eq!(String::from_utf8_lossy(&outside), r#"{"app":"shop","request_id":"1"}"#);
        let read: Context<'_> = serde_json::from_slice(&outside).unwrap();
        assert!(read.is_from_outside() && read.to_call_context().deadline().is_none());
        // A time that no clock reaches is none.
        let endless = r#"{"app":"a","request_id":"1","deadline_ms":18446744073709551615}"#;
        serde_json::from_str::<Context<'_>>(endless).unwrap().to_call_context();
    }
}
