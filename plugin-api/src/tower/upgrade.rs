//! A request for a protocol upgrade, such as a WebSocket handshake.
//!
//! Services take a connection over by way of hyper's `OnUpgrade`, which only hyper's own server can make. So the service
//! is served by hyper here, over a pipe within the process; at the pipe's other end is hyper's client.

use std::future::poll_fn;

use http::{Request, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::task::JoinSet;

use super::body::Body;
use super::caller::Caller;
use super::serve::{Exchange, ready_to_send};
use super::service::{BoxError, HttpService};
use crate::http::stream::{Channel, Item, Receiver};
use crate::protocol;

/// The size of the pipe, in bytes, in each direction.
const PIPE: usize = 64 * 1024;

/// So much is read from the service at once.
const PIECE: usize = 16 * 1024;

pub(super) async fn carry_out<S: HttpService>(
    exchange: Exchange,
    service: Caller<S>,
    request: Request<Body>,
) {
    if let Err(error) = handshake(&exchange, service, request).await {
        exchange.refuse(error);
    }
}

/// Has the service answer; an error: it has not.
async fn handshake<S: HttpService>(
    exchange: &Exchange,
    service: Caller<S>,
    request: Request<Body>,
) -> Result<(), BoxError> {
    let (head, _) = request.into_parts();
    let extensions = head.extensions.clone();
    let serve = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|_| Body::default());
        request.extensions_mut().extend(extensions.clone());
        service.clone().answer(request)
    });
    let (ours, theirs) = tokio::io::duplex(PIPE);
    // They end with this future, whatever becomes of it.
    let mut connections = JoinSet::new();
    let server = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(theirs), serve);
    connections.spawn_local(async move { server.with_upgrades().await.map_err(BoxError::from) });
    let (mut sender, client) = hyper::client::conn::http1::handshake::<_, Body>(TokioIo::new(ours)).await?;
    connections.spawn_local(async move { client.with_upgrades().await.map_err(BoxError::from) });

    let mut request = Request::from_parts(head, Body::default());
    *request.version_mut() = Version::HTTP_11;
    let mut response =
        sender.send_request(request).await.inspect_err(|_closed| pass_on_panic(&mut connections))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        exchange.respond(response).await;
        return Ok(());
    }
    let connection = TokioIo::new(hyper::upgrade::on(&mut response).await?);
    exchange.head(&response.into_parts().0, Some(protocol::Body::STREAM), None);
    let channel = exchange.channel();
    let (from_service, to_service) = tokio::io::split(connection);
    tokio::select! {
        // The service has ended the connection.
        () = receive(&channel, from_service) => {}
        () = send(Receiver::new(channel.clone()), to_service) => {}
    }
    Ok(())
}

/// Continues the panic of a task that has ended. The hook has reported it.
fn pass_on_panic(tasks: &mut JoinSet<Result<(), BoxError>>) {
    while let Some(ended) = tasks.try_join_next() {
        if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
            std::panic::resume_unwind(panic);
        }
    }
}

/// What the client sends, until it has left; then never ready, since the service may have more to say.
async fn send(mut client: Receiver, mut to_service: WriteHalf<TokioIo<Upgraded>>) {
    while let Some(Ok(item)) = poll_fn(|context| client.poll_receive(context)).await {
        if let Item::Chunk(bytes) = item
            && to_service.write_all(&bytes).await.is_err()
        {
            break;
        }
    }
    // It fails when the service has closed its end already.
    let _ = to_service.shutdown().await;
    std::future::pending().await
}

/// What the service sends, until it ends.
async fn receive(channel: &Channel, mut from_service: ReadHalf<TokioIo<Upgraded>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        if ready_to_send(channel).await.is_err() {
            return;
        }
        match from_service.read_buf(&mut piece).await {
            Ok(0) | Err(_) => break channel.send_end(),
            Ok(_) => channel.send_chunk(channel.port().buffer(piece)),
        }
    }
}
