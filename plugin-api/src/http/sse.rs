//! Server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::fmt;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde::Serialize;

use crate::http::body::Body;
use crate::http::response::Response;
use crate::http::stream::Chunk;
use atoll_protocol::Error;

/// One event of a [`Response::events`].
///
/// ```
/// use atoll_plugin::sse::Event;
///
/// let event = Event::data("one\ntwo").event("tick").id("7");
/// assert_eq!(event.to_string(), "event: tick\nid: 7\ndata: one\ndata: two\n\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Event {
    fields: String,
    data: String,
}

impl Event {
    /// An event with text, which may have several lines.
    pub fn data(text: impl AsRef<str>) -> Self {
        let mut data = String::new();
        for line in lines(text.as_ref()) {
            field(&mut data, "data", line);
        }
        Self { fields: String::new(), data }
    }

    /// An event with a value as JSON.
    ///
    /// # Errors
    /// The value does not serialize to JSON.
    pub fn json(value: &impl Serialize) -> Result<Self, Error> {
        Ok(Self::data(serde_json::to_string(value)?))
    }

    /// A comment, which clients ignore: it keeps an idle connection open.
    pub fn comment(text: impl AsRef<str>) -> Self {
        let mut fields = String::new();
        for line in lines(text.as_ref()) {
            field(&mut fields, "", line);
        }
        Self { fields, data: String::new() }
    }

    /// Sets the event's type; the default is `message`. Line breaks become spaces.
    pub fn event(mut self, name: impl AsRef<str>) -> Self {
        field(&mut self.fields, "event", &one_line(name.as_ref()));
        self
    }

    /// Sets the id that a reconnecting client sends as `Last-Event-ID`. Line breaks become spaces.
    pub fn id(mut self, id: impl AsRef<str>) -> Self {
        field(&mut self.fields, "id", &one_line(id.as_ref()));
        self
    }

    /// Sets how long a client waits before it reconnects.
    pub fn retry(mut self, wait: Duration) -> Self {
        field(&mut self.fields, "retry", &wait.as_millis().to_string());
        self
    }

    /// What is in its data; `""` when it has none.
    ///
    /// ```
    /// use atoll_plugin::sse::Event;
    ///
    /// let event = Event::data("one\ntwo").event("tick").id("7");
    /// assert_eq!(event.get_data(), "one\ntwo");
    /// assert_eq!((event.get_event(), event.get_id()), (Some("tick"), Some("7")));
    /// ```
    pub fn get_data(&self) -> String {
        let lines: Vec<_> =
            self.data.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line)).collect();
        lines.join("\n")
    }

    /// Its type, if it was set.
    pub fn get_event(&self) -> Option<&str> {
        self.get("event: ")
    }

    /// The id that a reconnecting client sends as `Last-Event-ID`.
    pub fn get_id(&self) -> Option<&str> {
        self.get("id: ")
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.fields.lines().rev().find_map(|line| line.strip_prefix(name))
    }

    /// One event as a client gets it; `None` when a client makes nothing of it, as of a comment.
    #[cfg(feature = "test")]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut event = Self::default();
        for line in text.lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "data" => field(&mut event.data, name, value),
                "event" | "id" | "retry" => field(&mut event.fields, name, value),
                _ => {}
            }
        }
        (event != Self::default()).then_some(event)
    }
}

/// The format knows three ends of a line.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r', '\0'], " ")
}

fn field(into: &mut String, name: &str, value: &str) {
    // With room for an empty line at the end.
    into.reserve(name.len() + value.len() + 4);
    for part in [name, ": ", value, "\n"] {
        into.push_str(part);
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}{}", self.fields, self.data)
    }
}

impl From<Event> for Chunk {
    fn from(event: Event) -> Self {
        let Event { fields, data } = event;
        let mut text = if fields.is_empty() { data } else { fields + &data };
        text.push('\n');
        text.into()
    }
}

impl Response {
    /// Server-sent events, sent as the stream yields them. The stream is dropped when the client disconnects. When the
    /// app is replaced, the response ends, and a browser's `EventSource` reconnects to the new version.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    /// use atoll_plugin::sse::Event;
    /// use futures_util::stream;
    ///
    /// let app = Application::new().get("/ticks", |_: Request| {
    ///     Response::events(stream::iter((0..3).map(|n| Event::data(n.to_string()))))
    /// });
    /// let response = app.oneshot(Request::get("/ticks"));
    /// assert_eq!(response.get_header("content-type").as_deref(), Some("text/event-stream"));
    /// ```
    pub fn events(events: impl Stream<Item = Event> + 'static) -> Self {
        let chunks = events.map(Ok::<_, Error>);
        Self::of_type("text/event-stream", Body::stream(chunks)).set_header("cache-control", "no-cache")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_break_out_of_its_field() {
        let event = Event::data("a\rb\r\nc\n").event("x\ndata: y").id("1\r2").retry(Duration::from_secs(2));
        let expected = "event: x data: y\nid: 1 2\nretry: 2000\ndata: a\ndata: b\ndata: c\ndata: \n\n";
        assert_eq!(event.to_string(), expected);
        assert_eq!(*Chunk::from(event), *expected.as_bytes());
        assert_eq!(*Chunk::from(Event::data("x")), *b"data: x\n\n");
        assert_eq!(Event::comment("still\nhere").to_string(), ": still\n: here\n\n");
        assert_eq!(Event::json(&[1, 2]).unwrap().to_string(), "data: [1,2]\n\n");
    }
}
