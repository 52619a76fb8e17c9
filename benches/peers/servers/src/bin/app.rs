//! The app as a process with one thread, which listens at the Unix socket that is its standard input:
//! `app http` or `app frames`.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use actix_web::{App, HttpResponse, HttpServer, web};
use peer_servers::{argument, exchange, frame};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[derive(Deserialize, Serialize)]
struct Greeting {
    name: String,
}

async fn greet(greeting: web::Path<Greeting>) -> HttpResponse {
    HttpResponse::Ok().json(&*greeting)
}

async fn http(listener: UnixListener) -> io::Result<()> {
    let app = || App::new().route("/greet/{name}", web::get().to(greet));
    HttpServer::new(app).workers(1).listen_uds(listener)?.run().await
}

async fn frames(listener: UnixListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        actix_web::rt::spawn(async move {
            if let Err(error) = connection(stream).await {
                eprintln!("a connection of the front: {error}");
            }
        });
    }
}

/// Answers the frames of one connection; those that come together are answered together.
async fn connection(mut stream: tokio::net::UnixStream) -> io::Result<()> {
    let (mut input, mut output) = (Vec::with_capacity(64 * 1024), Vec::new());
    while stream.read_buf(&mut input).await? > 0 {
        frame::take(&mut input, |number, request| frame::put(&mut output, number, &exchange::greet(request)));
        stream.write_all(&output).await?;
        output.clear();
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    actix_web::rt::System::new().block_on(async {
        match argument(1)?.as_str() {
            "http" => http(listener).await,
            "frames" => frames(listener).await,
            other => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`http` or `frames`, and not `{other}`"),
            )),
        }
    })
}
