//! Sending a body piece by piece, as its receiver takes it.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::channel::Channel;
use super::chunk::Chunk;
use super::joiner::Joiner;
use atoll_protocol::Error;

/// Why a body was not sent to its end.
#[derive(Debug)]
pub(crate) enum Unsent<E> {
    /// The request is over.
    Over(Error),
    /// There is no next piece, because of this.
    Failed(E),
}

/// Sends the pieces that `next` brings. That nothing more comes is for the caller to send.
pub(crate) async fn send_pieces<P, E>(
    channel: &Channel,
    mut next: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<P, E>>>,
) -> Result<(), Unsent<E>>
where
    P: AsRef<[u8]> + Into<Chunk>,
{
    let mut joiner = Joiner::default();
    loop {
        channel.ready().await.map_err(Unsent::Over)?;
        match poll_fn(|context| joiner.poll_next(context, &mut next)).await {
            None => return Ok(()),
            Some(Err(error)) => return Err(Unsent::Failed(error)),
            Some(Ok(chunk)) => {
                if let Some(buffer) = chunk.into_buffer(channel.port()) {
                    channel.send_chunk(buffer);
                }
            }
        }
    }
}
