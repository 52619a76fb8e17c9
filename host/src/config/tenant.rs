//! `tenants` of an `apps.json`: who shares the host, and what the operator decides for their apps.
//!
//! An app of a tenant begins with the tenant's settings, and its entry, which a push replaces, cannot have what the operator
//! decides: where the app runs, what it may use of the machine, and which host names lead to it.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::app::Defaults;
use super::app_pattern::{self, AppPattern};
use super::fields::Fields;
use super::isolation::Isolation;
use super::merge::overlay;
use super::node::Node;
use super::origin::{Origin, Origins};
use super::route::{HOST, HOST_EXPECTED, MAX_HOST, Route, is_host};
use super::settings::Settings;
use super::template::{Piece, pieces};

/// What is expected as the tenants of a file.
pub(super) const EXPECTED: &str = r#"a list of tenants such as [{ "apps": ["acme-*"] }]"#;
const TENANT: &str = r#"a tenant such as { "apps": ["acme-*"], "settings": { "sandbox": "strict" } }"#;
const SETTINGS: &str = r#"an object of settings such as { "sandbox": "strict" }"#;
const HOSTS: &str = r#"a list of host names such as ["acme.example.com", "*.acme.example.com"]"#;

/// The settings that decide what an app may use of the machine.
const OPERATORS: [&str; 8] =
    ["isolation", "sandbox", "on_fault", "preflight", "data", "dir", "env_file", "inherit"];

/// Someone who shares the host with others.
pub(super) struct Tenant {
    apps: Vec<AppPattern>,
    /// What the apps begin with.
    pub(super) defaults: Defaults,
    /// The settings that the tenant's own have.
    given: Vec<String>,
    /// The variables that they have.
    variables: Vec<String>,
    hosts: Vec<String>,
}

impl Tenant {
    /// Reads one; `defaults` are those of the file.
    pub(super) fn read(node: &Node<'_>, defaults: &Defaults) -> Option<Self> {
        let mut fields = node.object(TENANT)?;
        let apps = fields.required("apps", app_pattern::EXPECTED, app_pattern::read);
        let own = fields.optional("settings", |node| read_settings(node, &defaults.settings));
        let hosts = fields.optional("hosts", read_hosts);
        fields.finish();
        let own = own.unwrap_or_else(|| Own { settings: defaults.settings.clone(), ..Own::default() });
        let mut settings = own.settings;
        let mut origins = defaults.origins.clone();
        if own.given.iter().all(|name| name != "isolation") && origins.get("isolation") == Origin::BuiltIn {
            settings.isolation = Isolation::Process;
            origins.set("isolation", Origin::Tenant);
        }
        own.given.iter().for_each(|name| origins.set(name, Origin::Tenant));
        Some(Self {
            apps: apps?,
            defaults: Defaults { settings, origins },
            given: own.given,
            variables: own.variables,
            hosts: hosts.unwrap_or_default(),
        })
    }

    /// Whether an app of this name is the tenant's.
    pub(super) fn has(&self, app: &str) -> bool {
        self.apps.iter().any(|pattern| pattern.matches(app))
    }

    /// Reports what the entry of an app has that is the operator's to decide.
    pub(super) fn check(&self, entry: &mut Fields<'_>, routes: &[Route]) {
        let merged = |name: &str| matches!(name, "env" | "headers");
        let given = self.given.iter().map(String::as_str).filter(|name| !merged(name));
        for name in OPERATORS.into_iter().chain(given) {
            entry.refuse(
                name,
                &format!(
                    "`{name}` is the operator's to decide for this app: it can be in `settings` of the tenant"
                ),
            );
        }
        if let Some(env) = entry.node("env").and_then(|node| node.object("")) {
            env.each().for_each(|(name, _, node)| self.check_variable(name, &node));
        }
        let may_have = |route: &Route| {
            route.host.as_ref().is_some_and(|host| self.hosts.iter().any(|allowed| covers(allowed, host)))
        };
        if !routes.iter().all(may_have) {
            entry.refuse("route", "each route of this app needs a `host` that `hosts` of the tenant has");
        }
    }

