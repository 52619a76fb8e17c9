//! Building the libraries of crates with cargo, for `atoll dev` and `atoll build`.

mod cargo;
mod features;
mod group;
mod output;
mod sources;
mod symbols;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cargo_metadata::{Artifact, Message, MetadataCommand};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

pub use self::cargo::cargo;
use self::group::Group;
pub use self::symbols::Symbols;
use crate::source::Package;

/// Why there is no new library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no cargo, or it cannot be started.
    #[error("cannot run {}: {reason}; is Rust installed, and `cargo` in PATH?", program.display())]
    Cargo {
        /// What was to be run.
        program: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// Cargo cannot read the crate or its workspace, or the crate does not compile.
    #[error("the build failed:\n{message}")]
    Failed {
        /// The beginning of what cargo and the compiler said, without colours.
        message: String,
        /// The same with the control sequences of a terminal.
        colored: String,
    },
}

/// How to build.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuildOptions {
    /// With the profile `release`, rather than `dev`.
    pub release: bool,
    /// What the libraries keep of their symbols, if they are built with the profile `release`.
    pub symbols: Symbols,
    /// Show a bar of how far cargo is, on a terminal. Nobody else should write to it meanwhile.
    pub progress: bool,
}

/// A library that cargo has made.
#[derive(Clone, Copy, Debug)]
pub struct BuiltLibrary<'a> {
    /// Its crate.
    pub package: &'a Package,
    /// Its file.
    pub path: &'a Path,
    /// Whether it was there already, as it is now.
    pub fresh: bool,
}

/// Crates of one cargo workspace, which are built together: so all of them have the same versions and features of
/// what they share, whichever of them has changed.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    packages: Vec<Package>,
    arguments: Vec<String>,
    sources: Vec<PathBuf>,
    /// The folders of each crate and of what it depends on by path.
    folders: Vec<BTreeSet<PathBuf>>,
}

impl Workspace {
    /// Sorts crates into the workspaces that they belong to.
    pub fn group(packages: impl IntoIterator<Item = Package>) -> Vec<Self> {
        let mut workspaces: Vec<Self> = Vec::new();
        for package in packages {
            match workspaces.iter_mut().find(|workspace| workspace.root == package.workspace) {
                Some(workspace) if workspace.packages.contains(&package) => {}
                Some(workspace) => workspace.packages.push(package),
                None => workspaces.push(Self {
                    root: package.workspace.clone(),
                    arguments: Vec::new(),
                    sources: sources::assumed(&package.workspace, std::slice::from_ref(&package)),
                    packages: vec![package],
                    folders: Vec::new(),
                }),
            }
        }
        for workspace in &mut workspaces {
            workspace.packages.sort_by(|a, b| a.name.cmp(&b.name));
            workspace.sources = sources::assumed(&workspace.root, &workspace.packages);
        }
        workspaces
    }

    /// The folder of the workspace.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The crates of it that are built.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// The folders and files that the libraries are made from, to be watched.
    pub fn sources(&self) -> &[PathBuf] {
        &self.sources
    }

    /// The crates whose libraries are made from this file, among others.
    pub fn made_from(&self, path: &Path) -> impl Iterator<Item = &Package> {
        let all = self.folders.iter().flatten();
        // A crate's folder may be in another one's.
        let folder =
            all.filter(|folder| path.starts_with(folder)).max_by_key(|folder| folder.as_os_str().len());
        self.packages.iter().enumerate().filter_map(move |(place, package)| {
            let is = match (folder, self.folders.get(place)) {
                (Some(folder), Some(folders)) => folders.contains(folder),
                // It is the workspace's, or nothing is known yet.
                _ => true,
            };
            is.then_some(package)
        })
    }

