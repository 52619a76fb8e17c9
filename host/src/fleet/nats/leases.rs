//! The leases of apps in NATS.

use std::time::Duration;

use async_nats::jetstream::kv::{CreateErrorKind, Operation, UpdateErrorKind};
use futures_util::{Stream, StreamExt};

use super::connection::Fleet;
use super::error::FleetError;
use super::records::{Seen, parsed, seen};
use crate::fleet::keys::Kind;
use crate::fleet::lease::Lease;
use crate::fleet::limits::LEAST_LEASE_TTL;

/// What came of writing a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The host has it, with this revision.
    Own(u64),
    /// Another one has it, or it has changed meanwhile.
    Other,
}

impl Fleet {
    /// How long a lease lasts that is not written again.
    ///
    /// # Errors
    /// See [`FleetError::LeaseTime`].
    pub(crate) fn lease_ttl(&self) -> Result<Duration, FleetError> {
        let found = self.leases.stream.cached_info().config.max_age;
        if found >= LEAST_LEASE_TTL {
            return Ok(found);
        }
        Err(FleetError::LeaseTime { bucket: self.leases.name.clone(), found, least: LEAST_LEASE_TTL })
    }

    /// Takes the lease of an app, unless another process has it. One that this process has is written again.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn take_lease(&self, app: &str, lease: &Lease) -> Result<Taken, FleetError> {
        let (key, value) = (Kind::Lease.key(app), self.message("a lease", lease)?);
        match self.leases.create(&key, value).await {
            Ok(revision) => Ok(Taken::Own(revision)),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
                match self.own_lease(app, &lease.instance).await? {
                    // The answer to an earlier attempt was lost.
                    Some(revision) => self.renew_lease(app, lease, revision).await,
                    None => Ok(Taken::Other),
                }
            }
            Err(error) => Err(FleetError::request(format!("write {key}"))(error.into())),
        }
    }

    /// Writes the lease of an app again that has this revision.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn renew_lease(
        &self,
        app: &str,
        lease: &Lease,
        revision: u64,
    ) -> Result<Taken, FleetError> {
        let (key, value) = (Kind::Lease.key(app), self.message("a lease", lease)?);
        match self.leases.update(&key, value, revision).await {
            Ok(revision) => Ok(Taken::Own(revision)),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(Taken::Other),
            Err(error) => Err(FleetError::request(format!("write {key}"))(error.into())),
        }
    }

    /// Deletes the lease of an app, if it still has this revision; whether it had.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn delete_lease(
        &self,
        app: &str,
        instance: &str,
        revision: u64,
    ) -> Result<bool, FleetError> {
        let key = Kind::Lease.key(app);
        match self.leases.delete_expect_revision(&key, Some(revision)).await {
            Ok(()) => Ok(true),
            // The client does not report why.
            Err(_) if self.own_lease(app, instance).await? != Some(revision) => Ok(false),
            Err(error) => Err(FleetError::request(format!("delete {key}"))(error.into())),
        }
    }

    /// The revision of the lease of an app, if this process has it.
    async fn own_lease(&self, app: &str, instance: &str) -> Result<Option<u64>, FleetError> {
        let key = Kind::Lease.key(app);
        let entry = self.leases.entry(&key).await;
        let entry = entry.map_err(|error| FleetError::request(format!("read {key}"))(error.into()))?;
        let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) else { return Ok(None) };
        let lease: Lease = parsed(&key, &entry.value)?;
        Ok((lease.instance == instance).then_some(entry.revision))
    }

    /// All leases, and each that is written or deleted from now on. NATS does not report those that run out.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn watch_leases(
        &self,
    ) -> Result<impl Stream<Item = Result<Seen<Lease>, FleetError>> + Unpin + use<>, FleetError> {
        let watch = self.permitted(async {
            let watch = self.leases.watch_with_history(Kind::Lease.all()).await;
            watch.map_err(|error| FleetError::request("watch the leases")(error.into()))
        });
        let watch = watch.await?;
        Ok(watch.map(|entry| seen(Kind::Lease, entry)))
    }
}
