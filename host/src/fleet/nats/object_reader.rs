//! Reading objects of the object stores.

use std::io::{self, ErrorKind};
use std::time::Duration;

use async_nats::jetstream::object_store::{Object, ObjectInfo};
use futures_util::TryStreamExt;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::connection::Fleet;
use super::error::FleetError;
use crate::fleet::limits::PIECE_WAIT;

/// How much is read at once of what nobody needs.
const SKIPPED: usize = 64 << 10;

/// An object, which is read from its beginning.
pub(crate) struct ObjectReader<'f> {
    fleet: &'f Fleet,
    /// For errors.
    what: String,
    object: Object,
    limit: Duration,
}

impl<'f> ObjectReader<'f> {
    pub(super) fn new(fleet: &'f Fleet, what: String, object: Object) -> Self {
        Self { fleet, what, object, limit: PIECE_WAIT }
    }

    /// How many bytes it has.
    pub(crate) fn size(&self) -> u64 {
        self.object.info().size as u64
    }

    /// Reads as many bytes as fit into `buffer`.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), FleetError> {
        let mut left = buffer;
        while !left.is_empty() {
            match self.read(left).await? {
                0 => return Err(self.failed(ErrorKind::UnexpectedEof.into()).await),
                read => left = &mut left[read..],
            }
        }
        Ok(())
    }

    /// Reads so many bytes, and drops them.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn skip(&mut self, mut bytes: u64) -> Result<(), FleetError> {
        let mut dropped = vec![0; SKIPPED];
        while bytes > 0 {
            let length = dropped.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
            self.read_exact(&mut dropped[..length]).await?;
            bytes -= length as u64;
        }
        Ok(())
    }

    /// Reads all of it, and at most so many bytes.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn read_to_end(mut self, most: usize) -> Result<Vec<u8>, FleetError> {
        let mut all = vec![0; most.min(self.object.info().size)];
        self.read_exact(&mut all).await?;
        Ok(all)
    }

    /// Reads what is there next. The client waits for ever for what is not.
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FleetError> {
        match timeout(self.limit, self.object.read(buffer)).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(reason)) => Err(self.failed(reason).await),
            Err(_elapsed) => {
                let reason = format!("NATS has sent nothing for {:?} (fleet_piece_ms)", self.limit);
                Err(self.incomplete(FleetError::request(format!("fetch {}", self.what))(reason.into())).await)
            }
        }
    }

    async fn failed(&self, reason: io::Error) -> FleetError {
        match reason.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                self.incomplete(FleetError::Damaged { what: self.what.clone(), reason }).await
            }
            _ => FleetError::request(format!("fetch {}", self.what))(reason.into()),
        }
    }

    /// The error, unless it comes from pieces that are not there.
    async fn incomplete(&self, error: FleetError) -> FleetError {
        let info = self.object.info();
        match self.fleet.stored_pieces(info).await {
            Ok(found) if found < info.chunks => {
                FleetError::Incomplete { what: self.what.clone(), found, expected: info.chunks }
            }
            Ok(_) => error,
            Err(error) => error,
        }
    }
}

impl Fleet {
    /// How many messages with the content of an object are there.
    pub(super) async fn stored_pieces(&self, info: &ObjectInfo) -> Result<usize, FleetError> {
        let subject = format!("$O.{}.C.{}", info.bucket, info.nuid);
        // Rare, and large as a future.
        let count = Box::pin(async {
            let stream = self.context.get_stream(format!("OBJ_{}", info.bucket)).await?;
            let counts: Vec<_> = stream.info_with_subjects(subject).await?.try_collect().await?;
            Ok::<_, async_nats::Error>(counts.into_iter().map(|(_, count)| count).sum())
        });
        self.permitted(async {
            count.await.map_err(FleetError::request(format!("look for the content of {}", info.name)))
        })
        .await
    }
}
