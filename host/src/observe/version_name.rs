//! The names of versions that serve beside the current version of their app: `shop@3f2a91c04d7e`.
//!
//! Logs, events and traces have such a name where they have an app's. No app of apps.json has it.

/// What is between the app and the version.
pub(crate) const MARK: char = '@';

/// The name of a version of an app.
pub(crate) fn version_name(app: &str, version: &str) -> String {
    format!("{app}{MARK}{version}")
}

/// The app of this name, or that of the version with this name.
pub(crate) fn app_of(name: &str) -> &str {
    name.split(MARK).next().unwrap_or(name)
}

/// The version, if this is the name of one.
pub(crate) fn version_of(name: &str) -> Option<&str> {
    name.split_once(MARK).map(|(_, version)| version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::is_app_name;

    #[test]
    fn no_app_has_the_name_of_a_version() {
        let name = version_name("shop", "3f2a");
        assert_eq!((app_of(&name), version_of(&name)), ("shop", Some("3f2a")));
        assert_eq!((app_of("shop"), version_of("shop")), ("shop", None));
        assert!(!is_app_name(&name) && is_app_name("shop"));
    }
}
