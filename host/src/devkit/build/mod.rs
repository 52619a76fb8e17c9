//! Building the libraries of crates with cargo, for `atoll dev` and `atoll build`.

mod cargo;
mod config_env;
mod dep_info;
mod failure;
mod features;
mod group;
mod inputs;
mod manifests;
mod output;
mod settings;
mod symbols;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use cargo_metadata::{Artifact, Message, Metadata, MetadataCommand};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

pub use self::cargo::cargo;
use self::group::Group;
pub use self::inputs::Inputs;
use self::inputs::Messages;
use self::manifests::{Call, Manifests};
pub use self::settings::is_about_builds;
pub use self::symbols::Symbols;
use crate::fs::real_path::real_path;
use crate::library::source::Package;
use crate::watch::WatchSet;

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

/// How a build has ended.
#[derive(Debug)]
pub struct BuildOutcome {
    /// An error if some library was not built; the others were.
    pub result: Result<(), BuildError>,
    /// What the libraries are made from, for [`Workspace::learn`].
    pub inputs: Inputs,
}

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
    packages: Vec<Package>,
    manifests: Arc<Manifests>,
    inputs: Inputs,
}

impl Workspace {
    /// Sorts crates by the workspaces that they belong to, and by how cargo builds them.
    pub fn group(packages: impl IntoIterator<Item = Package>) -> Vec<Self> {
        let mut workspaces: Vec<Self> = Vec::new();
        for package in packages {
            let settings = settings::folder(&package);
            let same = workspaces
                .iter_mut()
                .find(|workspace| workspace.root == package.workspace && workspace.settings == settings);
            match same {
                Some(workspace) if workspace.packages.contains(&package) => {}
                Some(workspace) => workspace.packages.push(package),
                None => workspaces.push(Self {
                    root: package.workspace.clone(),
                    settings: settings.to_owned(),
                    packages: vec![package],
                    manifests: Arc::default(),
                    inputs: Inputs::default(),
                }),
            }
        }
        for workspace in &mut workspaces {
            workspace.packages.sort_by(|a, b| a.name.cmp(&b.name));
        }
        workspaces
    }

    /// The folder of the workspace.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that cargo is called in: that of the first crate. No other workspace has the same.
    pub fn folder(&self) -> &Path {
        self.packages.first().map_or(&self.root, |package| &package.folder)
    }

    /// The crates of it that are built.
    pub fn packages(&self) -> &[Package] {
        &self.packages
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
            for package in &self.packages {
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
            set.folders.extend(self.packages.iter().map(|package| package.folder.clone()));
        } else if !self.inputs.complete {
            set.folders.extend(self.manifests.local.values().flat_map(|local| local.sources.iter().cloned()));
        }
        set
    }

    /// Takes over what a build has shown of what the libraries are made from.
    pub fn learn(&mut self, inputs: Inputs) {
        self.inputs.update(inputs);
    }

    /// The crates whose libraries are made from this file, among others.
    pub fn made_from(&self, path: &Path) -> Vec<&Package> {
        let mut of: BTreeSet<&PathBuf> = self.inputs.readers(path).collect();
        if of.is_empty() {
            of.extend(self.manifests.crate_of(path));
        }
        let made_of = self.packages.iter().zip(&self.manifests.made_of);
        let found: Vec<_> = made_of
            .filter(|(_, folders)| of.iter().any(|folder| folders.contains(*folder)))
            .map(|(package, _)| package)
            .collect();
        // It is the workspace's, or nothing is known yet.
        if found.is_empty() { self.packages.iter().collect() } else { found }
    }

    /// Reads the manifests: to be called before the first [`build`](Self::build), and when one has changed.
    ///
    /// # Errors
    /// Cargo cannot read them; what was known before stays.
    pub async fn read_manifests(&mut self) -> Result<(), BuildError> {
        // All of them, as a crate may be replaced by one elsewhere.
        let resolved = ["--filter-platform", atoll_plugin::stamp::TARGET];
        let metadata = match self.metadata(&resolved).await {
            Ok(metadata) => metadata,
            // What is not to be had may not be needed for the libraries: cargo will say so if it is.
            Err(_) => self.metadata(&["--no-deps"]).await.inspect_err(|error| {
                if let BuildError::Failed { colored, .. } = error {
                    output::show(colored);
                    output::show("\n");
                }
            })?,
        };
        self.manifests = Arc::new(Manifests::new(&metadata, &self.packages));
        Ok(())
    }

