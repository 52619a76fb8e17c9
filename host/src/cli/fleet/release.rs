//! Versions that are built for a fleet.

use atoll_host::config::Config;
use atoll_host::internal::ContentHash;
use atoll_host::internal::deploy::Version;
use atoll_host::internal::fleet::Release;
use atoll_host::internal::fleet::nats::{Fleet, FleetError};

use super::arguments::who;
use crate::cli::app_files::AppFiles;
use crate::cli::built::Ready;
use crate::cli::units::now_ms;

/// A version that is built, with its files.
#[derive(Clone, Debug)]
pub(super) struct Built {
    pub(super) app: String,
    pub(super) release: Release,
    files: AppFiles,
}

/// The versions of apps that are built; `text`: that of their apps.json.
pub(super) fn releases(ready: &Ready, text: &str, note: Option<&str>) -> anyhow::Result<Vec<Built>> {
    let releases = ready.apps.iter().map(|(app, files)| {
        let entry = Config::complete_entry(text, app).unwrap_or_default();
        let (library, libraries) = (files.library.hash.clone(), files.shared());
        let hash: ContentHash = library.parse()?;
        let release = Release {
            version: Version::id_of(hash, &libraries, &entry),
            library,
            libraries,
            entry,
            note: note.map(str::to_owned),
            by: who(),
            at_ms: now_ms(),
            signature: None,
        };
        Ok(Built { app: app.clone(), release, files: files.clone() })
    });
    releases.collect()
}

impl Built {
    /// Uploads the files that the fleet does not have; how many bytes.
    pub(super) async fn upload(&self, fleet: &Fleet) -> Result<u64, FleetError> {
        let mut uploaded = 0;
        for file in self.files.all() {
            uploaded += fleet.put_library(&file.hash, &file.path).await?;
        }
        Ok(uploaded)
    }
}
