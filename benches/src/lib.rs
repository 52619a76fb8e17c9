//! What Atoll is compared with: the handler of the app `hello`, in a plain actix-web server.

use std::io;
use std::net::TcpListener;

use actix_web::dev::Server;
use actix_web::{App, HttpResponse, HttpServer, web};
use serde::{Deserialize, Serialize};

/// The parameters of the route, and the answer.
#[derive(Debug, Deserialize, Serialize)]
struct Greeting {
    name: String,
}

async fn greet(greeting: web::Path<Greeting>) -> HttpResponse {
    HttpResponse::Ok().json(&*greeting)
}

/// A server with the same path and the same answer as the host with `hello`, and as many threads.
///
/// # Errors
/// The listener cannot be used.
pub fn bare_server(listener: TcpListener) -> io::Result<Server> {
    Ok(HttpServer::new(|| App::new().route("/apps/hello/greet/{name}", web::get().to(greet)))
        .disable_signals()
        .listen(listener)?
        .run())
}
