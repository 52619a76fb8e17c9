//! The connection of a client with an app: it runs on the host's thread, and is to a test what a connection of HTTP is to
//! a client.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use atoll_port::CallContext;
use atoll_port::exchange::websocket::{self, Closed, WebSocketClient};
use atoll_port::exchange::{self, BodyPart, BodySource, RequestBody, ResponseBody, pace};
use atoll_port::problem::{Problem, ProblemKind};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream;
use http::{HeaderName, HeaderValue};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;

use super::generation::TestGeneration;
use super::thread;
use crate::abi::Buffer;
use crate::http::payload::Payload;
use crate::http::stream::Item;
use crate::http::ws::Message;
use crate::protocol::{Header, HttpRequest, INITIAL_CREDIT, WsKind, header_text, piece_credit};
use crate::worker::host::Fetched;

/// How much may be on its way to the test, as in the buffers of a connection, counted as credit is.
pub(super) const WINDOW: u32 = INITIAL_CREDIT as u32;

/// The head of an answer.
pub(super) struct Head {
    pub(super) response: Fetched,
    pub(super) kind: Kind,
}

/// What comes after the head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: the response is whole.
    Whole,
    /// The rest of the response.
    Stream,
    /// Messages.
    WebSocket,
    /// The bytes of a WebSocket's connection that a `tower` service has accepted.
    Tunnel,
}

/// What comes for a test.
pub(super) enum FromApp {
    Head(Head),
    Chunk(Result<Bytes, String>),
    /// They come after the last chunk.
    Trailers(Vec<Header<'static>>),
    Message(Message),
    /// The app has not answered within its deadline.
    TooLate,
}

impl FromApp {
    /// How much of the window it takes.
    pub(super) fn size(&self) -> u32 {
        let bytes = match self {
            Self::Chunk(Ok(bytes)) => bytes.len(),
            Self::Message(Message::Text(text)) => text.len(),
            Self::Message(Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes)) => {
                bytes.len()
            }
            Self::Head(_)
            | Self::Chunk(Err(_))
            | Self::Trailers(_)
            | Self::Message(Message::Close(..))
            | Self::TooLate => return 0,
        };
        u32::try_from(piece_credit(bytes)).unwrap_or(WINDOW).min(WINDOW)
    }
}

/// What a test sends after the head of its request. What it waits for gets a message when it is taken.
pub(super) enum FromTest {
    Piece(Bytes, Sender<()>),
    /// The body of the request ends, with these trailers, or for this reason before it is complete.
    End(Result<Vec<Header<'static>>, String>),
    Message(Message, Sender<()>),
}

pub(super) struct Connection {
    pub(super) app: Arc<TestGeneration>,
    pub(super) to_test: Sender<FromApp>,
    pub(super) from_test: UnboundedReceiver<FromTest>,
    pub(super) window: Arc<Semaphore>,
}

impl Connection {
    /// Sends a request with this body, or with the one that the test sends. What is returned cancels it.
    pub(super) fn start(self, head: HttpRequest<'static>, body: Option<Vec<u8>>) -> AbortHandle {
        let (abort, registration) = AbortHandle::new_pair();
        thread::spawn(move || async move {
            // A test that has let go of it waits for nothing.
            let _ = Abortable::new(self.run(head, body), registration).await;
        });
        abort
    }

