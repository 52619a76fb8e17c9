//! Where cargo puts the libraries that it builds.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::package::Package;
use super::path::SourcePath;
use super::profiles::{self, Profiles};
use crate::fs::regular_file::{self, SMALL_FILE_LIMIT};

/// Reads environment variables; tests have their own.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Where cargo may put the library, in the order of preference: for the profile and the target triple of `source`, if it
/// has them.
pub(super) fn candidates(
    package: &Package,
    source: &SourcePath,
    environment: Environment<'_>,
) -> Vec<PathBuf> {
    let mut targets: Vec<PathBuf> = Vec::new();
    let mut triples: Vec<String> = Vec::new();
    let mut custom = profiles::of_manifest(&package.workspace.join("Cargo.toml"));
    for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"] {
        targets.extend(environment(name).and_then(|folder| std::path::absolute(folder).ok()));
    }
    triples.extend(environment("CARGO_BUILD_TARGET").and_then(|triple| triple.into_string().ok()));
    for config in configs(&package.folder, environment) {
        targets.extend(config.target_dir);
        triples.extend(config.targets);
        custom.extend(config.profiles);
    }
    targets.push(package.workspace.join("target"));
    // The host may see another environment than the one that cargo was run in, and a crate may have been
    // built before it joined a workspace. What is there and newest counts.
    targets.extend(
        package
            .folder
            .ancestors()
            .filter(|above| above.join("Cargo.toml").exists())
            .map(|above| above.join("target")),
    );
    let folders = match &source.profile {
        Some(profile) => vec![profiles::folder(profile).to_owned()],
        None => profiles::folders(custom),
    };
    let mut candidates: Vec<PathBuf> = Vec::new();
    for target in targets {
        for output in outputs(&target, source.target.as_deref(), &triples) {
            for folder in &folders {
                let candidate = output.join(folder).join(&package.library);
                if !candidates.contains(&candidate) {
                    candidates.push(candidate);
                }
            }
        }
    }
    candidates
}

/// Where cargo puts the folders of profiles within `target`: in one for the wanted triple, if there is one.
fn outputs(target: &Path, wanted: Option<&str>, triples: &[String]) -> Vec<PathBuf> {
    if let Some(triple) = wanted {
        return vec![target.join(triple)];
    }
    let own = target.join(atoll_plugin::stamp::TARGET);
    let crossed = triples.iter().map(|triple| target.join(triple)).chain(own.is_dir().then_some(own));
    [target.to_owned()].into_iter().chain(crossed).collect()
}

/// What a `.cargo/config.toml` says of where cargo puts what it builds.
struct CargoConfig {
    target_dir: Option<PathBuf>,
    targets: Vec<String>,
    profiles: Vec<String>,
}

#[derive(Default, Deserialize)]
struct ConfigFile {
    #[serde(default)]
    build: ConfigBuild,
    #[serde(default)]
    profile: Profiles,
}

#[derive(Default, Deserialize)]
struct ConfigBuild {
    #[serde(rename = "target-dir")]
    target_dir: Option<PathBuf>,
    target: Option<OneOrMore>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// Cargo's configuration for a folder, the most important first. A file that cannot be understood is left
/// out: cargo itself says what is wrong with it.
fn configs(folder: &Path, environment: Environment<'_>) -> Vec<CargoConfig> {
    let home = environment("CARGO_HOME").map(PathBuf::from);
    let folders = folder.ancestors().map(|above| above.join(".cargo")).chain(home);
    folders
        .filter_map(|folder| {
            let text = ["config.toml", "config"]
                .iter()
                .find_map(|name| regular_file::read_to_string(&folder.join(name), SMALL_FILE_LIMIT).ok())?;
            let ConfigFile { build, profile } = toml::from_str(&text).ok()?;
            Some(CargoConfig {
                // Relative to the folder that `.cargo` is in.
                target_dir: build.target_dir.and_then(|target| Some(folder.parent()?.join(target))),
                targets: match build.target {
                    Some(OneOrMore::One(target)) => vec![target],
                    Some(OneOrMore::More(targets)) => targets,
                    None => Vec::new(),
                },
                profiles: profile.into_keys().collect(),
            })
        })
        .collect()
}
