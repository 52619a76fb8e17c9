//! A connection over which requests to the admin API are sent.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::error::AdminError;
use super::server::AdminServer;
use crate::admin::model::ProblemDetails;
use crate::tls::client;

/// The type of the content of a host's errors.
const PROBLEM: &str = "application/problem+json";

/// A connection over which requests are sent, one after the other.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    task: JoinHandle<()>,
    host: HeaderValue,
    token: Option<HeaderValue>,
    base_path: String,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// The system's, or the handshake fails.
    pub(super) async fn over_socket(path: &Path) -> Result<Self, io::Error> {
        Self::on(UnixStream::connect(path).await?, "localhost").await.map_err(io::Error::other)
    }

    /// Connects to a server.
    ///
    /// # Errors
    /// [`AdminError::Unreachable`].
    pub(super) async fn to_server(server: &AdminServer) -> Result<Self, AdminError> {
        let unreachable = |reason: io::Error| AdminError::Unreachable { server: server.to_string(), reason };
        let stream = TcpStream::connect((server.name(), server.port())).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let connection = if server.is_tls() {
            let authorities = client::system_authorities().ok_or_else(|| {
                io::Error::other("this system has no certificate authorities; install ca-certificates")
            });
            let config = client::config(authorities.map_err(unreachable)?);
            let config = config.map_err(|error| unreachable(io::Error::other(error)))?;
            let name = ServerName::try_from(server.name().to_owned());
            let name = name.map_err(|error| unreachable(io::Error::other(error)))?;
            let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
            Self::on(stream.map_err(unreachable)?, server.authority()).await
        } else {
            Self::on(stream, server.authority()).await
        };
        let mut connection = connection.map_err(|error| unreachable(io::Error::other(error)))?;
        connection.token = server.token().cloned();
        server.base_path().clone_into(&mut connection.base_path);
        Ok(connection)
    }

    async fn on(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        host: &str,
    ) -> Result<Self, hyper::Error> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                log::debug!("lost the connection to the host: {error}");
            }
        });
        let host = HeaderValue::from_str(host).unwrap_or(HeaderValue::from_static("localhost"));
        Ok(Self { sender, task, host, token: None, base_path: String::new() })
    }

    /// Sends a request; its response, if the host has done what it asks for.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Response<Incoming>, AdminError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base_path))
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, content_type);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let request = request.body(Full::new(body)).expect("a request of known parts is one");
        let response = self.sender.send_request(request).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        if response.headers().get(header::CONTENT_TYPE).is_none_or(|found| found != PROBLEM) {
            return Err(AdminError::NotTheHost(response.status().as_u16()));
        }
        let problem = response.into_body().collect().await?.to_bytes();
        Err(AdminError::Refused(Box::new(serde_json::from_slice::<ProblemDetails>(&problem)?)))
    }
}
