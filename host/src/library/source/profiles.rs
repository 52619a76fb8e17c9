//! The profiles of cargo, and the folders that they build into.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::fs::regular_file::{self, SMALL_FILE_LIMIT};

/// What cargo has without any manifest, but for those that build into the folders of these.
const BUILT_IN: [&str; 2] = ["dev", "release"];

/// The profiles in a file, which is a manifest or a configuration of cargo.
pub(super) type Profiles = BTreeMap<String, IgnoredAny>;

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    profile: Profiles,
}

/// The names of the profiles in this manifest of a workspace. One that cannot be understood has none: cargo itself says
/// what is wrong with it.
pub(super) fn of_manifest(manifest: &Path) -> Vec<String> {
    let text = regular_file::read_to_string(manifest, SMALL_FILE_LIMIT).ok();
    let parsed = text.and_then(|text| toml::from_str::<Manifest>(&text).ok());
    parsed.into_iter().flat_map(|manifest| manifest.profile.into_keys()).collect()
}

/// The folders of all profiles, those of the built-in ones first.
pub(super) fn folders(others: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut folders: Vec<String> = Vec::new();
    for profile in BUILT_IN.map(str::to_owned).into_iter().chain(others) {
        let folder = folder(&profile);
        // A name that leads elsewhere is none.
        if !folders.iter().any(|known| known == folder) && !folder.contains(['/', '.']) {
            folders.push(folder.to_owned());
        }
    }
    folders
}

/// The folder within `target` that a profile builds into.
pub(super) fn folder(profile: &str) -> &str {
    match profile {
        "dev" | "test" => "debug",
        "bench" => "release",
        other => other,
    }
}
