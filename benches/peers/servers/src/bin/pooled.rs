//! Apps as processes that speak HTTP, over connections that each of the front's threads keeps: `pooled ADDRESS`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use hyper_util::rt::TokioIo;
use peer_servers::process::{Processes, Speech};
use peer_servers::{Apps, argument, serve};
use tokio::net::UnixStream;

type Connection = SendRequest<Empty<Bytes>>;

struct Front {
    processes: Arc<Processes>,
    /// The connections of each app that wait for a request.
    idle: RefCell<HashMap<String, Vec<Connection>>>,
}

impl Front {
    async fn connection(&self, app: &str) -> anyhow::Result<Connection> {
        let idle = || self.idle.borrow_mut().get_mut(app).and_then(Vec::pop);
        while let Some(mut connection) = idle() {
            if connection.ready().await.is_ok() {
                return Ok(connection);
            }
        }
        let process = self.processes.app(app)?;
        let stream = UnixStream::connect(process.socket()).await?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        actix_web::rt::spawn(async move {
            if let Err(error) = driver.await {
                eprintln!("a connection to an app: {error}");
            }
        });
        Ok(connection)
    }

    fn put_back(&self, app: &str, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        match idle.get_mut(app) {
            Some(idle) => idle.push(connection),
            None => _ = idle.insert(app.to_owned(), vec![connection]),
        }
    }
}

impl Apps for Front {
    async fn answer(&self, app: &str, path: &str, request: &HttpRequest) -> anyhow::Result<HttpResponse> {
        let mut passed = hyper::Request::builder().uri(path);
        for (name, value) in request.headers() {
            if name != CONNECTION.as_str() {
                passed = passed.header(name.as_str(), value.as_bytes());
            }
        }
        let mut connection = self.connection(app).await?;
        let (head, body) = connection.send_request(passed.body(Empty::new())?).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        self.put_back(app, connection);

        let mut response = HttpResponse::build(StatusCode::from_u16(head.status.as_u16())?);
        for (name, value) in &head.headers {
            // These are of the connection to the app, or the front says them itself.
            if ![CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING].contains(name) {
                response.append_header((name.as_str(), value.as_bytes()));
            }
        }
        Ok(response.body(body))
    }
}

fn main() -> anyhow::Result<()> {
    let processes = Arc::new(Processes::new(Speech::Http)?);
    let front = move || Front { processes: processes.clone(), idle: RefCell::default() };
    Ok(serve(&argument(1)?, front)?)
}
