//! What the setting `headers` contains.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The setting `headers` of an app: response headers that the host sets, adds or removes. Made by reading an `apps.json`.
///
/// ```
/// use atoll_host::config::Config;
/// use std::path::Path;
///
/// let text = r#"{
///     "defaults": { "headers": { "X-Frame-Options": "DENY", "Server": null } },
///     "apps": [{ "name": "shop", "path": "shop", "headers": { "?x-frame-options": "SAMEORIGIN" } }]
/// }"#;
/// let config = Config::parse(text, Path::new("/srv"), "apps.json")?;
/// let headers = serde_json::to_string(&config.apps[0].settings.headers)?;
/// assert_eq!(headers, r#"{"server":null,"?x-frame-options":"SAMEORIGIN"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHeaders(Vec<(HeaderName, HeaderRule)>);

/// What happens to a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeaderRule {
    /// It has this value, whatever the app says.
    Set(HeaderValue),
    /// It has this value if the app has none.
    Default(HeaderValue),
    /// It is removed.
    Remove,
}

/// What a name begins with whose value is only a default.
pub(super) const DEFAULT: char = '?';

impl ResponseHeaders {
    /// Adds a rule, which replaces one of the same name.
    pub(super) fn add(&mut self, name: HeaderName, rule: HeaderRule) {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, rule));
    }

    /// These, and those of `base` for other names.
    #[must_use]
    pub(in crate::config) fn over(self, base: &Self) -> Self {
        let mut all = base.clone();
        self.0.into_iter().for_each(|(name, rule)| all.add(name, rule));
        all
    }

    /// Whether there is a rule of this name.
    pub(super) fn has(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Applies the rules to the headers of a response.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for (name, rule) in &self.0 {
            match rule {
                HeaderRule::Set(value) => drop(headers.insert(name.clone(), value.clone())),
                HeaderRule::Default(value) if !headers.contains_key(name) => {
                    headers.append(name.clone(), value.clone());
                }
                HeaderRule::Default(_) => {}
                HeaderRule::Remove => drop(headers.remove(name)),
            }
        }
    }
}

impl Serialize for ResponseHeaders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, rule) in &self.0 {
            // The reader lets through nothing else than ASCII.
            let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            match rule {
                HeaderRule::Set(value) => map.serialize_entry(name.as_str(), &text(value))?,
                HeaderRule::Default(value) => {
                    map.serialize_entry(&format!("{DEFAULT}{name}"), &text(value))?;
                }
                HeaderRule::Remove => map.serialize_entry(name.as_str(), &())?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_its_effect_on_all_values_of_a_header() {
        let value = HeaderValue::from_static;
        let mut rules = ResponseHeaders::default();
        for (name, rule) in [
            ("a", HeaderRule::Set(value("1"))),
            ("b", HeaderRule::Default(value("1"))),
            ("c", HeaderRule::Default(value("1"))),
            ("d", HeaderRule::Remove),
            ("e", HeaderRule::Set(value("0"))),
            ("e", HeaderRule::Set(value("1"))),
        ] {
            rules.add(HeaderName::from_static(name), rule);
        }
        let mut headers = HeaderMap::new();
        for name in ["a", "a", "b", "b", "d", "d", "other"] {
            headers.append(HeaderName::from_static(name), value("app"));
        }
        rules.apply(&mut headers);
        let all = |name| headers.get_all(name).map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(
            ["a", "b", "c", "d", "e", "other"].map(all),
            [vec!["1"], vec!["app", "app"], vec!["1"], vec![], vec!["1"], vec!["app"],]
        );
    }
}
