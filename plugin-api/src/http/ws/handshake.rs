//! The request for a WebSocket, and its answer.

use super::WebSocket;
use crate::http::request::Request;
use crate::http::response::Response;
use atoll_protocol::Error;

impl Request {
    /// Whether the client requests a WebSocket.
    pub fn is_websocket(&self) -> bool {
        self.method() == "GET"
            && self.header("upgrade").is_some_and(|name| name.eq_ignore_ascii_case("websocket"))
            && self.header("sec-websocket-key").is_some()
    }

    /// Accepts a WebSocket handshake: `serve` owns the open WebSocket until it returns. To select a subprotocol, add
    /// the header `sec-websocket-protocol` to the response.
    ///
    /// # Errors
    /// Status 426 if the request is not a handshake.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    /// use atoll_plugin::ws::Message;
    ///
    /// let app = Application::new().get("/echo", |req: Request| {
    ///     req.websocket(async |mut socket| {
    ///         while let Some(message) = socket.receive().await {
    ///             if let Message::Text(text) = message
    ///                 && socket.send(Message::Text(text)).await.is_err()
    ///             {
    ///                 return;
    ///             }
    ///         }
    ///     })
    /// });
    /// assert_eq!(app.oneshot(Request::get("/echo")).status_code(), 426);
    /// ```
    pub fn websocket(&self, serve: impl AsyncFnOnce(WebSocket) + 'static) -> Result<Response, Error> {
        if !self.is_websocket() {
            return Err(Error::new(426, "this path serves a WebSocket: connect with a WebSocket client"));
        }
        Ok(Response::websocket(Box::new(move |socket| Box::pin(async move { serve(socket).await }))))
    }
}
