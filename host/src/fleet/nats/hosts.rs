//! The presences of hosts in NATS.

use async_nats::jetstream::kv::Operation;
use futures_util::{Stream, StreamExt};

use super::connection::Fleet;
use super::error::FleetError;
use super::records::{Seen, parsed, seen};
use crate::fleet::keys::Kind;
use crate::fleet::presence::Presence;

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

    /// The presences that are there, without apps.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn presences(&self) -> Result<Vec<Presence>, FleetError> {
        let failed =
            |error: Box<dyn std::error::Error + Send + Sync>| FleetError::request("list the hosts")(error);
        let mut presences = Vec::new();
        for name in self.names(&self.hosts, Kind::Host).await? {
            let key = Kind::Host.key(&name);
            // One may have expired or left in the meantime.
            let entry = self.hosts.entry(&key).await.map_err(|error| failed(error.into()))?;
            if let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) {
                presences.push(parsed(&key, &entry.value)?);
            }
        }
        Ok(presences)
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
