//! Removing what no version needs from the object store.
//!
//! It is safe while others deploy: only what was not touched for long is removed, an upload touches what it finds, and a message is
//! removed only if it is still the last one of its subject. The chunks of a library are removed the next time, as those of
//! an upload that was interrupted.

use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{DirectGetErrorKind, LastRawMessageErrorKind, Stream};
use futures_util::TryStreamExt;
use serde::Deserialize;

use super::connection::Fleet;
use super::error::FleetError;
use crate::fleet::unused::{StoredLibrary, is_old, is_unused};

/// What an object store has of an object.
#[derive(Deserialize)]
struct Metadata {
    name: String,
    /// What the subject of its chunks ends with.
    nuid: String,
}

impl Fleet {
    /// Removes the libraries that no record needs, and chunks of interrupted uploads, if they were not used for so long. How many
    /// libraries.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn remove_unused(&self, age: Duration) -> Result<usize, FleetError> {
        self.permitted(self.sweep(age)).await
    }

    async fn sweep(&self, age: Duration) -> Result<usize, FleetError> {
        let stream = self.library_stream().await.map_err(failed)?;
        // By the clock of NATS, which has also noted when each message was written, and not by that of this machine: it is at least so
        // late as when the last message was written.
        let now_ms = unix_ms(stream.cached_info().state.last_timestamp.unix_timestamp());
        let prefix = format!("$O.{}.", self.bucket("libraries"));
        let subjects = stream.info_with_subjects(format!("{prefix}>")).await.map_err(failed)?;
        let subjects: Vec<String> =
            subjects.map_ok(|(subject, _)| subject).try_collect().await.map_err(failed)?;
        let is = |kind: &'static str| {
            let prefix = format!("{prefix}{kind}.");
            subjects.iter().filter(move |subject| subject.starts_with(&prefix))
        };

        let mut objects = Vec::new();
        for subject in is("M") {
            let Some(message) = last(&stream, subject).await? else { continue };
            let metadata: Metadata = serde_json::from_slice(&message.payload)
                .map_err(|reason| FleetError::Value { key: subject.clone(), reason })?;
            objects.push((metadata, message));
        }
        // After the libraries, so that what is written meanwhile needs none that is missing here.
        let mut records = Vec::new();
        for app in self.apps().await? {
            records.extend(self.record(&app).await?.map(|(record, _)| record));
        }

        for subject in is("C") {
            let is_of = |(object, _): &(Metadata, _)| subject.ends_with(&format!(".{}", object.nuid));
            if objects.iter().any(is_of) {
                continue;
            }
            let Some(message) = last(&stream, subject).await? else { continue };
            if is_old(written_ms(&message), age, now_ms) {
                remove(&stream, &message).await?;
            }
        }
        let mut removed = 0;
        for (Metadata { name, .. }, message) in objects {
            let library = StoredLibrary { hash: name, used_ms: written_ms(&message) };
            if is_unused(&library, &records, age, now_ms) {
                remove(&stream, &message).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// The last message of a subject, if there still is one.
async fn last(stream: &Stream, subject: &str) -> Result<Option<StreamMessage>, FleetError> {
    if stream.cached_info().config.allow_direct {
        return match stream.direct_get_last_for_subject(subject).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        };
    }
    match stream.get_last_raw_message_by_subject(subject).await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Removes a message and those of its subject before it.
async fn remove(stream: &Stream, message: &StreamMessage) -> Result<(), FleetError> {
    let purge = stream.purge().filter(message.subject.as_str()).sequence(message.sequence + 1);
    purge.await.map(drop).map_err(failed)
}

fn written_ms(message: &StreamMessage) -> u64 {
    unix_ms(message.time.unix_timestamp())
}

fn unix_ms(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0) * 1000
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> FleetError {
    FleetError::request("remove unused libraries")(error.into())
}
