//! What the manifests of a workspace say: which crates there are by path, and how those of apps are built.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, Package as Member, PackageId, TargetKind};

use super::crate_build::CrateBuild;
use super::features::{self, Wanted};
use crate::config::BuildSettings;
use crate::fs::real_path::real_path;
use crate::library::source::workspace_above;

/// What the manifests of a workspace say of the crates that are built in it.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    /// The workspace's folder.
    pub(super) root: PathBuf,
    /// The crates that are there by path, by their folders.
    pub(super) local: BTreeMap<PathBuf, Local>,
    /// For each of the crates that are built, the folders of what it is made of by path, itself among them.
    pub(super) made_of: Vec<BTreeSet<PathBuf>>,
    /// The calls of cargo that build them.
    pub(super) calls: Vec<Call>,
    /// The folders of all packages.
    pub(super) folders: HashMap<PackageId, PathBuf>,
    /// The folders that cargo writes to.
    pub(super) outputs: Vec<PathBuf>,
}

/// A crate that is there by path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Local {
    /// Files that decide what it is: its manifest, the build script that it has or may get, a root file beside them.
    pub(super) files: BTreeSet<PathBuf>,
    /// The folders of its library's modules.
    pub(super) sources: BTreeSet<PathBuf>,
}

/// Crates that one call of cargo builds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    /// Their places in the list of all.
    pub(super) crates: Vec<usize>,
    /// The cargo arguments that select them and their features.
    pub(super) arguments: Vec<String>,
    /// How they are built, apart from features.
    pub(super) settings: BuildSettings,
}

impl Manifests {
    /// What cargo says of the workspace, for these crates of it.
    pub(super) fn new(metadata: &Metadata, crates: &[CrateBuild]) -> Self {
        let by_id: HashMap<_, _> = metadata.packages.iter().map(|member| (&member.id, member)).collect();
        let folders: HashMap<_, _> =
            metadata.packages.iter().map(|member| (member.id.clone(), folder_of(member))).collect();
        let mut all = Self {
            root: metadata.workspace_root.as_std_path().to_owned(),
            outputs: [Some(&metadata.target_directory), metadata.build_directory.as_ref()]
                .into_iter()
                .flatten()
                .map(|folder| folder.as_std_path().to_owned())
                .collect(),
            ..Self::default()
        };
        let members: Vec<Option<&Member>> = crates
            .iter()
            .map(|built| real_path(&built.package.folder))
            .map(|folder| {
                metadata
                    .packages
                    .iter()
                    .find(|member| member.source.is_none() && real_path(&folder_of(member)) == folder)
            })
            .collect();
        for member in &members {
            let mut made_of = BTreeSet::new();
            match (member, &metadata.resolve) {
                (Some(member), Some(_)) => {
                    for id in dependencies(metadata, &member.id) {
                        if let Some(local) = by_id.get(id).filter(|it| it.source.is_none()) {
                            all.local.entry(folder_of(local)).or_insert_with(|| Local::new(local));
                            made_of.insert(folder_of(local));
                        }
                    }
                }
                (Some(member), None) => all.add_unresolved(member, &metadata.packages, &mut made_of),
                (None, _) => {}
            }
            all.made_of.push(made_of);
        }
        all.calls = calls(crates, &members, &all.made_of);
        all.folders = folders;
        all
    }

    /// Follows a crate's dependencies by path, as the manifests themselves name them.
    fn add_unresolved(&mut self, member: &Member, members: &[Member], made_of: &mut BTreeSet<PathBuf>) {
        let mut todo = vec![folder_of(member)];
        while let Some(folder) = todo.pop() {
            if !made_of.insert(folder.clone()) {
                continue;
            }
            let Some(member) = members.iter().find(|member| folder_of(member) == folder) else {
                let local =
                    Local { files: [folder.join("Cargo.toml")].into(), sources: [folder.clone()].into() };
                self.local.insert(folder, local);
                continue;
            };
            self.local.insert(folder, Local::new(member));
            let of_library = member.dependencies.iter().filter(|it| it.kind != DependencyKind::Development);
            todo.extend(of_library.filter_map(|it| Some(it.path.as_ref()?.as_std_path().to_owned())));
        }
    }

    /// The innermost crate that a file is in.
    pub(super) fn crate_of(&self, path: &Path) -> Option<&PathBuf> {
        self.local
            .keys()
            .filter(|folder| path.starts_with(folder))
            .max_by_key(|folder| folder.as_os_str().len())
    }

    /// Whether cargo writes there.
    pub(super) fn is_output(&self, path: &Path) -> bool {
        self.outputs.iter().any(|output| path.starts_with(output))
    }
}

