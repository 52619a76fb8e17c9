//! The variables that cargo's configuration has set for a program that cargo runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    env: BTreeMap<String, Variable>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Variable {
    Text(String),
    Table {
        value: String,
        #[serde(default)]
        relative: bool,
    },
}

/// The variables of `[env]` for a program that runs in this folder. `home` is cargo's.
pub(super) fn variables(folder: &Path, home: Option<PathBuf>) -> BTreeMap<String, OsString> {
    let mut variables = BTreeMap::new();
    for folder in folder.ancestors().map(|above| above.join(".cargo")).chain(home) {
        let text =
            ["config.toml", "config"].iter().find_map(|file| fs::read_to_string(folder.join(file)).ok());
        // Cargo itself reports a file that cannot be understood.
        let Some(file) = text.and_then(|text| toml::from_str::<ConfigFile>(&text).ok()) else { continue };
        for (name, variable) in file.env {
            let value = match variable {
                Variable::Text(value) => value.into(),
                // Relative to the folder that `.cargo` is in.
                Variable::Table { value, relative: true } => folder.with_file_name(value).into(),
                Variable::Table { value, relative: false } => value.into(),
            };
            // The nearest file wins.
            variables.entry(name).or_insert(value);
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_wins() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (place, text) in [
            (".cargo", "[env]\nA = \"far\"\nB = { value = \"here\", relative = true }\n[build]\njobs = 1\n"),
            ("in/.cargo", "[env]\nA = { value = \"near\", force = true }\n"),
            ("home", "[env]\nA = \"home\"\nC = \"home\"\n"),
        ] {
            fs::create_dir_all(root.join(place)).unwrap();
            fs::write(root.join(place).join("config.toml"), text).unwrap();
        }
        let found = variables(&root.join("in/deep"), Some(root.join("home")));
        let of = |name: &str| found.get(name).cloned();
        assert_eq!(of("A"), Some("near".into()));
        assert_eq!(of("B"), Some(root.join("here").into()));
        assert_eq!(of("C"), Some("home".into()));
    }
}
