//! What hosts report of their apps, in NATS.

use std::collections::BTreeMap;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::OrderedConfig;
use async_nats::jetstream::kv::{Entry, Operation, WatcherError};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, future, stream};
use tokio::time::timeout;

use super::connection::Fleet;
use super::error::FleetError;
use super::records::{last_value, parsed};
use crate::fleet::keys;
use crate::fleet::limits::{CONCURRENT_WRITES, PIECE_WAIT};
use crate::fleet::members::HostApps;
use crate::fleet::presence::AppPresence;

/// What was written of an app on a host.
#[derive(Debug)]
pub struct AppOnHost {
    /// The host.
    pub host: String,
    /// The app.
    pub app: String,
    /// What the host has of it; `None`: nothing.
    pub found: Option<AppPresence>,
    /// The revision with which it was written.
    pub revision: u64,
}

impl Fleet {
    /// Writes what has changed of the apps of a host since `before`; the revision with which each was written.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn put_apps(
        &self,
        host: &str,
        before: &HostApps,
        now: &HostApps,
    ) -> Result<BTreeMap<String, u64>, FleetError> {
        let changed = now.iter().filter(|(name, app)| before.get(*name) != Some(*app));
        let gone = before.keys().filter(|name| !now.contains_key(*name));
        let changes = changed.map(|(name, app)| (name, Some(app))).chain(gone.map(|name| (name, None)));
        let writes = changes.map(async |(name, app)| {
            let key = keys::app_on_host(host, name);
            // A key without a value, rather than a marker that it was deleted: its revision is known, too.
            let value =
                app.map_or(Ok(Bytes::new()), |app| self.message(&format!("the state of {name}"), app))?;
            let written = self.host_apps.put(&key, value).await;
            let written = written.map_err(|error| FleetError::request(format!("write {key}"))(error.into()));
            written.map(|revision| (name.clone(), revision))
        });
        self.permitted(stream::iter(writes).buffer_unordered(CONCURRENT_WRITES).try_collect()).await
    }

    /// An app on a host; `None`: it does not have it.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn app_on_host(&self, host: &str, app: &str) -> Result<Option<AppPresence>, FleetError> {
        let key = keys::app_on_host(host, app);
        let found = self.permitted(last_value(&self.host_apps, &key)).await?;
        let found = found.filter(|(value, _)| !value.is_empty());
        found.map(|(value, _)| parsed(&key, &value)).transpose()
    }

    /// What changes of the apps of all hosts from now on.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn watch_apps_of_hosts(
        &self,
    ) -> Result<impl Stream<Item = Result<AppOnHost, FleetError>> + Unpin + use<>, FleetError> {
        let watch = self.permitted(async {
            let watch = self.host_apps.watch_all().await;
            watch.map_err(|error| FleetError::request("watch the apps of the hosts")(error.into()))
        });
        let watch = watch.await?;
        Ok(watch.filter_map(|entry| future::ready(on_host(entry).transpose())))
    }

    /// The apps of all hosts. What is written meanwhile may be missing: it comes with `watch_apps_of_hosts`, if that has begun before.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn apps_of_hosts(&self) -> Result<Vec<AppOnHost>, FleetError> {
        self.permitted(self.read_apps_of_hosts()).await
    }

    async fn read_apps_of_hosts(&self) -> Result<Vec<AppOnHost>, FleetError> {
        let failed = |error: async_nats::Error| FleetError::request("read the apps of the hosts")(error);
        let bucket = &self.host_apps;
        let last_values = OrderedConfig {
            deliver_subject: self.client.new_inbox(),
            filter_subject: format!("{}>", bucket.prefix),
            deliver_policy: DeliverPolicy::LastPerSubject,
            ..OrderedConfig::default()
        };
        let consumer = bucket.stream.create_consumer(last_values).await;
        let consumer = consumer.map_err(|error| failed(error.into()))?;
        // Read after the consumer was created: all that was written before has at most this sequence number. If that message is
        // replaced meanwhile, its successor ends the loop. The count of pending messages alone can stay too high, see `names`.
        let state = bucket.stream.get_info().await.map_err(|error| failed(error.into()))?.state;
        let mut is_more = consumer.cached_info().num_pending > 0 && state.messages > 0;
        let mut messages = consumer.messages().await.map_err(|error| failed(error.into()))?;
        let mut found = Vec::new();
        while is_more {
            let next = timeout(PIECE_WAIT, messages.next()).await.map_err(|_| {
                failed(format!("NATS has sent nothing for {PIECE_WAIT:?} (fleet_piece_ms)").into())
            })?;
            let message = next.ok_or(FleetError::Lost)?.map_err(|error| failed(error.into()))?;
            let info = message.info().map_err(failed)?;
            is_more = info.pending > 0 && info.stream_sequence < state.last_sequence;
            let key = message.subject.strip_prefix(&bucket.prefix).unwrap_or_default();
            match app_on_host(key, &message.payload, info.stream_sequence) {
                Ok(app) => found.extend(app),
                Err(error) => log::error!("{error}"),
            }
        }
        Ok(found)
    }
}

/// A change; `None`: it is none of an app.
fn on_host(entry: Result<Entry, WatcherError>) -> Result<Option<AppOnHost>, FleetError> {
    let entry = entry.map_err(|error| FleetError::request("watch the apps of the hosts")(error.into()))?;
    let value = if entry.operation == Operation::Put { &entry.value[..] } else { b"" };
    app_on_host(&entry.key, value, entry.revision)
}

/// What was written with a key; `None`: it is none of an app.
fn app_on_host(key: &str, value: &[u8], revision: u64) -> Result<Option<AppOnHost>, FleetError> {
    let Some((host, app)) = keys::host_and_app(key) else { return Ok(None) };
    let found = if value.is_empty() { None } else { Some(parsed(key, value)?) };
    Ok(Some(AppOnHost { host, app, found, revision }))
}
