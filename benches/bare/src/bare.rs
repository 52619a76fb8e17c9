//! The handlers of the apps `hello` and `bench-streams` in a plain actix-web server.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;

use actix_web::dev::Server;
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, rt, web};
use actix_ws::{Message, MessageStream, Session};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::message::message;

/// The parameters of the route, and the answer.
#[derive(Debug, Deserialize, Serialize)]
struct Greeting {
    name: String,
}

async fn greet(greeting: web::Path<Greeting>) -> HttpResponse {
    HttpResponse::Ok().json(&*greeting)
}

async fn echo(body: web::Payload) -> HttpResponse {
    HttpResponse::Ok().streaming(body)
}

async fn events(count: web::Path<u64>) -> HttpResponse {
    let event = |number| Ok::<_, Infallible>(web::Bytes::from(format!("data: {}\n\n", message(number))));
    HttpResponse::Ok().content_type("text/event-stream").streaming(stream::iter((0..*count).map(event)))
}

async fn push(mut session: Session, mut messages: MessageStream) {
    while let Some(Ok(Message::Text(count))) = messages.next().await {
        for number in 0..count.parse().unwrap_or(0) {
            if session.text(message(number)).await.is_err() {
                return;
            }
        }
    }
}

async fn echo_messages(mut session: Session, mut messages: MessageStream) {
    while let Some(Ok(Message::Text(text))) = messages.next().await {
        if session.text(text).await.is_err() {
            return;
        }
    }
}

async fn pushes(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, Error> {
    let (response, session, messages) = actix_ws::handle(&request, body)?;
    rt::spawn(push(session, messages));
    Ok(response)
}

async fn echoes(request: HttpRequest, body: web::Payload) -> Result<HttpResponse, Error> {
    let (response, session, messages) = actix_ws::handle(&request, body)?;
    rt::spawn(echo_messages(session, messages));
    Ok(response)
}

/// A server with the same paths and the same answers as a host with `hello` and `bench-streams`, and as many threads.
///
/// # Errors
/// The listener cannot be used.
pub fn bare_server(listener: TcpListener) -> io::Result<Server> {
    let server = HttpServer::new(|| {
        App::new()
            .route("/apps/hello/greet/{name}", web::get().to(greet))
            .route("/apps/bench-streams/echo", web::post().to(echo))
            .route("/apps/bench-streams/events/{count}", web::get().to(events))
            .route("/apps/bench-streams/pushes", web::get().to(pushes))
            .route("/apps/bench-streams/echoes", web::get().to(echoes))
    });
    Ok(server.disable_signals().listen(listener)?.run())
}
