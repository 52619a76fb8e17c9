//! The types of versions in the admin API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::rollout_model::RolloutStatus;
use crate::config::Entry;
use crate::deploy::{Index, SharedLibrary, Version};

/// A version of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionStatus {
    /// What tells it from the app's other versions: 12 hexadecimal digits, which follow from its library and its settings.
    pub id: String,
    /// What it is to the host.
    pub state: VersionState,
    /// The first digits of the hash of its library with those that it needs.
    pub hash: String,
    /// The size of its files in bytes.
    pub size: u64,
    /// The name and version of the library's package.
    pub package: String,
    /// The compiler that built it.
    pub rustc: String,
    /// When the host got it, in milliseconds since 1970.
    pub created_ms: u64,
    /// The name of the token by which it was pushed, `local` or `admin`; `null`: its library was copied into the folder.
    pub by: Option<String>,
    /// What its pusher has noted.
    pub note: Option<String>,
    /// When it was last promoted, in milliseconds since 1970.
    pub promoted_ms: Option<u64>,
    /// Why it is not the current one, when it was last promoted.
    pub failure: Option<String>,
    /// Whether it is not promoted again until someone asks for it, because a rollout of it was aborted.
    pub held: bool,
}

/// What a version is to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VersionState {
    /// It is the one that serves.
    Current,
    /// It was never promoted.
    Staged,
    /// It has served before.
    Previous,
    /// It did not start.
    Failed,
}

impl std::fmt::Display for VersionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Current => "current",
            Self::Staged => "staged",
            Self::Previous => "previous",
            Self::Failed => "failed",
        })
    }
}

/// A version whose files were uploaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAppVersion {
    /// The BLAKE3 hash of its library's file, in hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub library: String,
    /// The shared libraries that it needs.
    #[serde(default)]
    pub libraries: Vec<SharedLibrary>,
    /// The app's entry in apps.json, without `name` and `path`.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub entry: Entry,
    /// A note for the list of versions.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub note: Option<String>,
    /// Whether to promote it: the response comes when it serves.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub promote: bool,
    /// Whether to promote it although a rollout of it was aborted.
    #[serde(default)]
    pub again: bool,
}

fn yes() -> bool {
    true
}

/// A version that was pushed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PushedVersion {
    /// The version.
    pub version: VersionStatus,
    /// The number of the serving generation, if the version was promoted and the app does not stand by.
    pub generation: Option<u64>,
    /// Its rollout, if that has begun.
    pub rollout: Option<RolloutStatus>,
}

/// What came of a promotion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Promoted {
    /// The number of the serving generation, if the version is the current one and the app does not stand by.
    pub generation: Option<u64>,
    /// The rollout of the version, if that has begun.
    pub rollout: Option<RolloutStatus>,
}

impl VersionStatus {
    /// All versions of an app, the newest first.
    pub(super) fn all(index: &Index) -> Vec<Self> {
        index.versions.iter().map(|version| Self::new(version, index.current.as_deref())).collect()
    }

    pub(super) fn new(version: &Version, current: Option<&str>) -> Self {
        let state = match version {
            version if current == Some(version.id.as_str()) => VersionState::Current,
            version if version.failure.is_some() => VersionState::Failed,
            version if version.promoted_ms.is_some() => VersionState::Previous,
            _ => VersionState::Staged,
        };
        let Version {
            id, hash, size, package, rustc, created_ms, by, note, promoted_ms, failure, held, ..
        } = version.clone();
        Self { id, state, hash, size, package, rustc, created_ms, by, note, promoted_ms, failure, held }
    }
}
