//! What the libraries of a workspace are made from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Package as Member};

use crate::source::Package;

/// Files of a workspace's folder that have a say in how its crates are built.
const OF_WORKSPACE: [&str; 5] =
    ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "rust-toolchain", ".cargo/config.toml"];

/// As long as the manifests cannot be read: the crates' folders, and all manifests that may be their workspace's.
pub(super) fn assumed(root: &Path, packages: &[Package]) -> Vec<PathBuf> {
    let folders = packages.iter().map(|package| package.folder.clone());
    let above = root.ancestors().skip(1).map(|folder| folder.join("Cargo.toml")).filter(|it| it.exists());
    with_workspace(root, folders.chain(above).collect())
}

/// The folders of a crate and of what it depends on by path.
pub(super) fn folders(package: &Member, members: &[Member]) -> BTreeSet<PathBuf> {
    let folder_of =
        |member: &Member| member.manifest_path.parent().map(|folder| folder.as_std_path().to_owned());
    let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
    let mut todo: Vec<PathBuf> = folder_of(package).into_iter().collect();
    while let Some(folder) = todo.pop() {
        if folders.insert(folder.clone())
            && let Some(member) = members.iter().find(|member| folder_of(member).as_ref() == Some(&folder))
        {
            let of_library = member.dependencies.iter().filter(|it| it.kind != DependencyKind::Development);
            todo.extend(
                of_library.filter_map(|dependency| Some(dependency.path.as_ref()?.as_std_path().to_owned())),
            );
        }
    }
    folders
}

/// These folders of all crates, and the workspace's own files.
pub(super) fn of(root: &Path, folders: &[BTreeSet<PathBuf>]) -> Vec<PathBuf> {
    with_workspace(root, folders.iter().flatten().cloned().collect())
}

fn with_workspace(root: &Path, mut folders: BTreeSet<PathBuf>) -> Vec<PathBuf> {
    if !folders.contains(root) {
        folders.extend(OF_WORKSPACE.iter().map(|file| root.join(file)));
    }
    folders.into_iter().collect()
}