impl Local {
    fn new(member: &Member) -> Self {
        let folder = folder_of(member);
        let mut local =
            Self { files: [folder.join("Cargo.toml"), folder.join("build.rs")].into(), ..Self::default() };
        // A member of another workspace takes versions and more from there.
        local.files.extend(workspace_above(&folder).map(|root| root.join("Cargo.toml")));
        let not_built = [TargetKind::Bin, TargetKind::Example, TargetKind::Test, TargetKind::Bench];
        for target in &member.targets {
            if target.kind.iter().any(|kind| not_built.contains(kind)) {
                continue;
            }
            let root = target.src_path.as_std_path();
            match root.parent() {
                // Beside a manifest there is more than sources.
                Some(modules) if !target.is_custom_build() && !folder.starts_with(modules) => {
                    local.sources.insert(modules.to_owned());
                }
                _ => drop(local.files.insert(root.to_owned())),
            }
        }
        local
    }
}

fn folder_of(member: &Member) -> PathBuf {
    let manifest = member.manifest_path.as_std_path();
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// What a package's library is made of: itself and all that it depends on, but for its tests.
fn dependencies<'a>(metadata: &'a Metadata, package: &'a PackageId) -> BTreeSet<&'a PackageId> {
    let nodes: HashMap<_, _> =
        metadata.resolve.iter().flat_map(|resolve| &resolve.nodes).map(|node| (&node.id, node)).collect();
    let mut found = BTreeSet::new();
    let mut todo = vec![package];
    while let Some(package) = todo.pop() {
        if found.insert(package)
            && let Some(node) = nodes.get(package)
        {
            let of_library = node
                .deps
                .iter()
                .filter(|it| it.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development));
            todo.extend(of_library.map(|it| &it.pkg));
        }
    }
    found
}

/// Distributes the crates over calls of cargo: over one, unless their settings ask for different ones, or a crate depends on
/// another app's crate. It may want other features of it, and within one call all have the same.
fn calls(all: &[CrateBuild], members: &[Option<&Member>], made_of: &[BTreeSet<PathBuf>]) -> Vec<Call> {
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    let depends = |a: usize, b: usize| a != b && made_of[a].contains(&real_path(&all[b].package.folder));
    for place in 0..all.len() {
        let fits = |round: &&mut Vec<usize>| {
            round.iter().all(|&other| {
                all[place].fits(&all[other]) && !depends(place, other) && !depends(other, place)
            })
        };
        match rounds.iter_mut().find(fits) {
            Some(round) => round.push(place),
            None => rounds.push(vec![place]),
        }
    }
    rounds
        .into_iter()
        .map(|crates| {
            let of_round: Vec<_> = crates.iter().map(|&place| (members[place], &all[place])).collect();
            // The id is unambiguous; the name is for what cargo does not know, so that it says so.
            let specs = of_round.iter().map(|(member, built)| {
                member.map_or_else(|| built.package.name.clone(), |member| member.id.repr.clone())
            });
            let mut arguments: Vec<String> = specs.flat_map(|spec| ["--package".to_owned(), spec]).collect();
            let known = of_round.iter().filter_map(|(member, built)| {
                let member = (*member)?;
                Some(Wanted { name: &member.name, has: &member.features, settings: &built.settings })
            });
            arguments.extend(features::arguments(known));
            let settings = of_round.first().map(|(_, built)| built.settings.clone()).unwrap_or_default();
            Call { crates, arguments, settings }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::workspace::tests::built;
    use super::*;

    fn crates_of(calls: &[Call]) -> Vec<&[usize]> {
        calls.iter().map(|call| &*call.crates).collect()
    }

    #[test]
    fn a_crate_that_depends_on_another_is_built_by_another_call() {
        let crates = ["a", "b", "c"].map(|name| built(name, "/x"));
        let made_of = |folders: &[&str]| folders.iter().map(PathBuf::from).collect();
        let made_of = [made_of(&["/x/a"]), made_of(&["/x/b", "/x/a"]), made_of(&["/x/c", "/shared"])];
        let calls = calls(&crates, &[None, None, None], &made_of);
        assert_eq!(crates_of(&calls), [&[0, 2][..], &[1]]);
        assert_eq!(calls[0].arguments, ["--package", "a", "--package", "c"]);
    }

    #[test]
    fn crates_with_other_settings_are_built_by_another_call() {
        let mut crates = ["a", "b", "c", "d"].map(|name| built(name, "/x"));
        crates[1].settings.profile = Some("dist".into());
        crates[2].settings.features = vec!["x".into()];
        crates[3].settings.locked = true;
        let made_of = [(); 4].map(|()| BTreeSet::new());
        let calls = calls(&crates, &[None; 4], &made_of);
        assert_eq!(crates_of(&calls), [&[0, 2, 3][..], &[1]]);
        assert_eq!(calls[1].settings.profile.as_deref(), Some("dist"));
    }
}
