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
pub(crate) struct AppOnHost {
    /// The host.
    pub(crate) host: String,
    /// The app.
    pub(crate) app: String,
    /// What the host has of it; `None`: nothing.
    pub(crate) found: Option<AppPresence>,
    /// The revision with which it was written.
    pub(crate) revision: u64,
}

impl Fleet {
    /// Writes what has changed of the apps of a host since `before`. The revision of the last of it; `None`: nothing has changed.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn put_apps(
        &self,
        host: &str,
        before: &HostApps,
        now: &HostApps,
    ) -> Result<Option<u64>, FleetError> {
        let changed = now.iter().filter(|(name, app)| before.get(*name) != Some(*app));
        let gone = before.keys().filter(|name| !now.contains_key(*name));
        let changes = changed.map(|(name, app)| (name, Some(app))).chain(gone.map(|name| (name, None)));
        let writes = changes.map(async |(name, app)| {
            let key = keys::app_on_host(host, name);
            // A key without a value, rather than a marker that it was deleted: its revision is known, too.
            let value =
                app.map_or(Ok(Bytes::new()), |app| self.message(&format!("the state of {name}"), app))?;
            let written = self.host_apps.put(&key, value).await;
            written.map_err(|error| FleetError::request(format!("write {key}"))(error.into()))
        });
        let revisions = stream::iter(writes).buffer_unordered(CONCURRENT_WRITES);
        revisions.try_fold(None, async |last, revision| Ok(last.max(Some(revision)))).await
    }

    /// An app on a host; `None`: it does not have it.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn app_on_host(&self, host: &str, app: &str) -> Result<Option<AppPresence>, FleetError> {
        let key = keys::app_on_host(host, app);
        let found = last_value(&self.host_apps, &key).await?;
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
        let watch = self.host_apps.watch_all().await;
        let watch =
            watch.map_err(|error| FleetError::request("watch the apps of the hosts")(error.into()))?;
        Ok(watch.filter_map(|entry| future::ready(on_host(entry).transpose())))
    }

    /// The apps of all hosts, by the names of the hosts. What is written meanwhile may be missing: it comes with
    /// `watch_apps_of_hosts`, if that has begun before.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn apps_of_hosts(&self) -> Result<BTreeMap<String, HostApps>, FleetError> {
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
        // After the consumer, so that what was written before it is up to this message, or up to the one that has replaced it: the
        // count of pending messages can stay too high, see `names`.
        let state = bucket.stream.get_info().await.map_err(|error| failed(error.into()))?.state;
        let mut is_more = consumer.cached_info().num_pending > 0 && state.messages > 0;
        let mut messages = consumer.messages().await.map_err(|error| failed(error.into()))?;
        let mut hosts = BTreeMap::<String, HostApps>::new();
        while is_more {
            let next = timeout(PIECE_WAIT, messages.next()).await.map_err(|_| {
                failed(format!("nothing has come for {PIECE_WAIT:?} (fleet_piece_ms)").into())
            })?;
            let message = next.ok_or(FleetError::Lost)?.map_err(|error| failed(error.into()))?;
            let info = message.info().map_err(failed)?;
            is_more = info.pending > 0 && info.stream_sequence < state.last_sequence;
            let key = message.subject.strip_prefix(&bucket.prefix).unwrap_or_default();
            if let Some((host, app)) = keys::host_and_app(key)
                && !message.payload.is_empty()
            {
                hosts.entry(host).or_default().insert(app, parsed(key, &message.payload)?);
            }
        }
        Ok(hosts)
    }
}

/// A change; `None`: it is none of an app.
fn on_host(entry: Result<Entry, WatcherError>) -> Result<Option<AppOnHost>, FleetError> {
    let entry = entry.map_err(|error| FleetError::request("watch the apps of the hosts")(error.into()))?;
    let Some((host, app)) = keys::host_and_app(&entry.key) else { return Ok(None) };
    let has_value = entry.operation == Operation::Put && !entry.value.is_empty();
    let found = if has_value { Some(parsed(&entry.key, &entry.value)?) } else { None };
    Ok(Some(AppOnHost { host, app, found, revision: entry.revision }))
}
