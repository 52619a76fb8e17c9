//! Crates that are built together, and the files that they are made from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::crate_build::CrateBuild;
use super::inputs::Inputs;
use super::manifests::Manifests;
use super::settings;
use crate::library::source::Package;
use crate::watch::WatchSet;

/// Crates of one cargo workspace that are built in the same way, together: so all of them have the same versions and
/// features of what they share, whichever of them has changed.
///
/// Cargo runs in the folder of one of them. A crate for which it would find other settings in its own folder
/// (`.cargo/config.toml`, `rust-toolchain.toml`) is built by itself.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    /// The folder whose settings hold for all of them.
    settings: PathBuf,
    pub(super) crates: Vec<CrateBuild>,
    pub(super) manifests: Arc<Manifests>,
    inputs: Inputs,
}

impl Workspace {
    /// Sorts crates by the workspaces that they belong to, and by how cargo builds them.
    pub fn group(crates: impl IntoIterator<Item = CrateBuild>) -> Vec<Self> {
        let mut workspaces: Vec<Self> = Vec::new();
        for built in crates {
            let package = &built.package;
            let settings = settings::folder(package);
            let same = workspaces
                .iter_mut()
                .find(|workspace| workspace.root == package.workspace && workspace.settings == settings);
            match same {
                Some(workspace) if workspace.crates.contains(&built) => {}
                Some(workspace) => workspace.crates.push(built),
                None => workspaces.push(Self {
                    root: package.workspace.clone(),
                    settings: settings.to_owned(),
                    crates: vec![built],
                    manifests: Arc::default(),
                    inputs: Inputs::default(),
                }),
            }
        }
        for workspace in &mut workspaces {
            workspace.crates.sort_by(|a, b| a.package.name.cmp(&b.package.name));
        }
        workspaces
    }

    /// The folder of the workspace.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that cargo is called in: that of the first crate. No other workspace has the same.
    pub fn folder(&self) -> &Path {
        self.crates.first().map_or(&self.root, |first| &first.package.folder)
    }

    /// The crates of it that are built.
    pub fn crates(&self) -> &[CrateBuild] {
        &self.crates
    }

    /// The files that the libraries are made from, to be watched.
    ///
    /// After a build these are the files that cargo and the compiler have read, manifests, and cargo's settings. Before the
    /// first, and when one has failed, they are the folders of sources as well.
    pub fn sources(&self) -> WatchSet {
        let mut set = WatchSet::default();
        let roots = [&self.root, &self.manifests.root];
        for root in roots.into_iter().filter(|root| root.is_absolute()) {
            set.named.extend(["Cargo.toml", "Cargo.lock"].map(|file| root.join(file)));
            for CrateBuild { package, .. } in &self.crates {
                set.named.insert(package.folder.join("Cargo.toml"));
                set.named.extend(settings::files(&package.folder, root));
            }
        }
        for local in self.manifests.local.values() {
            set.named.extend(local.files.iter().cloned());
        }
        set.named.extend(self.inputs.read.values().flatten().cloned());
        set.named.extend(self.inputs.failed_for.iter().cloned());
        set.folders.extend(self.inputs.whole.iter().cloned());
        if self.manifests.local.is_empty() {
            let above = self.root.ancestors().skip(1).map(|folder| folder.join("Cargo.toml"));
            set.named.extend(above.filter(|manifest| manifest.exists()));
            set.folders.extend(self.crates.iter().map(|built| built.package.folder.clone()));
        } else if !self.inputs.complete {
            set.folders.extend(self.manifests.local.values().flat_map(|local| local.sources.iter().cloned()));
        }
        set
    }

    /// Records the inputs of the libraries that a build has reported.
    pub fn learn(&mut self, inputs: Inputs) {
        self.inputs.update(inputs);
    }

