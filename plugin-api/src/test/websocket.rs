//! A WebSocket's client.

use std::fmt;

use serde::de::DeserializeOwned;

use super::client::Client;
use super::connection::{FromTest, Kind};
use crate::http::request_builder::RequestBuilder;
use crate::http::ws::Message;
use crate::worker::host::Fetched;

/// The handshake's headers, as a host passes them on; the key is the one of RFC 6455.
const HANDSHAKE: [(&str, &str); 4] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// The client's end of a WebSocket: of [`TestApp::websocket`](super::TestApp::websocket). Dropped, it is a client that is gone without a
/// word.
///
/// All that waits does so at most for the test's [deadline](super::Builder::deadline), and then panics.
///
/// ```
/// use atoll_plugin::prelude::*;
/// use atoll_plugin::test::TestApp;
/// use atoll_plugin::ws::Message;
///
/// let app = TestApp::new(|| {
///     Application::new().get("/greet", |req: Request| {
///         req.websocket(async |mut socket| {
///             while let Some(Message::Text(name)) = socket.receive().await {
///                 let _ = socket.send(Message::text(format!("hello {name}"))).await;
///             }
///         })
///     })
/// });
/// let mut socket = app.websocket("/greet");
/// socket.send_text("ann");
/// assert_eq!(socket.receive(), Some(Message::text("hello ann")));
/// socket.close(1000, "");
/// ```
pub struct WebSocket {
    inner: Inner,
    closed: bool,
}

enum Inner {
    /// The app is sent messages.
    Messages(Client),
    /// The app is sent the bytes of a connection.
    #[cfg(feature = "tower")]
    Frames(Box<super::tunnel::Frames>),
}

impl WebSocket {
    /// The request for a WebSocket.
    pub(super) fn handshake(request: RequestBuilder) -> RequestBuilder {
        HANDSHAKE.into_iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// The WebSocket that a request was answered with; or else the answer.
    #[track_caller]
    pub(super) fn open(mut client: Client) -> Result<Self, Fetched> {
        let inner = match client.head().kind {
            Kind::WebSocket => Inner::Messages(client),
            #[cfg(feature = "tower")]
            Kind::Tunnel => Inner::Frames(Box::new(super::tunnel::Frames::new(client))),
            _ => return Err(client.collect()),
        };
        Ok(Self { inner, closed: false })
    }

    /// Sends a text.
    #[track_caller]
    pub fn send_text(&mut self, text: impl Into<String>) {
        self.send(Message::text(text));
    }

    /// Sends a message, once the app takes it. [`Message::Close`] says that the client closes the WebSocket.
    #[track_caller]
    pub fn send(&mut self, message: Message) {
        match &mut self.inner {
            Inner::Messages(client) => {
                client.send(|taken| FromTest::Message(message, taken), "take another message");
            }
            #[cfg(feature = "tower")]
            Inner::Frames(frames) => frames.send(message),
        }
    }

    /// The next message of the app's. The last one is [`Message::Close`], after which there is `None`.
    #[track_caller]
    pub fn receive(&mut self) -> Option<Message> {
        if self.closed {
            return None;
        }
        let message = match &mut self.inner {
            Inner::Messages(client) => {
                client.message().unwrap_or_else(|| Message::Close(1006, "the connection is lost".to_owned()))
            }
            #[cfg(feature = "tower")]
            Inner::Frames(frames) => frames.receive(),
        };
        self.closed = matches!(message, Message::Close(..));
        Some(message)
    }

    /// The next message, which is a text.
    ///
    /// # Panics
    /// It is something else.
    #[track_caller]
    pub fn receive_text(&mut self) -> String {
        match self.receive() {
            Some(Message::Text(text)) => text,
            other => panic!("expected a text, and there was {other:?}"),
        }
    }

    /// The next message, which is a text with JSON in it.
    ///
    /// # Panics
    /// It is something else.
    #[track_caller]
    pub fn receive_json<T: DeserializeOwned>(&mut self) -> T {
        let text = self.receive_text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// Closes the WebSocket, and waits until the app has closed it, too.
    #[track_caller]
    pub fn close(mut self, code: u16, reason: &str) {
        if self.closed {
            return;
        }
        self.send(Message::Close(code, reason.to_owned()));
        while self.receive().is_some() {}
        if let Inner::Messages(client) = &mut self.inner {
            while client.message().is_some() {}
        }
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebSocket")
    }
}
