//! Libraries in the object store, by the BLAKE3 hash of their content.

use std::path::Path;

use async_nats::jetstream::object_store::{GetErrorKind, InfoErrorKind, Object, ObjectMetadata};

use super::connection::Fleet;
use super::error::FleetError;

/// How many bytes of an object one message has, at most.
pub(super) const CHUNK: usize = 128 << 10;

impl Fleet {
    /// Uploads a library, unless it is there. How many bytes were uploaded.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn put_library(&self, hash: &str, path: &Path) -> Result<u64, FleetError> {
        match self.libraries.info(hash).await {
            Ok(info) if !info.deleted => return Ok(0),
            Err(error) if error.kind() != InfoErrorKind::NotFound => {
                return Err(FleetError::request(format!("look for the library {hash}"))(error.into()));
            }
            _ => {}
        }
        let failed = |reason| FleetError::File { path: path.to_owned(), reason };
        let mut file = tokio::fs::File::open(path).await.map_err(failed)?;
        let chunk_size = Some(CHUNK.min(self.max_payload() / 2));
        let metadata = ObjectMetadata { name: hash.to_owned(), chunk_size, ..ObjectMetadata::default() };
        let put = self.libraries.put(metadata, &mut file).await;
        let info =
            put.map_err(|error| FleetError::request(format!("upload {}", path.display()))(error.into()))?;
        Ok(info.size as u64)
    }

    /// A library, to read from, and its size in bytes.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub(crate) async fn library(&self, hash: &str) -> Result<(Object, u64), FleetError> {
        let found = self.libraries.get(hash).await;
        let object = found.map_err(|error| match error.kind() {
            GetErrorKind::NotFound => FleetError::NoLibrary(hash.to_owned()),
            _ => FleetError::request(format!("fetch the library {hash}"))(error.into()),
        })?;
        let size = object.info().size as u64;
        Ok((object, size))
    }
}
