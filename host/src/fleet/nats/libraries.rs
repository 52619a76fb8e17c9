//! Libraries in the object store, by the BLAKE3 hash of their content.

use std::collections::HashMap;
use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_ROLLUP;
use async_nats::jetstream::context::{PublishAckFuture, PublishError};
use async_nats::jetstream::object_store::{
    GetErrorKind, InfoErrorKind, ObjectInfo, ObjectOptions, UpdateMetadata, UpdateMetadataErrorKind,
};
use async_nats::jetstream::{self, ErrorCode};
use bytes::{Bytes, BytesMut};
use data_encoding::BASE64URL;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use ring::digest;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep};

use super::connection::Fleet;
use super::error::FleetError;
use super::object_reader::ObjectReader;
use crate::fleet::limits::{LIBRARY_WAIT, UPLOAD_WINDOW};

/// How many bytes of an object one message has, at most.
pub(super) const CHUNK: usize = 128 << 10;

/// How long to wait before a library that is not there is looked for again.
const LIBRARY_PAUSE: Duration = Duration::from_millis(100);

/// What a NATS server answers that has no room left.
const FULL: [ErrorCode; 3] = [
    ErrorCode::INSUFFICIENT_RESOURCES,
    ErrorCode::STORAGE_RESOURCES_EXCEEDED,
    ErrorCode::STREAM_STORE_FAILED,
];

impl Fleet {
    /// Uploads a library, unless it is there; then it counts as used now. How many bytes were uploaded. If it fails, nothing of it
    /// stays there.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn put_library(&self, hash: &str, path: &Path) -> Result<u64, FleetError> {
        self.permitted(self.upload(hash, path)).await
    }

    async fn upload(&self, hash: &str, path: &Path) -> Result<u64, FleetError> {
        match self.libraries.info(hash).await {
            // One that has lost some of its content is uploaded again.
            Ok(info) if !info.deleted && self.stored_pieces(&info).await? >= info.chunks => {
                let same = UpdateMetadata {
                    name: info.name,
                    description: info.description,
                    ..UpdateMetadata::default()
                };
                match self.libraries.update_metadata(hash, same).await {
                    Ok(_) => return Ok(0),
                    // It was removed just now.
                    Err(error) if error.kind() == UpdateMetadataErrorKind::NotFound => {}
                    Err(error) => {
                        return Err(FleetError::request(format!("keep the library {hash}"))(error.into()));
                    }
                }
            }
            Err(error) if error.kind() != InfoErrorKind::NotFound => {
                return Err(FleetError::request(format!("look for the library {hash}"))(error.into()));
            }
            _ => {}
        }
        let mut upload = Upload { fleet: self, path, window: FuturesOrdered::new(), stored: Vec::new() };
        let uploaded = upload.run(hash).await;
        if uploaded.is_err() {
            upload.remove().await;
        }
        uploaded
    }

    /// A library, to read from. A server of a cluster may not have it yet.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn library(&self, hash: &str) -> Result<ObjectReader<'_>, FleetError> {
        let until = Instant::now() + LIBRARY_WAIT;
        let found = self.permitted(async {
            loop {
                match self.libraries.get(hash).await {
                    Err(error) if error.kind() == GetErrorKind::NotFound && Instant::now() < until => {
                        sleep(LIBRARY_PAUSE).await;
                    }
                    found => {
                        break found.map_err(|error| match error.kind() {
                            GetErrorKind::NotFound => FleetError::NoLibrary(hash.to_owned()),
                            _ => FleetError::request(format!("fetch the library {hash}"))(error.into()),
                        });
                    }
                }
            }
        });
        Ok(ObjectReader::new(self, format!("the library {hash}"), found.await?))
    }
}

/// The upload of a file. The client's own waits for the server after each chunk, and leaves what it has sent when it fails.
struct Upload<'a> {
    fleet: &'a Fleet,
    path: &'a Path,
    /// What was sent and is not confirmed yet.
    window: FuturesOrdered<<PublishAckFuture as IntoFuture>::IntoFuture>,
    /// The numbers of the messages that the server has stored.
    stored: Vec<u64>,
}

