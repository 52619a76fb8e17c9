//! Apps that are built and checked for deployment.

use std::collections::HashMap;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use atoll_host::config::{AppConfig, Config, FILE_LIMIT};
use atoll_host::internal::build::{BuildError, BuildOptions, BuiltLibrary, CrateBuild, Symbols, Workspace};
use atoll_host::internal::check::{Checked, Opener, check};
use atoll_host::internal::deploy::Deployment;
use atoll_host::internal::regular_file::read_to_string;
use atoll_host::internal::signals::stop_signals;
use atoll_host::internal::{Source, Staging};
use futures_util::StreamExt;
use tempfile::TempDir;

use super::app_files::AppFiles;

/// Reads a registry file, and makes sure that it has apps of these names; with its text.
pub(super) fn load(registry: &Path, names: &[String]) -> anyhow::Result<(Config, String)> {
    let config = Config::load(registry)?;
    let text = read_to_string(registry, FILE_LIMIT)
        .with_context(|| format!("cannot read {}", registry.display()))?;
    if let Some(unknown) = names.iter().find(|name| config.app(name).is_none()) {
        bail!("{}", config.no_such_app(unknown));
    }
    Ok((config, text))
}

/// The apps of these names; without names, all of them.
pub(super) fn wanted<'a>(config: &'a Config, names: &[String]) -> Vec<&'a AppConfig> {
    config.apps.iter().filter(|app| names.is_empty() || names.contains(&app.name)).collect()
}

/// Checks libraries as a host does. `None`: one was refused, and standard error has the reason.
pub(super) fn check_all<'a>(
    staging: &Staging,
    apps: impl Iterator<Item = (&'a AppConfig, Source)>,
) -> Option<Vec<(&'a str, Checked)>> {
    let opener = Opener::this_program();
    let mut checked = Vec::new();
    let mut refused = 0;
    for (app, source) in apps {
        let name = app.name.as_str();
        match check(staging, &source, name, app.settings.library_limit, Some(&opener)) {
            Ok(good) => checked.push((name, good)),
            Err(error) => {
                refused += 1;
                eprintln!("atoll: {name} was refused: {error}");
            }
        }
    }
    (refused == 0).then_some(checked)
}

/// Apps that are built, checked and sealed for deployment, in a folder that is removed with this.
#[derive(Debug)]
pub(super) struct Ready {
    /// Their names and files.
    pub(super) apps: Vec<(String, AppFiles)>,
    _folder: TempDir,
}

/// Builds apps, checks them as a host does, and seals them. `None`: that failed, and standard error has the reason. `unchanged`: what
/// then is as it was.
pub(super) fn ready(
    wanted: &[&AppConfig],
    symbols: Symbols,
    unchanged: &str,
) -> anyhow::Result<Option<Ready>> {
    let Some(mut libraries) = libraries(wanted, symbols, unchanged)? else {
        eprintln!("atoll: the build failed; {unchanged}");
        return Ok(None);
    };
    let staging = Staging::new()?;
    let built = wanted.iter().filter_map(|app| Some((*app, libraries.remove(app.name.as_str())?)));
    let Some(checked) = check_all(&staging, built) else {
        eprintln!("atoll: {unchanged}");
        return Ok(None);
    };
    let folder = tempfile::tempdir().context("cannot make a folder for the libraries")?;
    let writing = Deployment::open(&folder.path().join("deploy"))?.begin()?;
    let mut apps = Vec::new();
    for (app, checked) in checked {
        let (_, checked) = writing.put(app, checked)?;
        apps.push((app.to_owned(), AppFiles::of(&checked)?));
    }
    Ok(Some(Ready { apps, _folder: folder }))
}

/// The paths of the apps' libraries by name; crates are rebuilt. `None`: a build failed, and cargo has said why. `unchanged`: what
/// an interruption leaves as it was.
pub(super) fn libraries<'a>(
    apps: &[&'a AppConfig],
    symbols: Symbols,
    unchanged: &str,
) -> anyhow::Result<Option<HashMap<&'a str, Source>>> {
    let mut libraries = HashMap::new();
    let mut crates: Vec<(&str, CrateBuild)> = Vec::new();
    for app in apps {
        let source = Source::locate(*app, &app.name);
        match (source.package(), source.library()) {
            (Some(package), _) => {
                let settings = app.settings.build.clone();
                crates.push((&app.name, CrateBuild { package: package.clone(), settings }));
            }
            (None, Ok(_)) => drop(libraries.insert(app.name.as_str(), source)),
            (None, Err(error)) => bail!("{}: {error}", app.name),
        }
    }
    let workspaces = Workspace::group(crates.iter().map(|(_, built)| built.clone()));
    let built = actix_web::rt::System::new().block_on(async {
        let mut stop_signals = stop_signals()?;
        tokio::select! {
            built = build(workspaces, symbols) => built,
            // Cargo ends with the future that waits for it.
            Some(signal) = stop_signals.next() => Err(anyhow!("interrupted by {signal}; {unchanged}")),
        }
    })?;
    let Some(built) = built else { return Ok(None) };
    for (name, CrateBuild { package, .. }) in crates {
        let library = built.get(&package.folder).with_context(|| {
            format!(
                "cargo did not report a library for {name}; run `cargo build --release -p {}`",
                package.name
            )
        })?;
        libraries.insert(name, Source::built(package, library.clone()));
    }
    Ok(Some(libraries))
}

/// Builds crates; their libraries by their folders.
async fn build(
    workspaces: Vec<Workspace>,
    symbols: Symbols,
) -> anyhow::Result<Option<HashMap<PathBuf, PathBuf>>> {
    let options = BuildOptions { release: true, symbols, progress: stderr().is_terminal() };
    let mut libraries = HashMap::new();
    for mut workspace in workspaces {
        let built = match workspace.read_manifests().await {
            Ok(()) => {
                let take = |built: BuiltLibrary<'_>| {
                    libraries.insert(built.package.folder.clone(), built.path.to_owned());
                };
                workspace.build(options, take).await.result
            }
            Err(error) => Err(error),
        };
        match built {
            Ok(()) => {}
            Err(BuildError::Failed { .. }) => return Ok(None),
            // With its source in its text.
            Err(error) => bail!("{error}"),
        }
    }
    Ok(Some(libraries))
}
