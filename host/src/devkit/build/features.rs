//! With which features a crate is built as a library for the host.

use std::collections::BTreeMap;

use crate::config::BuildSettings;

/// The feature by which a crate asks for what its own `main.rs` needs: a host. Its library does not.
const STANDALONE: &str = "standalone";

type Features = BTreeMap<String, Vec<String>>;

/// A crate to be built, and with which features.
pub(super) struct Wanted<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The features that it has.
    pub(super) has: &'a Features,
    /// Which of them are wanted.
    pub(super) settings: &'a BuildSettings,
}

/// The arguments of a `cargo build` of these crates: with the features of their settings, and their default features
/// without [`STANDALONE`].
///
/// Cargo switches default features off for all crates of a build or for none, so if one is to be without some, the others'
/// are switched on again by name.
pub(super) fn arguments<'a>(crates: impl IntoIterator<Item = Wanted<'a>>) -> Vec<String> {
    let crates: Vec<_> = crates.into_iter().collect();
    let without_default =
        crates.iter().any(|it| it.settings.no_default_features || it.has.contains_key(STANDALONE));
    let wanted: Vec<String> = crates
        .iter()
        .flat_map(|it| {
            let has_default = without_default && !it.settings.no_default_features;
            let default = if has_default { of_library(it.has) } else { Vec::new() };
            let own = it.settings.features.iter().map(String::as_str);
            default.into_iter().chain(own).map(|feature| format!("{}/{feature}", it.name))
        })
        .collect();
    let mut arguments = Vec::new();
    if without_default {
        arguments.push("--no-default-features".to_owned());
    }
    if !wanted.is_empty() {
        arguments.extend(["--features".to_owned(), wanted.join(",")]);
    }
    arguments
}

/// What stands for a crate's default features.
fn of_library(features: &Features) -> Vec<&str> {
    let Some(default) = features.get("default") else { return Vec::new() };
    let others: Vec<&str> = default.iter().map(String::as_str).filter(|name| *name != STANDALONE).collect();
    // Features of dependencies cannot be named from outside: then the library has to carry what it does not need.
    let can_be_named = others.iter().all(|name| features.contains_key(*name));
    if others.len() < default.len() && can_be_named { others } else { vec!["default"] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(lists: &[(&str, &[&str])]) -> Features {
        let owned = |list: &&[&str]| list.iter().map(|&name| name.to_owned()).collect();
        lists.iter().map(|(name, list)| ((*name).to_owned(), owned(list))).collect()
    }

    fn joined(packages: &[(&str, &Features)]) -> String {
        let settings = BuildSettings::default();
        arguments(packages.iter().map(|(name, has)| Wanted { name, has, settings: &settings })).join(" ")
    }

    #[test]
    fn the_features_of_the_settings_are_added() {
        let settings = |features: &[&str], no_default_features| BuildSettings {
            features: features.iter().map(|&feature| feature.to_owned()).collect(),
            no_default_features,
            ..BuildSettings::default()
        };
        let joined = |crates: &[(&str, &Features, &BuildSettings)]| {
            let wanted = crates.iter().map(|(name, has, settings)| Wanted { name, has, settings });
            arguments(wanted).join(" ")
        };
        let plain = features(&[("default", &["json"]), ("json", &[]), ("x", &[])]);
        let app = features(&[("default", &["json", "standalone"]), ("standalone", &[]), ("json", &[])]);
        let (none, x, only_x) = (settings(&[], false), settings(&["x"], false), settings(&["x"], true));
        assert_eq!(joined(&[("a", &plain, &x), ("b", &plain, &none)]), "--features a/x");
        assert_eq!(joined(&[("a", &plain, &only_x)]), "--no-default-features --features a/x");
        assert_eq!(
            joined(&[("a", &plain, &only_x), ("b", &plain, &x), ("c", &app, &none)]),
            "--no-default-features --features a/x,b/default,b/x,c/json"
        );
        assert_eq!(joined(&[("c", &app, &settings(&[], true))]), "--no-default-features");
    }

    #[test]
    fn a_library_is_built_without_standalone() {
        let app = features(&[("default", &["json", "standalone"]), ("standalone", &[]), ("json", &[])]);
        assert_eq!(joined(&[("app", &app)]), "--no-default-features --features app/json");
        let only = features(&[("default", &["standalone"]), ("standalone", &["dep:atoll-host"])]);
        assert_eq!(joined(&[("only", &only)]), "--no-default-features");
        assert_eq!(joined(&[("app", &app), ("only", &only)]), "--no-default-features --features app/json");
    }

    #[test]
    fn others_are_built_as_they_are() {
        let plain = features(&[("default", &["json"]), ("json", &[])]);
        let none = Features::new();
        assert_eq!(joined(&[("plain", &plain), ("none", &none)]), "");
        let app = features(&[("default", &["standalone"]), ("standalone", &[])]);
        assert_eq!(
            joined(&[("app", &app), ("plain", &plain), ("none", &none)]),
            "--no-default-features --features plain/default"
        );
        let off = features(&[("default", &["json"]), ("json", &[]), ("standalone", &[])]);
        assert_eq!(joined(&[("off", &off)]), "--no-default-features --features off/default");
    }

    #[test]
    fn what_cannot_be_named_is_left_to_cargo() {
        let app = features(&[("default", &["standalone", "serde/derive"]), ("standalone", &[])]);
        assert_eq!(joined(&[("app", &app)]), "--no-default-features --features app/default");
    }
}
