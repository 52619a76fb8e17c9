//! The files of an environment, checked without the environment of the host.

use std::path::PathBuf;

use super::error::EnvironmentError;
use super::{env_file, secret};
use crate::config::{EnvSource, Settings};

/// What was found of the files of an app's environment.
#[derive(Debug, Default)]
pub struct FilesChecked {
    /// How many there are.
    pub count: usize,
    /// What is wrong with them.
    pub errors: Vec<EnvironmentError>,
    /// The files of secrets that every user can read.
    pub public_secrets: Vec<PathBuf>,
}

/// Reads the files that the environment of an app with these settings is made of. Credentials and variables of the host are
/// not among them: only the host has them.
pub fn check_files(settings: &Settings) -> FilesChecked {
    let secrets = settings.env.values().filter_map(|value| match &value.source {
        EnvSource::File(path) => Some((path, &value.place)),
        _ => None,
    });
    let mut checked = FilesChecked { count: settings.env_file.len(), ..FilesChecked::default() };
    checked.errors.extend(settings.env_file.iter().filter_map(|file| env_file::read(file).err()));
    for (path, place) in secrets {
        checked.count += 1;
        checked.errors.extend(secret::read(path, place).err());
        checked.public_secrets.extend(secret::is_public(path).then(|| path.clone()));
    }
    checked
}
