//! Which apps are meant, by their names.

use std::fmt;
use std::str::FromStr;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::app::is_app_name;
use super::node::Node;

/// What is expected as a list of patterns.
pub(super) const EXPECTED: &str =
    r#"a list of names, and of beginnings of names with * at the end, such as ["shop", "acme-*"]"#;
const ONE_EXPECTED: &str =
    r#"the name of an app, a beginning of names with * at the end such as "acme-*", or "*" for all apps"#;

/// What a pattern is, as a regular expression.
const PATTERN: &str = r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,63}\*?)$";

/// An app by its name, the apps whose names begin with a prefix, such as `acme-*`, or all apps: `*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,63}\*?)$")]
pub struct AppPattern(String);

/// A text is no pattern for the names of apps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid app {0:?}: expected the name of an app, a prefix such as acme-*, or * for all apps")]
pub struct NoAppPattern(String);

impl FromStr for AppPattern {
    type Err = NoAppPattern;

    /// ```
    /// use atoll_host::config::AppPattern;
    ///
    /// let acme: AppPattern = "acme-*".parse().unwrap();
    /// assert!(acme.matches("acme-shop") && !acme.matches("acme"));
    /// assert!("*-shop".parse::<AppPattern>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, NoAppPattern> {
        let is_pattern = text == "*" || is_app_name(text.strip_suffix('*').unwrap_or(text));
        if is_pattern { Ok(Self(text.to_owned())) } else { Err(NoAppPattern(text.to_owned())) }
    }
}

impl TryFrom<String> for AppPattern {
    type Error = NoAppPattern;

    fn try_from(text: String) -> Result<Self, NoAppPattern> {
        text.parse()
    }
}

impl From<AppPattern> for String {
    fn from(pattern: AppPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for AppPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AppPattern {
    /// Whether an app of this name is meant.
    pub fn matches(&self, app: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => app.starts_with(prefix),
            None => self.0 == app,
        }
    }

    /// Whether all apps are meant.
    pub(crate) fn is_all(&self) -> bool {
        self.0 == "*"
    }
}

/// Reads a list of patterns.
pub(super) fn read(node: &Node<'_>) -> Option<Vec<AppPattern>> {
    if node.is_empty_list() {
        return node.expected(format_args!("{EXPECTED} with at least one"));
    }
    let list = node.list(EXPECTED)?;
    let patterns = list.iter().map(|node| match node.as_text().map(str::parse) {
        Some(Ok(pattern)) => Some(pattern),
        _ => node.expected(ONE_EXPECTED),
    });
    // All of them, so that each that is wrong is reported.
    patterns.collect::<Vec<_>>().into_iter().collect()
}

/// The schema of a list of patterns.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "string", "pattern": PATTERN }, "minItems": 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_schemas_have_the_same_pattern() {
        let schema = serde_json::to_value(<AppPattern as utoipa::PartialSchema>::schema()).unwrap();
        assert_eq!(schema["pattern"], PATTERN);
    }

    #[test]
    fn a_pattern_is_a_name_a_prefix_or_all() {
        for (pattern, app, matches) in [
            ("shop", "shop", true),
            ("shop", "shop2", false),
            ("shop*", "shop2", true),
            ("acme-*", "acme-", true),
            ("acme-*", "acme", false),
            ("acme-*", "evil-acme-", false),
            ("*", "any", true),
        ] {
            assert_eq!(pattern.parse::<AppPattern>().unwrap().matches(app), matches, "{pattern} {app}");
        }
        for wrong in ["", "**", "a*b", "../a", "a/*", "-*", "a b"] {
            assert!(wrong.parse::<AppPattern>().is_err(), "{wrong}");
        }
    }
}
