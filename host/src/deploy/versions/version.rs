//! What is known of a version.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::{Entry, sorted};
use crate::library::content_hash::ContentHash;

/// A shared library that a library needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SharedLibrary {
    /// The name by which it is needed.
    pub name: String,
    /// The BLAKE3 hash of its file, in hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub hash: String,
}

/// A version of an app, as the host keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// What tells it from the app's other versions: 12 hexadecimal digits, which follow from its content.
    pub id: String,
    /// The BLAKE3 hash of its library's file, in hexadecimal.
    pub library: String,
    /// The shared libraries that it needs.
    pub libraries: Vec<SharedLibrary>,
    /// The app's entry in apps.json.
    pub entry: Entry,
    /// The first digits of the hash of the library with those that it needs, as `atoll build` and `atoll usage` show it.
    pub hash: String,
    /// The size of its files in bytes.
    pub size: u64,
    /// The name and version of the library's package.
    pub package: String,
    /// The compiler that built it.
    pub rustc: String,
    /// When the host got it, in milliseconds since 1970.
    pub created_ms: u64,
    /// The name of the token by which it was pushed; `None`: its library was copied into the folder.
    pub by: Option<String>,
    /// What its pusher has noted.
    pub note: Option<String>,
    /// When it was last made the one that serves.
    pub promoted_ms: Option<u64>,
    /// Why it did not start, when it was last promoted.
    pub failure: Option<String>,
    /// Whether it is not promoted again until someone asks for it, because a rollout of it was aborted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

impl Version {
    /// What tells a version with these parts from others.
    pub fn id_of(library: ContentHash, libraries: &[SharedLibrary], entry: &Entry) -> String {
        let mut libraries = libraries.to_vec();
        libraries.sort();
        let mut text = format!("{library}\n");
        for shared in libraries {
            text += &format!("{} {}\n", shared.hash, shared.name);
        }
        text += &serde_json::Value::Object(sorted(entry.clone())).to_string();
        ContentHash::compute(text.as_bytes()).short()
    }
}
