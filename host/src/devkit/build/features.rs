//! With which features a crate is built as a library for the host.

use std::collections::BTreeMap;

/// The feature by which a crate asks for what its own `main.rs` needs: a host. Its library does not.
const STANDALONE: &str = "standalone";

type Features = BTreeMap<String, Vec<String>>;

/// The arguments of a `cargo build` of these crates: their default features without [`STANDALONE`].
///
/// Cargo switches default features off for all crates of a build or for none, so if one has [`STANDALONE`], the others'
/// are switched on again by name.
pub(super) fn arguments<'a>(packages: impl IntoIterator<Item = (&'a str, &'a Features)>) -> Vec<String> {
    let packages: Vec<_> = packages.into_iter().collect();
    if !packages.iter().any(|(_, features)| features.contains_key(STANDALONE)) {
        return Vec::new();
    }
    let wanted: Vec<String> = packages
        .iter()
        .flat_map(|(name, features)| {
            of_library(features).into_iter().map(move |feature| format!("{name}/{feature}"))
        })
        .collect();
    let mut arguments = vec!["--no-default-features".to_owned()];
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
        arguments(packages.iter().copied()).join(" ")
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
