//! The variables that an app has from the host.

/// The variables of the host whose names `patterns` lists.
pub(super) fn inherited(patterns: &[String]) -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        patterns.iter().any(|pattern| matches(pattern, &name)).then_some((name, value))
    })
}

/// Whether a name is that of a pattern, or begins as one that ends with `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Environment;
    use super::*;
    use crate::config::Settings;

    #[test]
    fn the_hosts_variables_are_inherited_as_listed() {
        let settings = |inherit: &[&str]| Settings {
            inherit: inherit.iter().map(|&name| name.to_owned()).collect(),
            env: BTreeMap::from([("GREETING".to_owned(), "hi".into())]),
            ..Settings::default()
        };
        let of = |settings: &Settings| Environment::read(settings).unwrap().variables;
        // cargo sets it for a test.
        let name = "CARGO_MANIFEST_DIR";
        let path = env!("CARGO_MANIFEST_DIR");
        assert_eq!(of(&settings(&[])), BTreeMap::from([("GREETING".to_owned(), "hi".to_owned())]));
        assert_eq!(of(&settings(&[name])).get(name).map(String::as_str), Some(path));
        assert_eq!(of(&settings(&["CARGO_MANI*"])).get(name).map(String::as_str), Some(path));
        assert_eq!(of(&settings(&["CARGO_MANI"])).get(name), None);
        let mut own = settings(&["CARGO_*"]);
        own.env.insert(name.to_owned(), "mine".into());
        assert_eq!(of(&own)[name], "mine");
        assert!(!of(&Settings::default()).contains_key(name), "it is not among those that all apps get");
    }

    #[test]
    fn a_pattern_is_a_name_or_a_start() {
        assert!(matches("PATH", "PATH") && !matches("PATH", "PATHS") && !matches("PATH", "path"));
        assert!(matches("LC_*", "LC_ALL") && matches("LC_*", "LC_") && !matches("LC_*", "LANG"));
        assert!(matches("*", "ANY"));
    }
}
