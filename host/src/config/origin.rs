//! Where an app's settings come from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::Fields;
use super::settings::Settings;

/// Where the value of a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The app's own entry.
    App,
    /// `settings` of the tenant that the app is of.
    Tenant,
    /// `defaults`, which are for all apps of the file.
    Defaults,
    /// The host.
    BuiltIn,
}

/// Where each setting comes from that the file gives; all others are built in.
///
/// Any two are equal: a setting means the same wherever it is written.
#[derive(Clone, Debug, Default)]
pub struct Origins(BTreeMap<String, Origin>);

impl PartialEq for Origins {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Origins {
    /// Where the value of this setting comes from.
    pub fn get(&self, setting: &str) -> Origin {
        self.0.get(setting).copied().unwrap_or(Origin::BuiltIn)
    }

    /// Sets where the value of this setting comes from.
    pub(super) fn set(&mut self, setting: &str, origin: Origin) {
        self.0.insert(setting.to_owned(), origin);
    }

    /// The settings that the file gives.
    pub(super) fn names(self) -> Vec<String> {
        self.0.into_keys().collect()
    }

    /// With all settings that `fields` has from `origin`.
    #[must_use]
    pub(super) fn with(mut self, fields: &Fields<'_>, origin: Origin) -> Self {
        let names = names();
        self.0.extend(names.into_iter().filter(|name| fields.has(name)).map(|name| (name, origin)));
        self
    }
}

/// The names of all settings.
fn names() -> Vec<String> {
    match serde_json::to_value(Settings::default()) {
        Ok(serde_json::Value::Object(settings)) => settings.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[test]
    fn each_setting_knows_where_it_comes_from() {
        let text = r#"{
            "defaults": { "workers": 2, "queue": 5 },
            "apps": [{ "name": "a", "path": "a", "queue": 7 }, { "name": "b", "path": "b" }]
        }"#;
        let config = Config::parse(text, Path::new("/"), "apps.json").unwrap();
        let origins = |app: &str| {
            let origins = &config.app(app).unwrap().origins;
            ["workers", "queue", "keep"].map(|setting| origins.get(setting))
        };
        assert_eq!(origins("a"), [Origin::Defaults, Origin::App, Origin::BuiltIn]);
        assert_eq!(origins("b"), [Origin::Defaults, Origin::Defaults, Origin::BuiltIn]);
    }
}
