//! A request whose bodies come and go piece by piece.

use std::fmt;

use super::client::Client;
use super::connection::{FromTest, Kind};
use crate::http::header;
use crate::http::sse::Event;
use crate::http::stream::Chunk;
use crate::worker::host::Fetched;
use atoll_protocol::Error;

/// A request whose bodies are sent and read piece by piece, at any speed: of [`TestApp::stream`](super::TestApp::stream)
/// and [`TestApp::upload`](super::TestApp::upload). Dropped before its end, it is a client that has left: the app drops its handler.
///
/// All that waits does so at most for the test's [deadline](super::Builder::deadline), and then panics.
///
/// ```
/// use atoll_plugin::prelude::*;
/// use atoll_plugin::test::TestApp;
///
/// let app = TestApp::new(|| {
///     Application::new().post("/echo", streamed(|req: Request| Response::bytes(req.body_stream())))
/// });
/// let mut echo = app.upload(Request::post("/echo"));
/// echo.send("one");
/// assert_eq!(echo.chunk().unwrap()?, "one".into());
/// echo.send("two");
/// echo.end();
/// assert_eq!(echo.into_response().text(), "two");
/// # Ok::<_, Error>(())
/// ```
pub struct Stream {
    client: Client,
    ended: bool,
    events: Events,
}

impl Stream {
    pub(super) fn new(client: Client) -> Self {
        Self { client, ended: false, events: Events::default() }
    }

    /// Sends a piece of the request's body, once the app takes it. One that answers while it reads takes no more than a
    /// few hundred kilobytes before its answer is read.
    #[track_caller]
    pub fn send(&mut self, piece: impl AsRef<[u8]>) {
        self.client.send_pieces(piece.as_ref());
    }

    /// The request's body is complete.
    pub fn end(&mut self) {
        self.client.tell(FromTest::End(Ok(Vec::new())));
    }

    /// The request's body is complete, and these are its trailers.
    ///
    /// # Panics
    /// One of them cannot be sent: its name is no token, or its value has a line break.
    #[track_caller]
    pub fn end_with<'a>(&mut self, trailers: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let trailer = |(name, value)| match header::checked(name, value) {
            Ok(trailer) => trailer,
            Err(error) => panic!("{}", error.message()),
        };
        self.client.tell(FromTest::End(Ok(trailers.into_iter().map(trailer).collect())));
    }

    /// Aborts the request's body; the app gets the reason.
    pub fn fail(&mut self, why: &str) {
        self.client.tell(FromTest::End(Err(why.to_owned())));
    }

    /// The status of the answer, once it is there.
    #[track_caller]
    pub fn status(&mut self) -> u16 {
        self.client.head().response.status()
    }

    /// The first header of this name of the answer, once it is there.
    #[track_caller]
    pub fn header(&mut self, name: &str) -> Option<String> {
        self.client.head().response.header(name).map(std::borrow::Cow::into_owned)
    }

    /// The next piece of the answer's body; `None` at its end.
    ///
    /// # Errors
    /// The answer ends before it is complete; the message is the app's.
    #[track_caller]
    pub fn chunk(&mut self) -> Option<Result<Chunk, Error>> {
        if self.ended {
            return None;
        }
        let head = self.client.head();
        if head.kind == Kind::Whole {
            self.ended = true;
            let body = Chunk(head.response.take_body());
            return (!body.is_empty()).then_some(Ok(body));
        }
        let until = self.client.until();
        let chunk = self.client.chunk(until, "send anything more");
        self.ended = !matches!(chunk, Some(Ok(_)));
        let chunk = chunk?.map(|bytes| Chunk::from(Vec::from(bytes)));
        Some(chunk.map_err(|why| Error::new(502, why)))
    }

    /// The first trailer of this name of the answer. There are none before the answer has ended: read it to its end with
    /// [`chunk`](Self::chunk) first.
    ///
    /// ```
    /// # #[cfg(feature = "axum")] {
    /// use atoll_plugin::prelude::*;
    /// use atoll_plugin::test::TestApp;
    ///
    /// async fn echo(request: axum::extract::Request) -> axum::body::Body {
    ///     request.into_body()
    /// }
    ///
    /// let app = TestApp::new(|| axum::Router::new().fallback(echo));
    /// let mut echo = app.upload(Request::post("/"));
    /// echo.send("text");
    /// echo.end_with([("x-sum", "7")]);
    /// assert_eq!(echo.chunk().unwrap().unwrap(), "text".into());
    /// assert!(echo.chunk().is_none());
    /// assert_eq!(echo.trailer("x-sum").as_deref(), Some("7"));
    /// # }
    /// ```
    pub fn trailer(&self, name: &str) -> Option<String> {
        header::find(self.client.trailers(), name).map(|header| header::value_text(header).into_owned())
    }

    /// The next of the answer's [server-sent events](crate::http::sse); `None` at the answer's end. Comments are no events.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    /// use atoll_plugin::sse::Event;
    /// use atoll_plugin::test::TestApp;
    /// use futures_util::stream;
    ///
    /// let app = TestApp::new(|| {
    ///     Application::new()
    ///         .get("/ticks", |_: Request| Response::events(stream::iter([Event::data("tick").id("1")])))
    /// });
    /// let mut ticks = app.stream("/ticks");
    /// assert_eq!(ticks.event(), Some(Event::data("tick").id("1")));
    /// assert_eq!(ticks.event(), None);
    /// ```
    #[track_caller]
    pub fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.next() {
                return Some(event);
            }
            match self.chunk()? {
                Ok(chunk) => self.events.add(&chunk),
                Err(error) => panic!("the event stream is incomplete: {error}"),
            }
        }
    }

    /// Ends the request's body, and waits for all that is left of the answer.
    #[track_caller]
    pub fn into_response(mut self) -> Fetched {
        self.end();
        self.client.collect()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

/// The events in a text that comes piece by piece.
#[derive(Default)]
struct Events {
    /// What has come, with `\n` as the only end of a line.
    text: Vec<u8>,
    /// The last byte was `\r`, which a `\n` may follow.
    after_return: bool,
}

impl Events {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let is_rest = std::mem::replace(&mut self.after_return, *byte == b'\r') && *byte == b'\n';
            if !is_rest {
                self.text.push(if *byte == b'\r' { b'\n' } else { *byte });
            }
        }
    }

    fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.text.windows(2).position(|ends| ends == b"\n\n")? + 2;
            let text: Vec<u8> = self.text.drain(..end).collect();
            if let Some(event) = Event::parse(&String::from_utf8_lossy(&text)) {
                return Some(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whatever_their_pieces_and_ends_of_lines() {
        let text = ": comment\n\nevent: tick\r\nid:7\rdata: one\rdata\r\n\r\ndata:two\n\ndata: unfinished\n";
        for length in 1..text.len() {
            let mut events = Events::default();
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(length) {
                events.add(piece);
                found.extend(std::iter::from_fn(|| events.next()));
            }
            assert_eq!(found, [Event::data("one\n").event("tick").id("7"), Event::data("two")], "{length}");
        }
    }
}