    async fn run(mut self, request: HttpRequest<'static>, body: Option<Vec<u8>>) {
        let body = match body {
            Some(body) if body.is_empty() => RequestBody::None,
            Some(body) => Bytes::from(body).into(),
            None => RequestBody::Stream(self.pieces(), pace::BODY_TIMEOUT),
        };
        let (is_head, request_id) = (request.method == "HEAD", request.request_id.to_string());
        let app = self.app.clone();
        let read = |_: exchange::Answered<'_, _>, head: crate::protocol::HttpResponse<'_>, body| {
            let headers = head.headers.into_iter();
            let headers = headers
                .map(|Header(name, value)| Header(name.into_owned().into(), value.into_owned().into()));
            (Fetched::new(head.status, headers.collect(), Payload::Empty), body)
        };
        let context = CallContext::of_http(&request);
        let (mut response, body) = match exchange::http(&*app, request, body, context, read).await {
            Ok(answer) => answer,
            Err(problem) => return self.refuse(problem, &request_id).await,
        };
        let status = response.status();
        match body {
            // As for a client over HTTP, there is none, whatever the app sends.
            _ if is_head || matches!(status, 204 | 304) => self.begin(response, Kind::Whole).await,
            ResponseBody::Whole(bytes) => {
                response.set_body(Payload::Vec(bytes.into()));
                self.begin(response, Kind::Whole).await;
            }
            ResponseBody::WebSocket(exchange) => {
                self.begin(response, Kind::WebSocket).await;
                websocket::serve(self, exchange).await;
            }
            ResponseBody::Stream(mut download) => {
                let kind = if status == 101 { Kind::Tunnel } else { Kind::Stream };
                if kind == Kind::Tunnel {
                    download.carry_websocket(self.pieces());
                }
                self.begin(response, kind).await;
                while let Some(chunk) = download.next().await {
                    self.put(FromApp::Chunk(chunk.map_err(|error| error.to_string()))).await;
                }
                if let Some(trailers) = download.take_trailers() {
                    let header = |(name, value): (&HeaderName, &HeaderValue)| {
                        Header(name.to_string().into(), header_text(value.as_bytes()).into_owned().into())
                    };
                    self.put(FromApp::Trailers(trailers.iter().map(header).collect())).await;
                }
            }
        }
    }

    /// The pieces that the test sends.
    fn pieces(&mut self) -> BodySource {
        let from_test = std::mem::replace(&mut self.from_test, tokio::sync::mpsc::unbounded_channel().1);
        Box::pin(stream::unfold(from_test, async |mut from_test| match from_test.recv().await? {
            FromTest::Piece(piece, taken) => {
                // The test may have stopped waiting.
                let _ = taken.send(());
                Some((Ok(BodyPart::Data(piece)), from_test))
            }
            FromTest::End(Ok(trailers)) if trailers.is_empty() => None,
            FromTest::End(end) => Some((end.map(BodyPart::Trailers), from_test)),
            FromTest::Message(..) => None,
        }))
    }

    async fn begin(&self, response: Fetched, kind: Kind) {
        self.put(FromApp::Head(Head { response, kind })).await;
    }

    /// Answers as a host does, with the reason as for the app's developers.
    async fn refuse(&self, problem: Problem, request_id: &str) {
        let (status, json) = (problem.kind().status(), problem.to_json(request_id));
        if problem.kind() == ProblemKind::DeadlineExceeded && problem.into_said().is_none() {
            return self.put(FromApp::TooLate).await;
        }
        let headers = vec![Header("content-type".into(), "application/problem+json".into())];
        self.begin(Fetched::new(status, headers, Payload::Vec(json.into())), Kind::Whole).await;
    }

    /// Sends the test something, when it has taken enough of what was sent before.
    async fn put(&self, event: FromApp) {
        if let Ok(permits) = self.window.acquire_many(event.size()).await {
            permits.forget();
        }
        // The test may have let go of it just now.
        let _ = self.to_test.send(event);
    }
}

impl WebSocketClient for Connection {
    type Incoming = Option<FromTest>;

    async fn next(&mut self) -> Option<FromTest> {
        self.from_test.recv().await
    }

    async fn read(&mut self, incoming: Option<FromTest>) -> Result<Option<(WsKind, Bytes)>, Closed> {
        let Some(FromTest::Message(message, taken)) = incoming else { return Err(Closed::Lost) };
        // The test may have stopped waiting.
        let _ = taken.send(());
        match message.into_parts() {
            Ok((kind, bytes)) => {
                let bytes = Bytes::copy_from_slice(&bytes);
                if kind == WsKind::Ping {
                    self.put(FromApp::Message(Message::Pong(bytes.to_vec().into()))).await;
                }
                Ok(Some((kind, bytes)))
            }
            Err((code, reason)) => {
                self.put(FromApp::Message(Message::Close(code, reason.clone()))).await;
                Err(Closed::ByClient(code, reason))
            }
        }
    }

    async fn feed(&mut self, kind: WsKind, bytes: Buffer) -> Result<(), Closed> {
        self.put(FromApp::Message(Message::of(Item::Message(kind, bytes)))).await;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Closed> {
        Ok(())
    }

    async fn close(self, code: u16, reason: &str) {
        self.put(FromApp::Message(Message::Close(code, reason.to_owned()))).await;
    }
}
