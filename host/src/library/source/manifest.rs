//! What the `Cargo.toml` of a crate says, and those above it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::SourceError;
use super::package::Package;
use crate::fs::regular_file::{self, SMALL_FILE_LIMIT};

#[derive(Deserialize)]
struct Manifest {
    package: Option<ManifestPackage>,
    lib: Option<ManifestLib>,
    workspace: Option<ManifestWorkspace>,
}

#[derive(Deserialize)]
struct ManifestWorkspace {
    #[serde(default)]
    members: Vec<PathBuf>,
    #[serde(default)]
    exclude: Vec<PathBuf>,
}

impl ManifestWorkspace {
    /// Whether a crate below the workspace's folder is none of its members. A member that is named wins over an
    /// excluded folder around it.
    fn excludes(&self, root: &Path, folder: &Path) -> bool {
        let covers = |paths: &[PathBuf]| paths.iter().any(|path| folder.starts_with(root.join(path)));
        covers(&self.exclude) && !covers(&self.members)
    }
}

#[derive(Deserialize)]
struct ManifestPackage {
    name: String,
    /// The workspace's folder, where it is not one of those above.
    workspace: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
struct ManifestLib {
    name: Option<String>,
    #[serde(rename = "crate-type", alias = "crate_type", default)]
    crate_type: Vec<String>,
}

impl Manifest {
    fn read(manifest: &Path) -> Result<Manifest, SourceError> {
        let text = regular_file::read_to_string(manifest, SMALL_FILE_LIMIT)
            .map_err(|reason| SourceError::Read { path: manifest.to_owned(), reason })?;
        toml::from_str(&text)
            .map_err(|reason| SourceError::Manifest { manifest: manifest.to_owned(), reason: reason.into() })
    }
}

/// The crate in this folder, with this manifest.
pub(super) fn package(folder: &Path, manifest: &Path) -> Result<Package, SourceError> {
    let parsed = Manifest::read(manifest)?;
    let Some(ManifestPackage { name, workspace }) = parsed.package else {
        return Err(SourceError::NoPackage { manifest: manifest.to_owned() });
    };
    let lib = parsed.lib.unwrap_or_default();
    if !lib.crate_type.iter().any(|kind| kind == "cdylib") {
        return Err(SourceError::NotCdylib {
            package: name,
            manifest: manifest.to_owned(),
            found: lib.crate_type,
        });
    }
    let library = format!("lib{}.so", lib.name.unwrap_or_else(|| name.replace('-', "_")));
    let workspace = match workspace {
        Some(workspace) => folder.join(workspace),
        None if parsed.workspace.is_some() => folder.to_owned(),
        None => workspace_above(folder).unwrap_or_else(|| folder.to_owned()),
    };
    Ok(Package { name, folder: folder.to_owned(), workspace, library })
}

/// The folder of the workspace that a crate without its own `[workspace]` belongs to, as cargo looks for it: where the
/// crate really is, above any link that leads to it.
pub(crate) fn workspace_above(folder: &Path) -> Option<PathBuf> {
    let real = folder.canonicalize();
    let folder = real.as_deref().unwrap_or(folder);
    folder.ancestors().skip(1).find_map(|above| {
        let manifest = Manifest::read(&above.join("Cargo.toml")).ok()?;
        if let Some(workspace) = manifest.workspace {
            return (!workspace.excludes(above, folder)).then(|| above.to_owned());
        }
        manifest.package?.workspace.map(|workspace| above.join(workspace))
    })
}
