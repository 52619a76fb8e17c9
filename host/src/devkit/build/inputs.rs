//! What the libraries of a workspace are made from, as far as builds have shown it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{Artifact, BuildScript};

use super::manifests::Manifests;
use super::{dep_info, failure};

/// What crates are made from, by what cargo, the compiler and build scripts have said in a build.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The files and folders that were read for each crate, by the crate's folder.
    pub(super) read: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Crates whose build script runs again for any file in their folder, as it asks for nothing else.
    pub(super) whole: BTreeSet<PathBuf>,
    /// The files that the build has failed for.
    pub(super) failed_for: BTreeSet<PathBuf>,
    /// Whether everything was built, so that nothing but the above can make a difference.
    pub(super) complete: bool,
}

/// What cargo has said of a build.
#[derive(Debug, Default)]
pub(super) struct Messages {
    pub(super) artifacts: Vec<Artifact>,
    pub(super) scripts: Vec<BuildScript>,
    /// What is wrong, if the build has failed.
    pub(super) failure: Option<String>,
}

impl Inputs {
    /// Reads what a build has left of what it has read.
    pub(super) fn new(messages: &Messages, manifests: &Manifests) -> Self {
        let mut inputs = Self { complete: messages.failure.is_none(), ..Self::default() };
        for artifact in &messages.artifacts {
            let Some(folder) = artifact.manifest_path.as_std_path().parent() else { continue };
            // What comes from a registry does not change.
            if manifests.local.contains_key(folder) {
                for file in dep_info::of_artifact(artifact) {
                    if let Ok(text) = fs::read(file) {
                        let files = dep_info::parse(&String::from_utf8_lossy(&text));
                        inputs.add(folder, &files, &[&manifests.root, folder], manifests);
                    }
                }
            }
        }
        for script in &messages.scripts {
            let (Some(folder), Some(place)) =
                (manifests.folders.get(&script.package_id), script.out_dir.as_std_path().parent())
            else {
                continue;
            };
            let output = fs::read(place.join("output")).unwrap_or_default();
            let is_local = manifests.local.contains_key(folder);
            match dep_info::of_script(&String::from_utf8_lossy(&output)) {
                Some(mut files) => {
                    files.retain(|file| is_local || !folder.join(file).starts_with(folder));
                    inputs.add(folder, &files, &[folder], manifests);
                }
                None if is_local => drop(inputs.whole.insert(folder.clone())),
                None => {}
            }
        }
        if let Some(text) = &messages.failure {
            let bases: Vec<&Path> =
                [&manifests.root].into_iter().chain(manifests.local.keys()).map(PathBuf::as_path).collect();
            inputs.failed_for = failure::files(text, &bases);
            inputs.failed_for.retain(|file| !manifests.is_output(file));
        }
        inputs
    }

    fn add(&mut self, folder: &Path, files: &[PathBuf], bases: &[&Path], manifests: &Manifests) {
        let files = files.iter().map(|file| dep_info::absolute(file, bases));
        let read = self.read.entry(folder.to_owned()).or_default();
        read.extend(files.filter(|file| !manifests.is_output(file)));
    }

    /// Merges the results of a later build. One that has failed shows only a part.
    pub(super) fn update(&mut self, later: Self) {
        if later.complete {
            *self = later;
            return;
        }
        for (folder, files) in later.read {
            self.read.entry(folder).or_default().extend(files);
        }
        self.whole.extend(later.whole);
        self.failed_for = later.failed_for;
        self.complete = false;
    }

    /// The crates for which a file was read.
    pub(super) fn readers(&self, path: &Path) -> impl Iterator<Item = &PathBuf> {
        let is_read = |files: &BTreeSet<PathBuf>| path.ancestors().any(|it| files.contains(it));
        self.read.iter().filter(move |(_, files)| is_read(files)).map(|(folder, _)| folder)
    }
}
