//! New apps: a crate from a template, registered in `apps.json`.

mod error;
mod half_made;
mod manifest;
mod origin;
mod template;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cargo_metadata::{Metadata, MetadataCommand};

pub use self::error::ScaffoldError;
use self::half_made::HalfMade;
use self::origin::Origin;
pub use self::template::Template;
use crate::config::{Config, ConfigError};
use crate::devkit::build::cargo;
use crate::fs::atomic_file;
use crate::library::source::workspace_above;

/// An app to be made.
#[derive(Clone, Debug)]
pub struct NewApp {
    /// Its name, in the registry and as a crate.
    pub name: String,
    /// The template to start from.
    pub template: Template,
    /// The folder that its crate is made in; without one it is chosen beside the registry.
    pub folder: Option<PathBuf>,
    /// The registry that it is added to, which may not be there yet.
    pub registry: PathBuf,
}

/// An app that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The folder of its crate, absolute.
    pub folder: PathBuf,
    /// The folder of the workspace that it belongs to, which may be the same.
    pub workspace: PathBuf,
    /// What cargo warns of.
    pub warnings: Vec<String>,
}

impl NewApp {
    /// Makes the crate, which becomes a member of the workspace that it is in, and adds it to the registry, as the last
    /// step: a host that follows the registry finds a complete crate.
    ///
    /// # Errors
    /// See [`ScaffoldError`]. What was made until then is removed again.
    pub fn make(&self) -> Result<Made, ScaffoldError> {
        let registry = absolute(&self.registry)?;
        let beside = registry.parent().unwrap_or(Path::new("/")).to_owned();
        if !beside.is_dir() {
            return Err(ScaffoldError::NoFolder { registry: self.registry.clone() });
        }
        let folder = match &self.folder {
            Some(folder) => absolute(folder)?,
            None if beside.join("apps").is_dir() => beside.join("apps").join(&self.name),
            None => beside.join(&self.name),
        };
        let path = path_in(&beside, &folder)?;
        self.registered(&registry, &path)?;
        if fs::symlink_metadata(&folder).is_ok() {
            return Err(ScaffoldError::Exists { folder });
        }

        let half_made = HalfMade::begin(&folder);
        let workspace = workspace_above(&folder);
        let warnings = self.cargo_new(&folder, workspace.is_some())?;
        let workspace = self.metadata(&folder)?.workspace_root.into_std_path_buf();
        self.write(&folder, &workspace)?;
        self.metadata(&folder)?;
        // Read again, as it may have been edited meanwhile.
        let registered = self.registered(&registry, &path)?;
        let written = atomic_file::replace(&registry, registered.as_bytes());
        written.map_err(|reason| ScaffoldError::Write { path: registry, reason })?;
        half_made.complete();
        Ok(Made { folder, workspace, warnings })
    }

    /// The registry's text with the app in it.
    fn registered(&self, registry: &Path, path: &str) -> Result<String, ScaffoldError> {
        let file_name = self.registry.display().to_string();
        let text = match fs::read_to_string(registry) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(reason) => return Err(ScaffoldError::Read { path: registry.to_owned(), reason }),
        };
        // Alone first, so that what is wrong with the file is not said of the name.
        let wrong_name = |error: ConfigError| ScaffoldError::Name {
            name: self.name.clone(),
            reason: error.diagnostics().first().map(|found| found.message.clone()).unwrap_or_default(),
        };
        Config::with_app(None, &self.name, path, "").map_err(wrong_name)?;
        if let Some(text) = &text {
            let config = Config::parse(text, registry.parent().unwrap_or(Path::new("/")), &file_name)?;
            if let Some(app) = config.app(&self.name) {
                let (name, registry) = (self.name.clone(), self.registry.clone());
                return Err(ScaffoldError::Registered { name, registry, path: app.path.clone() });
            }
        }
        Ok(Config::with_app(text.as_deref(), &self.name, path, &file_name)?)
    }

    /// Has cargo make the crate: it knows what a crate may be called, and edits the workspace's manifest.
    fn cargo_new(&self, folder: &Path, in_workspace: bool) -> Result<Vec<String>, ScaffoldError> {
        let mut command = cargo();
        command.args(["new", "--lib", "--color", "never", "--name", &self.name]);
        if in_workspace {
            command.args(["--vcs", "none"]);
        }
        let output = run(command.arg("--").arg(folder))?.stderr;
        let output = String::from_utf8_lossy(&output);
        Ok(output.lines().filter(|line| line.starts_with("warning")).map(str::to_owned).collect())
    }

    /// What cargo says of the crate that is there.
    fn metadata(&self, folder: &Path) -> Result<Metadata, ScaffoldError> {
        let mut command = cargo();
        command.args(["metadata", "--format-version", "1", "--no-deps", "--color", "never"]);
        let output = run(command.arg("--manifest-path").arg(folder.join("Cargo.toml")))?;
        MetadataCommand::parse(String::from_utf8_lossy(&output.stdout))
            .map_err(|error| ScaffoldError::Cargo { message: error.to_string() })
    }

    fn write(&self, folder: &Path, workspace: &Path) -> Result<(), ScaffoldError> {
        let write = |file: &str, text: &str| {
            let path = folder.join(file);
            fs::write(&path, text).map_err(|reason| ScaffoldError::Write { path, reason })
        };
        let read =
            |path: PathBuf| fs::read_to_string(&path).map_err(|reason| ScaffoldError::Read { path, reason });
        let origin = Origin::find(&read(workspace.join("Cargo.toml"))?);
        let manifest = read(folder.join("Cargo.toml"))?;
        let manifest = manifest::of_app(&self.name, &manifest, self.template, &origin)?;
        write("Cargo.toml", &manifest)?;
        for (file, text) in self.template.files() {
            write(file, text)?;
        }
        format(folder);
        Ok(())
    }
}

