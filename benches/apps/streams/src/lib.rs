//! What the benches of streams and WebSockets ask of an app.
//!
//! | request | answer |
//! |---|---|
//! | `POST /echo` | the body, piece by piece as it comes |
//! | `GET /events/{count}` | so many server-sent events, as fast as the client takes them |
//! | `GET /pushes` | a WebSocket: a text that is a number is answered with so many messages |
//! | `GET /echoes` | a WebSocket: each text is sent back |

pub mod message;

use atoll_plugin::prelude::*;
use atoll_plugin::sse::Event;
use atoll_plugin::ws::{Message, WebSocket};
use futures_util::stream;

use message::message;

fn events(req: Request) -> Result<Response, Error> {
    let count: u64 = req.param("count").unwrap_or_default().parse()?;
    Ok(Response::events(stream::iter((0..count).map(|number| Event::data(message(number))))))
}

async fn push(mut socket: WebSocket) {
    while let Some(Message::Text(count)) = socket.receive().await {
        for number in 0..count.parse().unwrap_or(0) {
            if socket.send(Message::text(message(number))).await.is_err() {
                return;
            }
        }
    }
}

async fn echo(mut socket: WebSocket) {
    while let Some(Message::Text(text)) = socket.receive().await {
        if socket.send(Message::Text(text)).await.is_err() {
            return;
        }
    }
}

fn app() -> Application {
    Application::new()
        .post("/echo", streamed(|req: Request| Response::bytes(req.body_stream())))
        .get("/events/{count}", events)
        .get("/pushes", |req: Request| req.websocket(push))
        .get("/echoes", |req: Request| req.websocket(echo))
}
atoll_plugin::export_app!(app);
