//! Running cargo for a workspace.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use cargo_metadata::{Artifact, Message, Metadata, MetadataCommand};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

use super::error::BuildError;
use super::group::Group;
use super::inputs::{Inputs, Messages};
use super::manifests::{Call, Manifests};
use super::options::BuildOptions;
use super::outcome::{BuildOutcome, BuiltLibrary};
use super::workspace::Workspace;
use super::{cargo, output};
use crate::fs::real_path::real_path;
use crate::library::source::Package;

impl Workspace {
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
        self.manifests = Arc::new(Manifests::new(&metadata, &self.crates));
        Ok(())
    }

    async fn metadata(&self, arguments: &[&str]) -> Result<Metadata, BuildError> {
        let mut command = self.cargo();
        command
            .args(["metadata", "--format-version", "1"])
            .args(self.locked())
            .args(arguments)
            .kill_on_drop(true);
        let output = command
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|reason| BuildError::Cargo { program: cargo::program(), reason })?;
        if !output.status.success() {
            return Err(BuildError::failed(output::excerpt(&String::from_utf8_lossy(&output.stderr))));
        }
        MetadataCommand::parse(String::from_utf8_lossy(&output.stdout))
            .map_err(|error| BuildError::failed(error.to_string()))
    }

    /// Builds the libraries, and tells of each as soon as it is there. The output of cargo and the compiler goes to
    /// standard error. Dropping the future ends cargo and what it has started.
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
        let inputs = tokio::task::spawn_blocking(move || Inputs::new(&messages, &manifests)).await;
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
        let group = Group::new(&child);
        let manifests: Vec<_> = call
            .crates
            .iter()
            .map(|&place| &self.crates[place].package)
            .map(|package| (package, real_path(&package.folder.join("Cargo.toml"))))
            .collect();
        let mut missing: Vec<&Package> = manifests.iter().map(|(package, _)| *package).collect();
        let read = each_message(child.stdout.take(), |message| match message {
            Message::CompilerArtifact(artifact) => {
                let manifest = real_path(artifact.manifest_path.as_std_path());
                let package = manifests.iter().find(|(_, of_package)| *of_package == manifest);
                if let (Some((package, _)), Some(path)) = (package, library(&artifact)) {
                    missing.retain(|other| other != package);
                    built(BuiltLibrary { package, path, fresh: artifact.fresh });
                }
                messages.artifacts.push(artifact);
            }
            Message::BuildScriptExecuted(script) => messages.scripts.push(script),
            _ => {}
        });
        let (read, text) =
            tokio::join!(read, output::copy_to_stderr(child.stderr.take(), output::has_colors()));
        let status = child.wait().await;
        group.ended();
        let failure = match read.and(status) {
            Ok(status) if status.success() => {
                let packages: Vec<_> = manifests.iter().map(|(package, _)| *package).collect();
                check_files(&packages)?;
                let none = missing.first().map(|package| package.name.clone());
                let target = call.settings.target.clone();
                return none.map_or(Ok(()), |package| Err(BuildError::NoLibrary { package, target }));
            }
            Ok(_) => text,
            Err(error) => error.to_string(),
        };
        messages.failure.get_or_insert_default().push_str(&output::plain(&failure));
        Err(BuildError::failed(output::excerpt(&failure)))
    }

    /// Cargo as in a shell, in the folder of a crate.
    fn cargo(&self) -> Command {
        let mut command = Command::from(cargo::cargo());
        command.current_dir(self.folder());
        // Cargo writes to a pipe, so it does not see the terminal that the output may go to.
        if output::may_color() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        command
    }

    /// A call without it would write the lock file that has to be there for another crate.
    fn locked(&self) -> Option<&'static str> {
        self.crates.iter().any(|built| built.settings.locked).then_some("--locked")
    }

    fn command(&self, call: &Call, options: BuildOptions) -> Command {
        let mut command = self.cargo();
        let settings = &call.settings;
        let profile = settings.profile.as_deref().unwrap_or(if options.release { "release" } else { "dev" });
        command
            .args(["build", "--lib", "--keep-going", "--message-format=json-render-diagnostics"])
            .args(&call.arguments)
            .args(["--profile", profile])
            .args(options.symbols.arguments(profile))
            .args(settings.target.iter().flat_map(|target| ["--target", target]))
            .args(self.locked())
            .args(&settings.cargo_args)
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

/// Fails if two of the crates that a call of cargo builds write the same file.
fn check_files(packages: &[&Package]) -> Result<(), BuildError> {
    let pairs = packages
        .iter()
        .enumerate()
        .flat_map(|(place, one)| packages[..place].iter().map(move |other| (other, one)));
    match pairs.into_iter().find(|(one, other)| one.library == other.library) {
        None => Ok(()),
        Some((one, other)) => Err(BuildError::SameFile {
            library: one.library.clone(),
            one: one.name.clone(),
            other: other.name.clone(),
        }),
    }
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
    use super::super::symbols::Symbols;
    use super::super::workspace::tests::built;
    use super::*;
    use crate::config::BuildSettings;

    #[test]
    fn a_build_is_a_call_of_cargo_in_a_crates_folder() {
        let mut workspaces = Workspace::group([built("a", "/x"), built("b", "/x")]);
        let arguments = ["--package", "a", "--package", "b", "--no-default-features"].map(str::to_owned);
        let mut call =
            Call { crates: vec![0, 1], arguments: arguments.to_vec(), settings: BuildSettings::default() };
        let command = |workspace: &Workspace, call: &Call, options| {
            let command = workspace.command(call, options);
            assert_eq!(command.as_std().get_current_dir(), Some(Path::new("/x/a")));
            let arguments: Vec<_> =
                command.as_std().get_args().map(|it| it.to_string_lossy().into_owned()).collect();
            let always = "build --lib --keep-going --message-format=json-render-diagnostics --package a --package b \
                          --no-default-features ";
            arguments.join(" ").strip_prefix(always).unwrap().to_owned()
        };
        let release = BuildOptions { release: true, symbols: Symbols::Names, progress: false };
        assert_eq!(command(&workspaces[0], &call, BuildOptions::default()), "--profile dev");
        assert_eq!(
            command(&workspaces[0], &call, release),
            "--profile release --config profile.release.strip=\"debuginfo\""
        );
        call.settings = BuildSettings {
            profile: Some("dist".into()),
            target: Some("a-b-c".into()),
            cargo_args: vec!["--offline".into(), "-v".into()],
            ..BuildSettings::default()
        };
        // Of another crate in the workspace.
        workspaces[0].crates[1].settings.locked = true;
        assert_eq!(
            command(&workspaces[0], &call, release),
            "--profile dist --config profile.dist.strip=\"debuginfo\" --target a-b-c --locked --offline -v"
        );
    }
}
