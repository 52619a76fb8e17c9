//! The presences of hosts in NATS.

use async_nats::jetstream::kv::Operation;
use futures_util::{Stream, StreamExt, TryStreamExt, future, stream};

use super::connection::Fleet;
use super::error::FleetError;
use super::records::{Seen, parsed, seen};
use crate::fleet::keys::Kind;
use crate::fleet::limits::CONCURRENT_READS;
use crate::fleet::presence::{AppPresence, Presence};

impl Fleet {
    /// Writes the presence of a host; its revision.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn announce(&self, presence: &Presence) -> Result<u64, FleetError> {
        let value = self.message(&format!("the presence of {}", presence.host), presence)?;
        self.permitted(async {
            let written = self.hosts.put(Kind::Host.key(&presence.host), value).await;
            written.map_err(|error| FleetError::request("write the presence of this host")(error.into()))
        })
        .await
    }

    /// Removes the presence of a host that leaves in order, if it was written last with this revision.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn withdraw(&self, host: &str, revision: u64) -> Result<(), FleetError> {
        self.permitted(async {
            let removed = self.hosts.delete_expect_revision(Kind::Host.key(host), Some(revision)).await;
            removed.map_err(|error| FleetError::request("remove the presence of this host")(error.into()))
        })
        .await
    }

    /// The hosts that are there, each with what it has of an app.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn hosts_with_app(
        &self,
        app: &str,
    ) -> Result<Vec<(Presence, Option<AppPresence>)>, FleetError> {
        let names = self.names(&self.hosts, Kind::Host, "the hosts").await?;
        let hosts = names.iter().map(async |name| match self.presence(name).await {
            Ok(None) => Ok(None),
            Ok(Some(presence)) => Ok(Some((presence, self.app_on_host(name, app).await?))),
            Err(error @ FleetError::Value { .. }) => {
                log::warn!("{error}");
                Ok(None)
            }
            Err(error) => Err(error),
        });
        stream::iter(hosts).buffered(CONCURRENT_READS).try_filter_map(future::ok).try_collect().await
    }

    /// The presence of a host, without apps; `None`: it has expired or left.
    async fn presence(&self, host: &str) -> Result<Option<Presence>, FleetError> {
        let key = Kind::Host.key(host);
        let entry = self.permitted(async {
            let entry = self.hosts.entry(&key).await;
            entry.map_err(|error| FleetError::request(format!("read {key}"))(error.into()))
        });
        let entry = entry.await?;
        let entry = entry.filter(|entry| entry.operation == Operation::Put);
        entry.map(|entry| parsed(&key, &entry.value)).transpose()
    }

    /// All presences, and each that is written from now on, without apps.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn watch_presences(
        &self,
    ) -> Result<impl Stream<Item = Result<Seen<Presence>, FleetError>> + Unpin + use<>, FleetError> {
        let watch = self.permitted(async {
            let watch = self.hosts.watch_with_history(Kind::Host.all()).await;
            watch.map_err(|error| FleetError::request("watch the hosts")(error.into()))
        });
        let watch = watch.await?;
        Ok(watch.map(|entry| {
            let mut seen: Seen<Presence> = seen(Kind::Host, entry)?;
            if let Some(presence) = &mut seen.value {
                presence.ahead_ms = presence.sent_ms.and_then(|sent| difference(sent, seen.written_ms));
            }
            Ok(seen)
        }))
    }
}

/// How much later a time is than another one.
fn difference(time: u64, other: u64) -> Option<i64> {
    i64::try_from(time).ok()?.checked_sub_unsigned(other)
}