    fn check_variable(&self, name: &str, node: &Node<'_>) {
        let is_plain = |text| {
            pieces(text).is_none_or(|pieces| pieces.iter().all(|piece| matches!(piece, Piece::Text(_))))
        };
        if self.variables.iter().any(|known| known == name) {
            node.refuse("this variable is in `settings` of the tenant");
        } else if node.is_object() || !node.as_text().is_none_or(is_plain) {
            node.refuse(
                "a variable of this app cannot refer to a file, a credential or a variable of the host: it can be in `settings` of \
                the tenant",
            );
        }
    }
}

/// The settings of a tenant.
#[derive(Default)]
struct Own {
    settings: Settings,
    given: Vec<String>,
    variables: Vec<String>,
}

fn read_settings(node: &Node<'_>, base: &Settings) -> Option<Own> {
    let mut fields = node.object(SETTINGS)?;
    let settings = overlay(base, &mut fields);
    let given = Origins::default().with(&fields, Origin::Tenant).names();
    let env = fields.node("env").and_then(|node| node.object(""));
    let variables = env.into_iter().flat_map(Fields::each).map(|(name, ..)| name.to_owned()).collect();
    fields.finish();
    Some(Own { settings, given, variables })
}

fn read_hosts(node: &Node<'_>) -> Option<Vec<String>> {
    let list = node.list(HOSTS)?;
    Some(
        list.iter()
            .filter_map(|node| node.text(HOST_EXPECTED, is_host))
            .map(|host| host.to_ascii_lowercase())
            .collect(),
    )
}

/// Whether a name of which others have one more label, or a name, is allowed.
fn covers(allowed: &str, host: &str) -> bool {
    let below =
        |suffix: &str| host.strip_suffix(suffix)?.strip_suffix('.').filter(|label| !label.contains('.'));
    allowed == host || allowed.strip_prefix("*.").and_then(below).is_some_and(|label| label != "*")
}

