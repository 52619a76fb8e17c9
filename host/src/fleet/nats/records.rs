//! The records of apps in NATS.

use async_nats::jetstream::kv::{CreateErrorKind, Entry, Operation, Store, UpdateErrorKind};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};

use super::connection::Fleet;
use super::error::FleetError;
use crate::fleet::keys::Kind;
use crate::fleet::record::Record;

/// The header of what marks that a value was deleted.
const KV_OPERATION: &str = "KV-Operation";

/// A value that is new, or was there.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen<T> {
    /// What its key names.
    pub name: String,
    /// Its number, which grows with each change.
    pub revision: u64,
    /// When it was written, by the clock of NATS, in milliseconds since 1970.
    pub written_ms: u64,
    /// It; `None`: its key was deleted.
    pub value: Option<T>,
}

impl Fleet {
    /// The record of an app, with its revision.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn record(&self, app: &str) -> Result<Option<(Record, u64)>, FleetError> {
        let key = Kind::App.key(app);
        let found = self.permitted(last_value(&self.apps, &key)).await?;
        found.map(|(value, revision)| Ok((parsed(&key, &value)?, revision))).transpose()
    }

    /// The names of the apps that have or had a record, sorted.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn apps(&self) -> Result<Vec<String>, FleetError> {
        self.names(&self.apps, Kind::App, "the apps").await
    }

    /// The names in the keys of a bucket, sorted. A key that is new may be missing.
    ///
    /// The client's own list of keys ends with the message after which the server counts no pending one. A key that is written while the
    /// list begins can be counted twice, for good (seen with NATS 2.9), and then the list does not end.
    pub(super) async fn names(
        &self,
        bucket: &Store,
        kind: Kind,
        of: &str,
    ) -> Result<Vec<String>, FleetError> {
        let failed = |error: async_nats::Error| FleetError::request(format!("list {of}"))(error);
        let filter = format!("{}{}", bucket.prefix, kind.all());
        let subjects: Vec<String> = self
            .permitted(async {
                let info =
                    bucket.stream.info_with_subjects(filter).await.map_err(|error| failed(error.into()))?;
                let subjects = info.map_ok(|(subject, _)| subject).try_collect().await;
                subjects.map_err(|error| failed(error.into()))
            })
            .await?;
        let keys = subjects.iter().filter_map(|subject| subject.strip_prefix(&bucket.prefix));
        let mut names: Vec<_> = keys.filter_map(|key| kind.name(key)).collect();
        names.sort();
        // The list comes in pages, and what is on them can move while they are read.
        names.dedup();
        Ok(names)
    }

    /// Writes the record of an app, if the last one has this revision; `None`: if there is none. The revision of the new one.
    ///
    /// # Errors
    /// [`FleetError::Conflict`], if the last one has another revision; see [`FleetError`] for others.
    pub async fn publish(&self, app: &str, record: &Record, last: Option<u64>) -> Result<u64, FleetError> {
        let key = Kind::App.key(app);
        let value = self.message(&format!("the record of {app}"), record)?;
        let conflict = || FleetError::Conflict { app: app.to_owned() };
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            FleetError::request(format!("write {key}"))(error)
        };
        self.permitted(async {
            match last {
                Some(revision) => {
                    self.apps.update(&key, value, revision).await.map_err(|error| match error.kind() {
                        UpdateErrorKind::WrongLastRevision => conflict(),
                        _ => failed(error.into()),
                    })
                }
                None => self.apps.create(&key, value).await.map_err(|error| match error.kind() {
                    CreateErrorKind::AlreadyExists => conflict(),
                    _ => failed(error.into()),
                }),
            }
        })
        .await
    }

    /// All records, and each that is written from now on.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn watch_records(
        &self,
    ) -> Result<impl Stream<Item = Result<Seen<Record>, FleetError>> + Unpin + use<>, FleetError> {
        let watch = self.permitted(async {
            let watch = self.apps.watch_with_history(Kind::App.all()).await;
            watch.map_err(|error| FleetError::request("watch the apps")(error.into()))
        });
        let watch = watch.await?;
        Ok(watch.map(|entry| seen(Kind::App, entry)))
    }

    /// A value as a message.
    pub(super) fn message(&self, what: &str, value: &impl serde::Serialize) -> Result<Bytes, FleetError> {
        let failed = |reason| FleetError::Value { key: what.to_owned(), reason };
        let text = serde_json::to_vec(value).map_err(failed)?;
        let limit = self.max_payload();
        if text.len() > limit {
            return Err(FleetError::TooLarge { what: what.to_owned(), size: text.len(), limit });
        }
        Ok(text.into())
    }
}

/// The value of a key with its revision, from the server that writes it: the others of a cluster, which the client asks as well, may
/// not have it yet.
pub(super) async fn last_value(bucket: &Store, key: &str) -> Result<Option<(Bytes, u64)>, FleetError> {
    let subject = format!("{}{key}", bucket.prefix);
    match bucket.stream.get_last_raw_message_by_subject(&subject).await {
        // Only what marks that a value was deleted has headers of this kind.
        Ok(message) => {
            let is_value = message.headers.get(KV_OPERATION).is_none();
            Ok(is_value.then_some((message.payload, message.sequence)))
        }
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(FleetError::request(format!("read {key}"))(error.into())),
    }
}

/// An entry of a watched bucket.
pub(super) fn seen<T: serde::de::DeserializeOwned, E: std::error::Error + Send + Sync + 'static>(
    kind: Kind,
    entry: Result<Entry, E>,
) -> Result<Seen<T>, FleetError> {
    let entry = entry.map_err(|error| FleetError::request("watch a bucket")(error.into()))?;
    let name = kind.name(&entry.key).unwrap_or_default();
    let written_ms = u64::try_from(entry.created.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    let value = match entry.operation {
        Operation::Put => Some(parsed(&entry.key, &entry.value)?),
        Operation::Delete | Operation::Purge => None,
    };
    Ok(Seen { name, revision: entry.revision, written_ms, value })
}

pub(super) fn parsed<T: serde::de::DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, FleetError> {
    serde_json::from_slice(value).map_err(|reason| FleetError::Value { key: key.to_owned(), reason })
}