impl Upload<'_> {
    /// Sends the chunks, and then that they are an object:
    /// <https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-20.md>.
    async fn run(&mut self, hash: &str) -> Result<u64, FleetError> {
        let path = self.path;
        let unreadable = |reason| FleetError::File { path: path.to_owned(), reason };
        let mut file = File::open(path).await.map_err(unreadable)?;
        let bucket = self.fleet.bucket("libraries");
        // What the chunks of one upload have in common.
        let id = format!("{:032x}", fastrand::u128(..));
        let chunk_size = CHUNK.min(self.fleet.max_payload() / 2);
        let mut sha256 = digest::Context::new(&digest::SHA256);
        let (mut size, mut chunks) = (0, 0);
        loop {
            let mut chunk = BytesMut::with_capacity(chunk_size);
            while chunk.len() < chunk_size && file.read_buf(&mut chunk).await.map_err(unreadable)? > 0 {}
            if chunk.is_empty() {
                break;
            }
            sha256.update(&chunk);
            (size, chunks) = (size + chunk.len(), chunks + 1);
            self.send(format!("$O.{bucket}.C.{id}"), HeaderMap::new(), chunk.freeze()).await?;
            if self.window.len() == UPLOAD_WINDOW {
                self.confirm().await?;
            }
        }
        while !self.window.is_empty() {
            self.confirm().await?;
        }
        let info = ObjectInfo {
            name: hash.to_owned(),
            description: None,
            metadata: HashMap::new(),
            headers: None,
            options: Some(ObjectOptions { link: None, max_chunk_size: Some(chunk_size) }),
            bucket: bucket.clone(),
            nuid: id,
            size,
            chunks,
            modified: None,
            digest: Some(format!("SHA-256={}", BASE64URL.encode(sha256.finish().as_ref()))),
            deleted: false,
        };
        let info = self.fleet.message(&format!("the object {hash}"), &info)?;
        let mut headers = HeaderMap::new();
        headers.insert(NATS_ROLLUP, "sub");
        self.send(format!("$O.{bucket}.M.{}", BASE64URL.encode(hash.as_bytes())), headers, info).await?;
        self.confirm().await?;
        Ok(size as u64)
    }

    async fn send(&mut self, subject: String, headers: HeaderMap, payload: Bytes) -> Result<(), FleetError> {
        let context = &self.fleet.context;
        let sent = match headers.is_empty() {
            true => context.publish(subject, payload).await,
            false => context.publish_with_headers(subject, headers, payload).await,
        };
        self.window.push_back(sent.map_err(|error| failed(self.path, error))?.into_future());
        Ok(())
    }

    /// Waits until the server has stored what was sent first.
    async fn confirm(&mut self) -> Result<(), FleetError> {
        if let Some(stored) = self.window.next().await {
            self.stored.push(stored.map_err(|error| failed(self.path, error))?.sequence);
        }
        Ok(())
    }

    /// Removes what was stored. It is not purged by its subject: servers of version 2.9 count what is removed so as still there, until
    /// they restart.
    async fn remove(mut self) {
        while !self.window.is_empty() {
            // What was not stored need not be removed.
            let _ = self.confirm().await;
        }
        let removed = async {
            let stream = self.fleet.library_stream().await?;
            for number in self.stored {
                stream.delete_message(number).await?;
            }
            Ok::<_, async_nats::Error>(())
        };
        if let Err(error) = removed.await {
            log::warn!("a part of {} stays in NATS: {error}", self.path.display());
        }
    }
}

fn failed(path: &Path, error: PublishError) -> FleetError {
    let answer = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    if answer.is_some_and(|answer| FULL.contains(&answer.error_code())) {
        return FleetError::Full { path: path.to_owned() };
    }
    FleetError::request(format!("upload {}", path.display()))(error.into())
}