/// The schema of a tenant.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let settings = generator.subschema_for::<Settings>();
    let mut apps = app_pattern::schema(generator);
    apps.insert(
        "description".into(),
        "The apps of the tenant: names, and beginnings of names with `*` at the end, such as `\"acme-*\"`."
            .into(),
    );
    json_schema!({
        "description": "Someone who shares the host with others, and whose apps have the settings that the operator decides on.",
        "type": "object",
        "properties": {
            "apps": apps,
            "settings": {
                "description": "What these apps begin with, over `defaults`. Their entries cannot have a setting that is here. `isolation` is `\"process\"` if neither this nor `defaults` has it.",
                "$ref": settings.get("$ref"),
            },
            "hosts": {
                "description": "The host names that the routes of these apps may have; `*.example.com` is for names with one more label.",
                "type": "array",
                "items": { "type": "string", "pattern": HOST, "maxLength": MAX_HOST },
            },
        },
        "required": ["apps"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;
    use crate::config::Config;

    fn parse(tenant: Value, app: Value) -> Result<Config, Vec<String>> {
        let text =
            json!({ "tenants": [tenant], "defaults": { "queue": 5, "keep": 7 }, "apps": [app] }).to_string();
        Config::parse(&text, Path::new("/srv"), "apps.json").map_err(|error| {
            error.diagnostics().iter().map(|found| format!("{}: {}", found.field, found.message)).collect()
        })
    }

    fn acme(more: Value) -> Value {
        let mut app = json!({ "name": "acme-shop", "path": "acme-shop.so" });
        app.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        app
    }

    #[test]
    fn an_app_begins_with_the_settings_of_its_tenant_and_runs_in_a_process() {
        let tenant = json!({ "apps": ["acme-*"], "settings": { "queue": 9, "env": { "TOKEN": { "file": "acme.token" } } } });
        let config = parse(tenant, acme(json!({ "workers": 2, "env": { "LEVEL": "5 $" } }))).unwrap();
        let app = config.app("acme-shop").unwrap();
        let settings = &app.settings;
        assert_eq!((settings.queue, settings.keep, settings.workers), (9, 7, 2));
        assert_eq!(settings.isolation, Isolation::Process);
        assert_eq!(settings.env.keys().collect::<Vec<_>>(), ["LEVEL", "TOKEN"]);
        let origins = ["queue", "isolation", "keep", "workers"].map(|name| app.origins.get(name));
        assert_eq!(origins, [Origin::Tenant, Origin::Tenant, Origin::Defaults, Origin::App]);

        let other = json!({ "name": "shop", "path": "shop.so", "isolation": "thread", "sandbox": null });
        let config = parse(json!({ "apps": ["acme-*"] }), other).unwrap();
        assert_eq!(config.apps[0].settings.isolation, Isolation::Thread);
        let thread = json!({ "apps": ["acme-*"], "settings": { "isolation": "thread" } });
        let config = parse(thread, acme(json!({}))).unwrap();
        assert_eq!(config.apps[0].settings.isolation, Isolation::Thread, "the operator decides");
    }

    #[test]
    fn an_entry_has_nothing_that_the_operator_decides() {
        let tenant = json!({ "apps": ["acme-*"], "settings": { "workers": 1, "env": { "TOKEN": "t" } } });
        for (name, value) in [
            ("isolation", json!("process")),
            ("sandbox", json!(null)),
            ("on_fault", json!("restart")),
            ("preflight", json!(false)),
            ("data", json!("/srv")),
            ("dir", json!("/")),
            ("env_file", json!("a.env")),
            ("inherit", json!(["*"])),
            ("workers", json!(2)),
        ] {
            let errors = parse(tenant.clone(), acme(json!({ name: value }))).unwrap_err();
            let expected = format!("apps[0].{name}: `{name}` is the operator's to decide for this app");
            assert!(errors.len() == 1 && errors[0].starts_with(&expected), "{errors:?}");
        }
        for value in [
            json!("${HOME}"),
            json!("a${B:-c}"),
            json!({ "file": "/etc/passwd" }),
            json!({ "env": "X" }),
            json!({ "credential": "x" }),
        ] {
            let errors = parse(tenant.clone(), acme(json!({ "env": { "A": value } }))).unwrap_err();
            assert!(
                errors.len() == 1
                    && errors[0].starts_with("apps[0].env.A: a variable of this app cannot refer"),
                "{errors:?}"
            );
        }
        let errors = parse(tenant, acme(json!({ "env": { "TOKEN": "mine" } }))).unwrap_err();
        assert_eq!(errors, ["apps[0].env.TOKEN: this variable is in `settings` of the tenant"]);
    }

    #[test]
    fn routes_have_a_host_of_the_tenant() {
        let tenant = json!({ "apps": ["acme-*"], "hosts": ["Acme.example", "*.acme.example"] });
        let routes = |route: Value| parse(tenant.clone(), acme(json!({ "route": route })));
        for route in [
            json!({ "host": "acme.example" }),
            json!({ "host": "www.ACME.example", "path_prefix": "/v1" }),
            json!([{ "host": "*.acme.example" }, { "host": "acme.example" }]),
        ] {
            assert!(routes(route.clone()).is_ok(), "{route}");
        }
        for route in [
            json!({ "path_prefix": "/" }),
            json!({ "host": "example" }),
            json!({ "host": "a.b.acme.example" }),
            json!({ "host": "notacme.example" }),
            json!([{ "host": "acme.example" }, { "host": "*.example" }]),
        ] {
            let errors = routes(route.clone()).unwrap_err();
            assert_eq!(
                errors,
                ["apps[0].route: each route of this app needs a `host` that `hosts` of the tenant has"],
                "{route}"
            );
        }
    }

    #[test]
    fn a_tenant_is_checked() {
        let app = acme(json!({}));
        for (tenant, expected) in [
            (json!({}), "tenants[0].apps: missing field `apps`"),
            (json!({ "apps": ["*a"] }), "tenants[0].apps[0]: expected the name of an app"),
            (
                json!({ "apps": ["a"], "settings": { "name": "x" } }),
                "tenants[0].settings.name: unknown field",
            ),
            (
                json!({ "apps": ["a"], "settings": { "workers": 0 } }),
                "tenants[0].settings.workers: expected a whole number",
            ),
            (
                json!({ "apps": ["a"], "hosts": ["http://a"] }),
                "tenants[0].hosts[0]: expected a host name without a port",
            ),
            (json!("acme"), "tenants[0]: expected a tenant such as"),
        ] {
            let errors = parse(tenant, app.clone()).unwrap_err();
            assert!(errors.len() == 1 && errors[0].starts_with(expected), "{errors:?}");
        }
    }
}
