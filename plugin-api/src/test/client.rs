//! The client of one request: what a test sends, and what comes back.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use atoll_port::exchange::{Target as _, WHOLE_LIMIT};
use bytes::Bytes;
use futures_util::future::AbortHandle;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::connection::{Connection, FromApp, FromTest, Head, Kind, WINDOW};
use super::generation::TestGeneration;
use crate::http::payload::Payload;
use crate::http::request_builder::RequestBuilder;
use crate::http::ws::Message;
use crate::protocol::Header;
use crate::worker::host::Fetched;

/// A request whose answer, or whose streams, are not over yet. Dropping it earlier cancels the request.
pub(super) struct Client {
    app: String,
    patience: Duration,
    to_app: UnboundedSender<FromTest>,
    from_app: Receiver<FromApp>,
    /// How much may be on the way to the test.
    window: Arc<Semaphore>,
    head: Option<Head>,
    trailers: Vec<Header<'static>>,
    task: AbortHandle,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    /// Sends a request, with the body that it has; `uploads`: the test sends it piece by piece.
    pub(super) fn begin(app: &Arc<TestGeneration>, request: RequestBuilder, uploads: bool) -> Self {
        let (mut head, body) = request.of_client().into_parts();
        let missing = |name: &str| !head.headers.iter().any(|header| header.0 == name);
        if !uploads && !body.is_empty() && missing("content-length") {
            head.headers.push(Header("content-length".into(), body.len().to_string().into()));
        }
        if head.prefix.is_empty() {
            head.prefix = format!("/apps/{}", app.name()).into();
        }
        head.request_id = app.request_id().into();
        head.headers.push(Header("x-request-id".into(), head.request_id.clone()));
        let (to_app, from_test) = unbounded_channel();
        let (to_test, from_app) = channel();
        let window = Arc::new(Semaphore::new(WINDOW as usize));
        let connection = Connection { app: app.clone(), to_test, from_test, window: window.clone() };
        let task = connection.start(head, (!uploads).then_some(body));
        let (app, patience) = (app.name().to_owned(), app.patience);
        Self { app, patience, to_app, from_app, window, head: None, trailers: Vec::new(), task }
    }

    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// The next thing that comes; `what` it is that the app does for it.
    #[track_caller]
    fn receive(&self, until: Instant, what: &str) -> Option<FromApp> {
        match self.from_app.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(FromApp::TooLate) | Err(RecvTimeoutError::Timeout) => {
                panic!("the app `{}` did not {what} within {:?}", self.app, self.patience)
            }
            Ok(event) => {
                self.window.add_permits(event.size() as usize);
                Some(event)
            }
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// The head of the answer, with the body if that is whole.
    #[track_caller]
    pub(super) fn head(&mut self) -> &mut Head {
        self.head_after("answer")
    }

    #[track_caller]
    fn head_after(&mut self, what: &str) -> &mut Head {
        if self.head.is_none() {
            match self.receive(self.until(), what) {
                Some(FromApp::Head(head)) => self.head = Some(head),
                _ => panic!("the head of an answer comes first"),
            }
        }
        self.head.as_mut().expect("it has just come")
    }

    /// The next piece of the answer's body; `None` at its end.
    ///
    /// # Errors
    /// The body ends before it is complete.
    #[track_caller]
    pub(super) fn chunk(&mut self, until: Instant, what: &str) -> Option<Result<Bytes, String>> {
        self.head();
        loop {
            match self.receive(until, what)? {
                FromApp::Chunk(chunk) => return Some(chunk),
                FromApp::Trailers(trailers) => self.trailers = trailers,
                FromApp::Head(_) | FromApp::Message(_) | FromApp::TooLate => {}
            }
        }
    }

    /// The trailers of the answer, which come with its end.
    pub(super) fn trailers(&self) -> &[Header<'static>] {
        &self.trailers
    }

    /// The next message of a WebSocket; `None` when both sides have closed it.
    #[track_caller]
    pub(super) fn message(&mut self) -> Option<Message> {
        match self.receive(self.until(), "send anything more")? {
            FromApp::Message(message) => Some(message),
            FromApp::Head(_) | FromApp::Chunk(_) | FromApp::Trailers(_) | FromApp::TooLate => None,
        }
    }

    /// The whole answer.
    #[track_caller]
    pub(super) fn collect(mut self) -> Fetched {
        match self.head().kind {
            Kind::Whole => {}
            Kind::Stream => {
                let body = self.rest();
                self.head().response.set_body(Payload::Vec(body));
            }
            Kind::WebSocket | Kind::Tunnel => {
                panic!("the app `{}` opened a WebSocket: connect with `TestApp::websocket`", self.app)
            }
        }
        self.head.take().expect("it has come").response
    }

    /// The rest of the answer's body.
    #[track_caller]
    fn rest(&mut self) -> Vec<u8> {
        let (mut body, until) = (Vec::new(), self.until());
        while let Some(chunk) =
            self.chunk(until, "end its answer (read one that has no end with `TestApp::stream`)")
        {
            match chunk {
                Ok(bytes) => body.extend_from_slice(&bytes),
                Err(why) => panic!("the response of the app `{}` is incomplete: {why}", self.app),
            }
        }
        body
    }

    /// Sends pieces of the request's body, and waits until the app takes them.
    #[track_caller]
    pub(super) fn send_pieces(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(WHOLE_LIMIT) {
            let piece = Bytes::copy_from_slice(piece);
            self.send(|taken| FromTest::Piece(piece, taken), "take more of the request's body");
        }
    }

    /// Sends something, and waits until the app takes it. One that is over takes no more.
    #[track_caller]
    pub(super) fn send(
        &mut self,
        from_test: impl FnOnce(std::sync::mpsc::Sender<()>) -> FromTest,
        what: &str,
    ) {
        let (taken, is_taken) = channel();
        self.tell(from_test(taken));
        match is_taken.recv_timeout(self.patience) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => {
                panic!("the app `{}` did not {what} within {:?}", self.app, self.patience)
            }
            // It was answered, or the app was too late.
            Err(RecvTimeoutError::Disconnected) => _ = self.head_after(what),
        }
    }

    /// Sends something, for which the test does not wait. One that is over takes no more.
    pub(super) fn tell(&self, from_test: FromTest) {
        let _ = self.to_app.send(from_test);
    }
}