    async fn metadata(&self, arguments: &[&str]) -> Result<Metadata, BuildError> {
        let mut command = self.cargo();
        command.args(["metadata", "--format-version", "1"]).args(arguments).kill_on_drop(true);
        let output = command
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|reason| BuildError::Cargo { program: cargo::program(), reason })?;
        if !output.status.success() {
            return Err(failed(output::excerpt(&String::from_utf8_lossy(&output.stderr))));
        }
        MetadataCommand::parse(String::from_utf8_lossy(&output.stdout))
            .map_err(|error| failed(error.to_string()))
    }

    /// Builds the libraries, and tells of each as soon as it is there. What cargo and the compiler say goes to standard
    /// error. Dropping the future ends cargo and what it has started.
    pub async fn build(
        &self,
        options: BuildOptions,
        mut built: impl FnMut(BuiltLibrary<'_>),
    ) -> BuildOutcome {
        let mut messages = Messages::default();
        let mut result = Ok(());
        for call in &self.manifests.calls {
            if let Err(error) = self.call(call, options, &mut messages, &mut built).await {
                result = result.and(Err(error));
            }
        }
        let manifests = self.manifests.clone();
        let inputs = tokio::task::spawn_blocking(move || Inputs::of(&messages, &manifests)).await;
        // Without them, all sources are watched.
        BuildOutcome { inputs: inputs.unwrap_or_default(), result }
    }

    async fn call(
        &self,
        call: &Call,
        options: BuildOptions,
        messages: &mut Messages,
        built: &mut impl FnMut(BuiltLibrary<'_>),
    ) -> Result<(), BuildError> {
        let mut child = self
            .command(call, options)
            .spawn()
            .map_err(|reason| BuildError::Cargo { program: cargo::program(), reason })?;
        let group = Group::of(&child);
        let manifests: Vec<_> = call
            .crates
            .iter()
            .map(|&place| &self.packages[place])
            .map(|package| (package, real_path(&package.folder.join("Cargo.toml"))))
            .collect();
        let said = each_message(child.stdout.take(), |message| match message {
            Message::CompilerArtifact(artifact) => {
                let manifest = real_path(artifact.manifest_path.as_std_path());
                let package = manifests.iter().find(|(_, of_package)| *of_package == manifest);
                if let (Some((package, _)), Some(path)) = (package, library(&artifact)) {
                    built(BuiltLibrary { package, path, fresh: artifact.fresh });
                }
                messages.artifacts.push(artifact);
            }
            Message::BuildScriptExecuted(script) => messages.scripts.push(script),
            _ => {}
        });
        let (said, text) =
            tokio::join!(said, output::copy_to_stderr(child.stderr.take(), output::has_colors()));
        let status = child.wait().await;
        group.ended();
        let failure = match said.and(status) {
            Ok(status) if status.success() => return Ok(()),
            Ok(_) => text,
            Err(error) => error.to_string(),
        };
        messages.failure.get_or_insert_default().push_str(&output::plain(&failure));
        Err(failed(output::excerpt(&failure)))
    }

    /// Cargo as in a shell, in the folder of a crate.
    fn cargo(&self) -> Command {
        let mut command = Command::from(cargo());
        command.current_dir(self.folder());
        // Cargo writes to a pipe, which does not look like a terminal; whoever reads it can do without the colours.
        if output::may_color() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        command
    }

    fn command(&self, call: &Call, options: BuildOptions) -> Command {
        let mut command = self.cargo();
        command
            .args(["build", "--lib", "--keep-going", "--message-format=json-render-diagnostics"])
            .args(&call.arguments)
            .args(options.release.then_some("--release"))
            .args(if options.release { options.symbols.arguments() } else { &[] })
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group, so that the compilers end with it.
            .process_group(0);
        let unset = |name| std::env::var_os(name).is_none();
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

/// The library among an artifact's files, if the artifact is one.
fn library(artifact: &Artifact) -> Option<&Path> {
    let file = artifact.filenames.iter().find(|file| file.extension() == Some("so"))?;
    artifact.target.is_cdylib().then_some(file.as_std_path())
}

/// Reads cargo's messages until it has no more.
async fn each_message(
    stream: Option<impl AsyncRead + Unpin>,
    mut take: impl FnMut(Message),
) -> io::Result<()> {
    let Some(stream) = stream else { return Ok(()) };
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await? {
        // What compiler plugins print is no message.
        if let Ok(message) = serde_json::from_str(&line) {
            take(message);
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
    fn a_file_is_of_those_that_read_it_or_of_the_innermost_crate() {
        let mut workspaces = Workspace::group([package("a", "/x"), package("b", "/x")]);
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
        let mut workspaces = Workspace::group([package("a", "/x"), package("b", "/x")]);
        let workspace = &mut workspaces[0];
        assert_eq!(workspace.sources().folders, ["/x/a", "/x/b"].map(PathBuf::from).into());
        assert!(workspace.sources().named.contains(Path::new("/x/.cargo/config.toml")));

        let local = manifests::Local { sources: ["/x/a/src".into()].into(), ..Default::default() };
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

    #[test]
    fn a_build_is_a_call_of_cargo_in_a_crates_folder() {
        let workspaces = Workspace::group([package("a", "/x"), package("b", "/x")]);
        let arguments = ["--package", "a", "--package", "b", "--no-default-features"].map(str::to_owned);
        let call = Call { crates: vec![0, 1], arguments: arguments.to_vec() };
        let command = workspaces[0].command(&call, BuildOptions { release: true, ..BuildOptions::default() });
        let arguments: Vec<_> =
            command.as_std().get_args().map(|it| it.to_string_lossy().into_owned()).collect();
        assert_eq!(
            arguments.join(" "),
            "build --lib --keep-going --message-format=json-render-diagnostics --package a --package b \
             --no-default-features --release"
        );
        assert_eq!(command.as_std().get_current_dir(), Some(Path::new("/x/a")));
    }
}