    /// The crates whose libraries are made from this file, among others.
    pub fn made_from(&self, path: &Path) -> Vec<&Package> {
        let mut of: BTreeSet<&PathBuf> = self.inputs.readers(path).collect();
        if of.is_empty() {
            of.extend(self.manifests.crate_of(path));
        }
        let packages = self.crates.iter().map(|built| &built.package);
        let made_of = packages.clone().zip(&self.manifests.made_of);
        let found: Vec<_> = made_of
            .filter(|(_, folders)| of.iter().any(|folder| folders.contains(*folder)))
            .map(|(package, _)| package)
            .collect();
        // It is the workspace's, or nothing is known yet.
        if found.is_empty() { packages.collect() } else { found }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::manifests::Local;
    use super::*;
    use crate::config::BuildSettings;

    pub(in super::super) fn built(name: &str, workspace: &str) -> CrateBuild {
        let package = Package {
            name: name.to_owned(),
            folder: Path::new(workspace).join(name),
            workspace: workspace.into(),
            library: format!("lib{name}.so"),
        };
        CrateBuild { package, settings: BuildSettings::default() }
    }

    #[test]
    fn crates_of_a_workspace_are_built_together() {
        let crates = [built("b", "/x"), built("c", "/y"), built("a", "/x"), built("b", "/x")];
        let workspaces = Workspace::group(crates);
        let found: Vec<(&Path, Vec<&str>)> = workspaces
            .iter()
            .map(|workspace| {
                (workspace.root(), workspace.crates.iter().map(|it| it.package.name.as_str()).collect())
            })
            .collect();
        assert_eq!(found, [(Path::new("/x"), vec!["a", "b"]), (Path::new("/y"), vec!["c"])]);
    }

    #[test]
    fn a_file_is_of_those_that_read_it_or_of_the_innermost_crate() {
        let mut workspaces = Workspace::group([built("a", "/x"), built("b", "/x")]);
        let workspace = &mut workspaces[0];
        let folders = |folders: &[&str]| folders.iter().map(PathBuf::from).collect();
        let made_of = vec![folders(&["/x/a", "/shared"]), folders(&["/x/b", "/shared", "/x/a/inner"])];
        let local = ["/x/a", "/x/b", "/shared", "/x/a/inner"];
        let local = local.map(|folder| (folder.into(), Default::default())).into();
        workspace.manifests = Arc::new(Manifests { made_of, local, ..Manifests::default() });
        let inputs = &mut workspace.inputs;
        inputs.read.insert("/x/a".into(), folders(&["/x/a/src/lib.rs", "/pages/a.html"]));
        inputs.read.insert("/x/b".into(), folders(&["/pages", "/x/a/text"]));
        let of = |path: &str| -> Vec<&str> {
            workspaces[0]
                .made_from(Path::new(path))
                .into_iter()
                .map(|package| package.name.as_str())
                .collect()
        };
        assert_eq!(of("/x/a/src/lib.rs"), ["a"]);
        assert_eq!(of("/x/a/src/new.rs"), ["a"]);
        assert_eq!(of("/x/a/inner/src/lib.rs"), ["b"]);
        assert_eq!(of("/shared/src/lib.rs"), ["a", "b"]);
        assert_eq!(of("/pages/a.html"), ["a", "b"]);
        assert_eq!(of("/pages/b.html"), ["b"]);
        assert_eq!(of("/x/a/text"), ["b"]);
        assert_eq!(of("/x/Cargo.lock"), ["a", "b"]);
    }

    #[test]
    fn what_is_watched_is_what_was_read() {
        let mut workspaces = Workspace::group([built("a", "/x"), built("b", "/x")]);
        let workspace = &mut workspaces[0];
        assert_eq!(workspace.sources().folders, ["/x/a", "/x/b"].map(PathBuf::from).into());
        assert!(workspace.sources().named.contains(Path::new("/x/.cargo/config.toml")));

        let local = Local { sources: ["/x/a/src".into()].into(), ..Default::default() };
        let local = [("/x/a".into(), local)].into();
        workspace.manifests = Arc::new(Manifests { local, ..Manifests::default() });
        assert_eq!(workspace.sources().folders, ["/x/a/src"].map(PathBuf::from).into());
        let read = |file: &str| [("/x/a".into(), [file.into()].into())].into();
        workspace.learn(Inputs { read: read("/page"), complete: true, ..Inputs::default() });
        assert_eq!(workspace.sources().folders, BTreeSet::new());
        assert!(workspace.sources().named.contains(Path::new("/page")));

        let failed_for = ["/error".into()].into();
        workspace.learn(Inputs { read: read("/other"), failed_for, ..Inputs::default() });
        assert_eq!(workspace.sources().folders, ["/x/a/src"].map(PathBuf::from).into());
        for file in ["/page", "/other", "/error"] {
            assert!(workspace.sources().named.contains(Path::new(file)), "{file}");
        }
        workspace.learn(Inputs { complete: true, ..Inputs::default() });
        assert!(!workspace.sources().named.contains(Path::new("/page")));
    }
}