    /// Reads the manifests: to be called before the first [`build`](Self::build), and when one has changed.
    ///
    /// # Errors
    /// Cargo cannot read them; what was known before stays.
    pub async fn read_manifests(&mut self) -> Result<(), BuildError> {
        let mut command = MetadataCommand::new();
        command.cargo_path(cargo::program()).current_dir(&self.root).no_deps();
        if output::may_color() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        let metadata = tokio::task::spawn_blocking(move || command.exec())
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| match error {
                cargo_metadata::Error::CargoMetadata { stderr } => {
                    output::show(&stderr);
                    failed(output::excerpt(&stderr))
                }
                cargo_metadata::Error::Io(reason) => BuildError::Cargo { program: cargo::program(), reason },
                other => failed(other.to_string()),
            })?;
        let members: Vec<_> = metadata
            .packages
            .iter()
            .filter(|member| self.packages.iter().any(|package| *member.name == package.name))
            .collect();
        self.arguments = features::arguments(members.iter().map(|member| (&**member.name, &member.features)));
        self.folders = self
            .packages
            .iter()
            .map(|package| {
                let member = members.iter().find(|member| *member.name == package.name);
                member.map_or_else(BTreeSet::new, |member| sources::folders(member, &metadata.packages))
            })
            .collect();
        self.sources = sources::of(&self.root, &self.folders);
        Ok(())
    }

    /// Builds the libraries, and tells of each as soon as it is there. What cargo and the compiler say goes to standard
    /// error. Dropping the future ends cargo and what it has started.
    ///
    /// # Errors
    /// Some library was not built; the others were.
    pub async fn build(
        &self,
        options: BuildOptions,
        mut built: impl FnMut(BuiltLibrary<'_>),
    ) -> Result<(), BuildError> {
        let mut child = self
            .command(options)
            .spawn()
            .map_err(|reason| BuildError::Cargo { program: cargo::program(), reason })?;
        let group = Group::of(&child);
        let manifests: Vec<_> = self
            .packages
            .iter()
            .map(|package| (package, real_path(&package.folder.join("Cargo.toml"))))
            .collect();
        let artifacts = each_artifact(child.stdout.take(), |artifact| {
            let manifest = real_path(artifact.manifest_path.as_std_path());
            let package = manifests.iter().find(|(_, of_package)| *of_package == manifest);
            if let (Some((package, _)), Some(path)) = (package, library(&artifact)) {
                built(BuiltLibrary { package, path, fresh: artifact.fresh });
            }
        });
        let (artifacts, text) =
            tokio::join!(artifacts, output::copy_to_stderr(child.stderr.take(), output::has_colors()));
        let status = child.wait().await;
        group.ended();
        artifacts
            .and(status)
            .map_err(|error| failed(error.to_string()))
            .and_then(|status| if status.success() { Ok(()) } else { Err(failed(output::excerpt(&text))) })
    }

    fn command(&self, options: BuildOptions) -> Command {
        let mut command = Command::from(cargo());
        command
            .current_dir(&self.root)
            .args(["build", "--lib", "--keep-going", "--message-format=json-render-diagnostics"])
            .args(self.packages.iter().flat_map(|package| ["--package", &package.name]))
            .args(&self.arguments)
            .args(options.release.then_some("--release"))
            .args(if options.release { options.symbols.arguments() } else { &[] })
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group, so that the compilers end with it.
            .process_group(0);
        // Cargo writes to a pipe, which does not look like a terminal; whoever reads it can do without the colours.
        let unset = |name| std::env::var_os(name).is_none();
        if output::may_color() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        if options.progress
            && output::has_colors()
            && io::stderr().is_terminal()
            && unset("CARGO_TERM_PROGRESS_WHEN")
        {
            command.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", "80");
        }
        command
    }
}

/// A failure with this text, which may have a terminal's control sequences in it.
fn failed(text: String) -> BuildError {
    BuildError::Failed { message: output::plain(&text), colored: text }
}

/// Two spellings of a path are the same file; one that is gone is only itself.
fn real_path(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The library among an artifact's files, if the artifact is one.
fn library(artifact: &Artifact) -> Option<&Path> {
    let file = artifact.filenames.iter().find(|file| file.extension() == Some("so"))?;
    artifact.target.is_cdylib().then_some(file.as_std_path())
}

/// Reads cargo's messages until it has no more.
async fn each_artifact(
    stream: Option<impl AsyncRead + Unpin>,
    mut take: impl FnMut(Artifact),
) -> io::Result<()> {
    let Some(stream) = stream else { return Ok(()) };
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await? {
        // Other messages, and what compiler plugins print, say nothing of libraries.
        if let Ok(Message::CompilerArtifact(artifact)) = serde_json::from_str(&line) {
            take(artifact);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, workspace: &str) -> Package {
        Package {
            name: name.to_owned(),
            folder: Path::new(workspace).join(name),
            workspace: workspace.into(),
            library: format!("lib{name}.so"),
        }
    }

    #[test]
    fn crates_of_a_workspace_are_built_together() {
        let packages = [package("b", "/x"), package("c", "/y"), package("a", "/x"), package("b", "/x")];
        let workspaces = Workspace::group(packages);
        let found: Vec<(&Path, Vec<&str>)> = workspaces
            .iter()
            .map(|workspace| {
                (workspace.root(), workspace.packages.iter().map(|it| it.name.as_str()).collect())
            })
            .collect();
        assert_eq!(found, [(Path::new("/x"), vec!["a", "b"]), (Path::new("/y"), vec!["c"])]);
    }

    #[test]
    fn a_file_is_of_the_innermost_crate_and_of_all_that_depend_on_it() {
        let mut workspaces = Workspace::group([package("a", "/x"), package("b", "/x")]);
        let folders = |folders: &[&str]| folders.iter().map(PathBuf::from).collect();
        workspaces[0].folders =
            vec![folders(&["/x/a", "/shared"]), folders(&["/x/b", "/shared", "/x/a/inner"])];
        let of = |path: &str| -> Vec<&str> {
            workspaces[0].made_from(Path::new(path)).map(|package| package.name.as_str()).collect()
        };
        assert_eq!(of("/x/a/src/lib.rs"), ["a"]);
        assert_eq!(of("/x/a/inner/src/lib.rs"), ["b"]);
        assert_eq!(of("/shared/src/lib.rs"), ["a", "b"]);
        assert_eq!(of("/x/Cargo.lock"), ["a", "b"]);
    }

    #[test]
    fn a_build_is_one_call_of_cargo() {
        let mut workspaces = Workspace::group([package("a", "/x"), package("b", "/x")]);
        workspaces[0].arguments = vec!["--no-default-features".to_owned()];
        let command = workspaces[0].command(BuildOptions { release: true, ..BuildOptions::default() });
        let arguments: Vec<_> =
            command.as_std().get_args().map(|it| it.to_string_lossy().into_owned()).collect();
        assert_eq!(
            arguments.join(" "),
            "build --lib --keep-going --message-format=json-render-diagnostics --package a --package b \
             --no-default-features --release"
        );
        assert_eq!(command.as_std().get_current_dir(), Some(Path::new("/x")));
    }
}