/// Formats the sources as the place where they are wants it, as `cargo new` does. The templates are in rustfmt's default
/// style, so that a toolchain without rustfmt is no failure.
fn format(folder: &Path) {
    let rustfmt = std::env::var_os("RUSTFMT").unwrap_or_else(|| "rustfmt".into());
    let result = Command::new(rustfmt)
        .args(["--edition", "2024", "src/lib.rs", "src/main.rs"])
        .current_dir(folder)
        .output();
    match result {
        Ok(output) if !output.status.success() => {
            log::debug!("rustfmt: {}", String::from_utf8_lossy(&output.stderr));
        }
        Err(error) => log::debug!("rustfmt: {error}"),
        Ok(_) => {}
    }
}

/// Runs cargo to its end.
fn run(command: &mut Command) -> Result<Output, ScaffoldError> {
    let output = command
        .output()
        .map_err(|reason| ScaffoldError::NoCargo { program: command.get_program().into(), reason })?;
    if output.status.success() {
        return Ok(output);
    }
    Err(ScaffoldError::Cargo { message: reason(&String::from_utf8_lossy(&output.stderr)) })
}

/// What cargo's error is, without what it says before, and without advice for those who have called it themselves.
fn reason(stderr: &str) -> String {
    let lines = stderr.lines().skip_while(|line| !line.starts_with("error"));
    let lines = lines.take_while(|line| !line.starts_with("note:") && !line.starts_with("help:"));
    let reason = lines.collect::<Vec<_>>().join("\n");
    let reason = reason.strip_prefix("error: ").unwrap_or(&reason).trim_end();
    if reason.is_empty() { stderr.trim().to_owned() } else { reason.to_owned() }
}

fn absolute(path: &Path) -> Result<PathBuf, ScaffoldError> {
    // Without `..`, so that what is the same place is written the same.
    let place = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (place.canonicalize(), path.file_name()) {
        (Ok(place), Some(name)) => Ok(place.join(name)),
        _ => {
            std::path::absolute(path).map_err(|reason| ScaffoldError::Read { path: path.to_owned(), reason })
        }
    }
}

/// The folder as the registry is to name it: relative to its own folder, if it is below it.
fn path_in(beside: &Path, folder: &Path) -> Result<String, ScaffoldError> {
    let path = folder.strip_prefix(beside).ok().filter(|path| *path != OsStr::new(""));
    let path = path.unwrap_or(folder).to_str().map(str::to_owned);
    path.ok_or_else(|| ScaffoldError::NotText { folder: folder.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_what_cargo_found_wrong() {
        let stderr = "    Creating library `fn` package\nerror: invalid package name `fn`: it is a Rust keyword\n\
                    note: the directory name is used as the package name\nhelp: to override\n";
        assert_eq!(reason(stderr), "invalid package name `fn`: it is a Rust keyword");
        assert_eq!(reason("error: a\n\nCaused by:\n  b\n"), "a\n\nCaused by:\n  b");
        assert_eq!(reason("killed\n"), "killed");
    }

    #[test]
    fn a_registry_names_what_is_below_it_by_a_relative_path() {
        let path = |folder| path_in(Path::new("/srv"), Path::new(folder)).unwrap();
        assert_eq!([path("/srv/apps/a"), path("/home/a")], ["apps/a", "/home/a"]);
    }
}
