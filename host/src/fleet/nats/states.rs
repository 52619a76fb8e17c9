//! The states of apps in NATS that change their host.

use async_nats::jetstream::object_store::{DeleteErrorKind, GetErrorKind, ObjectMetadata};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::connection::Fleet;
use super::error::FleetError;
use super::libraries::CHUNK;
use super::object_reader::ObjectReader;
use crate::fleet::limits::STATE_LIMIT;

/// The state of an app that a host leaves for the next one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedState {
    /// The host.
    pub(crate) host: String,
    /// The id of the version that it had.
    pub(crate) version: Option<String>,
    /// When it was saved, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// What the workers have saved, in their order.
    pub(crate) workers: Vec<Value>,
}

impl Fleet {
    /// Writes the state of an app.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn put_state(&self, app: &str, state: &SavedState) -> Result<(), FleetError> {
        let failed = |reason| FleetError::Value { key: format!("the state of {app}"), reason };
        let text = serde_json::to_vec(state).map_err(failed)?;
        if text.len() > STATE_LIMIT {
            let what = format!("the state of {app}");
            return Err(FleetError::StateSize { what, size: text.len(), limit: STATE_LIMIT });
        }
        let chunk_size = Some(CHUNK.min(self.max_payload() / 2));
        let metadata = ObjectMetadata { name: app.to_owned(), chunk_size, ..ObjectMetadata::default() };
        let put = self.states.put(metadata, &mut text.as_slice()).await;
        let put = put.map_err(|error| FleetError::request(format!("write the state of {app}"))(error.into()));
        put.map(drop)
    }

    /// The state of an app, if a host has left one.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn state(&self, app: &str) -> Result<Option<SavedState>, FleetError> {
        let what = format!("the state of {app}");
        let object = match self.states.get(app).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FleetError::request(format!("read {what}"))(error.into())),
        };
        let text = ObjectReader::new(self, what, object).read_to_end(STATE_LIMIT + 1).await?;
        let parsed = serde_json::from_slice(&text);
        parsed.map(Some).map_err(|reason| FleetError::Value { key: format!("the state of {app}"), reason })
    }

    /// Deletes the state of an app.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn delete_state(&self, app: &str) -> Result<(), FleetError> {
        match self.states.delete(app).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == DeleteErrorKind::NotFound => Ok(()),
            Err(error) => Err(FleetError::request(format!("delete the state of {app}"))(error.into())),
        }
    }
}
