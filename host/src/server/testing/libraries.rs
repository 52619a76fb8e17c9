//! The libraries of the apps under test, built from their crates.

use std::collections::HashMap;
use std::path::PathBuf;

use super::error::TestHostError;
use crate::app::libraries::{Libraries, Library};
use crate::config::Config;
use crate::devkit::build::{BuildOptions, CrateBuild, Workspace};
use crate::fs::real_path::real_path;
use crate::library::source::{Package, Source};

/// Builds the crates among the apps, and tells the host where their libraries are.
pub(super) async fn build(
    config: &Config,
    libraries: &Libraries,
    options: BuildOptions,
) -> Result<(), TestHostError> {
    let crates = crates(config)?;
    let mut files = HashMap::new();
    for mut workspace in Workspace::group(crates.iter().map(|(_, built)| built.clone())) {
        workspace.read_manifests().await?;
        let built = workspace.build(options, |built| {
            files.insert(built.package.folder.clone(), built.path.to_owned());
        });
        built.await.result?;
    }
    for (path, CrateBuild { package, .. }) in crates {
        let library = files.get(&package.folder).ok_or(TestHostError::NoLibrary(package.name))?;
        libraries.set(path, Library::Built(library.clone()));
    }
    Ok(())
}

/// The apps' paths that are folders of crates.
fn crates(config: &Config) -> Result<Vec<(PathBuf, CrateBuild)>, TestHostError> {
    let mut crates = Vec::new();
    for app in &config.apps {
        let source = Source::locate(app, &app.name);
        if let Some(package) = source.package() {
            let (folder, workspace) = (real_path(&package.folder), real_path(&package.workspace));
            let package = Package { folder, workspace, ..package.clone() };
            let settings = app.settings.build.clone();
            crates.push((app.path.clone(), CrateBuild { package, settings }));
        } else {
            let library = source.library();
            library.map_err(|error| TestHostError::Source(app.name.clone(), error.to_string()))?;
        }
    }
    Ok(crates)
}
