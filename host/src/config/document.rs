//! The file as a whole: its two forms, and what has to differ between its apps.

use super::{
    app::{self, AppConfig, Defaults},
    build::BuildSettings,
    diagnostic::Report,
    error::ConfigError,
    fields,
    fleet::{self, FleetSettings},
    json,
    merge::overlay,
    node::{Node, quoted},
    origin::{Origin, Origins},
    quota::{self, Quota},
    route::TakenRoutes,
    settings::Settings,
    tenant::{self, Tenant},
};
use std::{
    collections::HashMap,
    ops::Range,
    path::{Path, PathBuf},
};

const LIST_EXPECTED: &str = r#"a list of apps such as [{ "name": "hello", "path": "apps/hello" }]"#;
const APP_EXPECTED: &str = r#"an app such as { "name": "hello", "path": "apps/hello" }"#;

/// What a file has.
#[derive(Default)]
pub(super) struct Document {
    pub(super) apps: Vec<AppConfig>,
    pub(super) quotas: Vec<Quota>,
    pub(super) fleet: Option<FleetSettings>,
}

/// Reads a file's text; see [`Config::parse`](super::Config::parse).
pub(super) fn read(text: &str, base_dir: &Path, file_name: &str) -> Result<Document, ConfigError> {
    // Some editors put a byte order mark first. It is not part of the text, nor of its columns.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let report = Report::new(file_name, text);
    let document = match json::parse(text) {
        Err(error) => {
            report.add("", error.span, error.message);
            Document::default()
        }
        Ok(value) => {
            let report = &report;
            // In the short form, paths read as if the list were written in the long one.
            let root = if value.as_array().is_some() { "apps" } else { "" };
            fields::report_repeated_keys(report, root, &value);
            read_root(&Node::new(report, root.into(), &value), report, base_dir)
        }
    };
    match report.into_diagnostics() {
        none if none.is_empty() => Ok(document),
        diagnostics => Err(ConfigError::Invalid { diagnostics }),
    }
}

fn read_root<'d>(root: &Node<'d>, report: &'d Report<'d>, base_dir: &Path) -> Document {
    if root.is_list() {
        let apps = read_apps(root, &Defaults::default(), &[], report, base_dir);
        return Document { apps: apps.unwrap_or_default(), ..Document::default() };
    }
    let Some(mut fields) = root.object(&format!("{LIST_EXPECTED}, or an object with `apps`")) else {
        return Document::default();
    };
    if !fields.has("apps") && fields.has("name") {
        report.add(
            "",
            fields.start(),
            format!("expected {LIST_EXPECTED}, found a single app: put it in [ ]"),
        );
        return Document::default();
    }
    fields.optional("$schema", |node| node.text("the path or URL of a JSON schema", |_| true));
    let defaults = fields.optional("defaults", read_defaults).unwrap_or_default();
    let tenants = fields.optional("tenants", |node| read_tenants(node, &defaults)).unwrap_or_default();
    let apps =
        fields.required("apps", LIST_EXPECTED, |node| read_apps(node, &defaults, &tenants, report, base_dir));
    let quotas = fields.optional("quotas", read_quotas);
    let fleet = fields.optional("fleet", |node| fleet::read(node, base_dir));
    fields.finish();
    Document { apps: apps.unwrap_or_default(), quotas: quotas.unwrap_or_default(), fleet }
}

fn read_tenants(node: &Node<'_>, defaults: &Defaults) -> Option<Vec<Tenant>> {
    Some(node.list(tenant::EXPECTED)?.iter().filter_map(|node| Tenant::read(node, defaults)).collect())
}

fn read_quotas(node: &Node<'_>) -> Option<Vec<Quota>> {
    Some(node.list(quota::EXPECTED)?.iter().filter_map(quota::read).collect())
}

fn read_defaults(node: &Node<'_>) -> Option<Defaults> {
    let mut fields = node.object(r#"an object of settings such as { "workers": 2 }"#)?;
    let settings = overlay(&Settings::default(), &mut fields);
    let origins = Origins::default().with(&fields, Origin::Defaults);
    fields.finish();
    Some(Defaults { settings, origins })
}

fn read_apps<'d>(
    list: &Node<'d>,
    defaults: &Defaults,
    tenants: &[Tenant],
    report: &'d Report<'d>,
    base_dir: &Path,
) -> Option<Vec<AppConfig>> {
    let (mut names, mut ids) = (Taken::new(report), Taken::new(report));
    let mut routes = TakenRoutes::new(report);
    let mut builds = Builds::new(report);
    let mut apps = Vec::new();
    for node in list.list(LIST_EXPECTED)? {
        let Some(mut fields) = node.object(APP_EXPECTED) else { continue };
        let name = fields.text_of("name").map_or("", |(name, _)| name);
        let tenant = tenants.iter().find(|tenant| tenant.has(name));
        let defaults = tenant.map_or(defaults, |tenant| &tenant.defaults);
        let app = app::read(&mut fields, defaults, base_dir, &mut routes);
        if let (Some(tenant), Some(app)) = (tenant, &app) {
            tenant.check(&mut fields, &app.routes);
        }
        if let Some(app) = &app {
            builds.take(app, &node);
        }
        apps.extend(app);
        // From the text rather than from what was read: an app that is wrong otherwise has a name all the same.
        names.take(&fields, "name", node.path());
        ids.take(&fields, "id", node.path());
        fields.finish();
    }
    Some(apps)
}

/// What has to differ between apps, and where it was first used.
struct Taken<'d> {
    report: &'d Report<'d>,
    seen: HashMap<&'d str, (String, Range<usize>)>,
}

impl<'d> Taken<'d> {
    fn new(report: &'d Report<'d>) -> Self {
        Taken { report, seen: HashMap::new() }
    }

    fn take(&mut self, fields: &fields::Fields<'d>, field: &str, app: &str) {
        let Some((text, span)) = fields.text_of(field) else { return };
        let Some((first, first_span)) = self.seen.get(text) else {
            self.seen.insert(text, (app.into(), span));
            return;
        };
        let message = format!("duplicate app {field} {} (first used by {first})", quoted('"', text));
        self.report.add_repeat(&format!("{app}.{field}"), first_span.clone(), span, message);
    }
}

/// How crates are built, and where it was said first: cargo builds a crate in one way at a time.
struct Builds<'d> {
    report: &'d Report<'d>,
    seen: HashMap<PathBuf, (String, BuildSettings, Range<usize>)>,
}

impl<'d> Builds<'d> {
    fn new(report: &'d Report<'d>) -> Self {
        Builds { report, seen: HashMap::new() }
    }

    fn take(&mut self, app: &AppConfig, node: &Node<'d>) {
        let build = &app.settings.build;
        match self.seen.get(&app.path) {
            None => {
                let first = (app.name.clone(), build.clone(), node.span());
                self.seen.insert(app.path.clone(), first);
            }
            Some((_, known, _)) if known == build => {}
            Some((first, _, span)) => {
                let message = format!(
                    "{} and {} have the same path and different `build` settings: make these the same, or copy the crate",
                    quoted('`', first),
                    quoted('`', &app.name),
                );
                self.report.add_repeat(&format!("{}.build", node.path()), span.clone(), node.span(), message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Period, QuotaAction};
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("/srv"), "apps.json").map_err(|error| error.to_string())
    }

    /// Compares line by line, which shows a difference better than one long string does.
    fn assert_error(text: &str, expected: &[&str]) {
        let error = parse(text).unwrap_err();
        assert_eq!(error.lines().collect::<Vec<_>>(), expected, "\n{error}\n");
    }

    #[test]
    fn both_forms_mean_the_same() {
        let list = parse(r#"[{ "id": "0", "name": "hello", "path": "apps/hello" }]"#).unwrap();
        let object = parse(
            r#"{ "$schema": "docs/apps.schema.json", "apps": [{ "id": "0", "name": "hello", "path": "apps/hello" }] }"#,
        );
        assert_eq!(list, object.unwrap());
        let hello = list.app("hello").unwrap();
        assert_eq!((hello.id.as_deref(), &hello.settings), (Some("0"), &Settings::default()));
    }

    #[test]
    fn defaults_count_wherever_they_are_written() {
        let config =
            parse(r#"{ "apps": [{ "name": "a", "path": "a" }], "defaults": { "workers": 3 } }"#).unwrap();
        assert_eq!(config.apps[0].settings.workers, 3);
    }

    #[test]
    fn no_apps_is_a_valid_start() {
        assert_eq!(parse("[]").unwrap(), Config::default());
        assert_eq!(parse(r#"{ "apps": [] }"#).unwrap(), Config::default());
    }

    #[test]
    fn a_byte_order_mark_does_not_count() {
        assert_eq!(parse("\u{feff}[]").unwrap(), Config::default());
        assert!(parse("\u{feff}[1]").unwrap_err().starts_with("apps.json:1:2: apps[0]: "));
    }

    #[test]
    fn the_error_of_the_design() {
        let text = "[\n  { \"name\": \"a\", \"path\": \"a\" },\n  { \"name\": \"b\", \"path\": \"b\",\n      \"workers\": \"two\"\n  }\n]";
        assert_error(
            text,
            &[
                r#"apps.json:4:18: apps[1].workers: expected a whole number from 1 to 1024, found "two""#,
                r#"  4 |       "workers": "two""#,
                r#"    |                  ^^^^^"#,
            ],
        );
    }

    #[test]
    fn a_syntax_error_shows_its_line() {
        assert_error(
            "[\n  { \"name\": \"a\" \"path\": \"a\" }\n]",
            &[
                "apps.json:2:16: expected a comma here",
                r#"  2 |   { "name": "a" "path": "a" }"#,
                r#"    |                ^"#,
            ],
        );
    }

    #[test]
    fn a_name_used_twice_shows_both_lines() {
        assert_error(
            "[\n  { \"name\": \"a\", \"path\": \"a\" },\n  { \"name\": \"a\", \"path\": \"b\" }\n]",
            &[
                r#"apps.json:3:13: apps[1].name: duplicate app name "a" (first used by apps[0])"#,
                r#"  2 |   { "name": "a", "path": "a" },"#,
                r#"    |             --- first here"#,
                r#"  3 |   { "name": "a", "path": "b" }"#,
                r#"    |             ^^^"#,
            ],
        );
    }

    #[test]
    fn an_id_used_twice_is_an_error_even_next_to_others() {
        let text = r#"[{ "id": "0", "name": "a" }, { "id": "0", "name": "b", "path": "b" }]"#;
        let error = Config::parse(text, Path::new("/srv"), "apps.json").unwrap_err();
        let fields: Vec<_> = error.diagnostics().iter().map(|found| &*found.field).collect();
        assert_eq!(fields, ["apps[0].path", "apps[1].id"]);
    }

    #[test]
    fn everything_wrong_is_said_at_once_and_in_order() {
        assert_error(
            r#"{
  "default": { "workers": 0 },
  "apps": [
    { "name": "my app", "path": "a", "wokers": 2 },
    { "name": "b", "queue": 0, "queue": 1 },
    "c"
  ]
}"#,
            &[
                "apps.json:2:3: default: unknown field `default`, did you mean `defaults`?",
                r#"  2 |   "default": { "workers": 0 },"#,
                "    |   ^^^^^^^^^",
                r#"apps.json:4:15: apps[0].name: expected a name of 1 to 64 characters a-z A-Z 0-9 - _ . that starts with a letter or digit (it is part of the URL /apps/{name}/), found "my app""#,
                r#"  4 |     { "name": "my app", "path": "a", "wokers": 2 },"#,
                "    |               ^^^^^^^^",
                "apps.json:4:38: apps[0].wokers: unknown field `wokers`, did you mean `workers`?",
                r#"  4 |     { "name": "my app", "path": "a", "wokers": 2 },"#,
                "    |                                      ^^^^^^^^",
                "apps.json:5:5: apps[1].path: missing field `path`, expected the path of a crate folder, a folder \
                with a library, or a library",
                r#"  5 |     { "name": "b", "queue": 0, "queue": 1 },"#,
                "    |     ^",
                "apps.json:5:29: apps[1].queue: expected a whole number from 1 to 1000000, found 0",
                r#"  5 |     { "name": "b", "queue": 0, "queue": 1 },"#,
                "    |                             ^",
                "apps.json:5:32: apps[1].queue: duplicate field `queue`",
                r#"  5 |     { "name": "b", "queue": 0, "queue": 1 },"#,
                "    |                    ------- first here",
                r#"  5 |     { "name": "b", "queue": 0, "queue": 1 },"#,
                "    |                                ^^^^^^^",
                r#"apps.json:6:5: apps[2]: expected an app such as { "name": "hello", "path": "apps/hello" }, found "c""#,
                r#"  6 |     "c""#,
                "    |     ^^^",
            ],
        );
    }

    #[test]
    fn quotas_are_limits_for_apps_by_name() {
        let file = |quota: &str| parse(&format!(r#"{{ "apps": [], "quotas": [{quota}] }}"#));
        let quotas = file(r#"{ "apps": ["a", "b-*"], "period": "day", "requests": 5, "cpu_seconds": null }"#)
            .unwrap()
            .quotas;
        let [quota] = &quotas[..] else { panic!("{quotas:?}") };
        assert_eq!((quota.names().as_str(), quota.period, quota.requests), ("a, b-*", Period::Day, Some(5)));
        assert_eq!((quota.cpu_seconds, quota.action, quota.throttle_rate), (None, QuotaAction::Refuse, 1));
        for (quota, message) in [
            (
                r#"{ "apps": ["a"] }"#,
                r#"quotas[0]: expected a quota such as { "apps": ["acme-*"], "cpu_seconds": 36000 } with at least one of `cpu_seconds`, `memory_gib_hours`, `requests` and `storage`, found an object"#,
            ),
            (r#"{ "requests": 1 }"#, "quotas[0].apps: missing field `apps`, expected a list of names"),
            (r#"{ "apps": [], "requests": 1 }"#, "with at least one, found an empty list"),
            (
                r#"{ "apps": ["*-a"], "requests": 1 }"#,
                r#"quotas[0].apps[0]: expected the name of an app, a beginning of names"#,
            ),
            (
                r#"{ "apps": ["a"], "requests": 0 }"#,
                "quotas[0].requests: expected a whole number, at least 1 (or null for no limit), found 0",
            ),
            (r#"{ "apps": ["a"], "storage": "1G" }"#, r#"(did you mean "1GiB"?)"#),
            (
                r#"{ "apps": ["a"], "requests": 1, "period": "year" }"#,
                r#"expected "hour", "day" or "month", found "year""#,
            ),
            (
                r#"{ "apps": ["a"], "requests": 1, "action": "stop" }"#,
                r#"expected "warn", "throttle" or "refuse", found "stop""#,
            ),
            (
                r#"{ "apps": ["a"], "request": 1, "storage": 1 }"#,
                "unknown field `request`, did you mean `requests`?",
            ),
        ] {
            let error = file(quota).unwrap_err();
            assert!(error.contains(message), "{quota}: {error}");
        }
    }

    #[test]
    fn other_roots() {
        for (text, message) in [
            (
                "3",
                "apps.json:1:1: expected a list of apps such as [{ \"name\": \"hello\", \"path\": \"apps/hello\" }], or an object with `apps`, found 3",
            ),
            (
                "{}",
                "apps.json:1:1: apps: missing field `apps`, expected a list of apps such as [{ \"name\": \"hello\", \
                \"path\": \"apps/hello\" }]",
            ),
            (r#"{ "apps": {} }"#, "apps.json:1:11: apps: expected a list of apps such as"),
            (r#"{ "apps": [], "defaults": [] }"#, "apps.json:1:27: defaults: expected an object of settings"),
            (r#"{ "apps": [], "$schema": 1 }"#, "apps.json:1:26: $schema: expected the path or URL"),
            (
                r#"{ "apps": [], "defaults": { "name": "x" } }"#,
                "apps.json:1:29: defaults.name: unknown field `name`",
            ),
            (
                r#"{ "name": "a", "path": "a" }"#,
                "apps.json:1:1: expected a list of apps such as [{ \"name\": \"hello\", \"path\": \"apps/hello\" }], found a single app: put it in [ ]",
            ),
            (" ", "apps.json:1:2: expected a list of apps such as"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(message), "{error}");
            assert_eq!(error.lines().count(), 3, "{error}");
        }
    }

    #[test]
    fn a_crate_is_built_in_one_way() {
        let file = |a: &str, b: &str| {
            let app = |name: &str, build: &str| {
                format!(r#"{{ "name": "{name}", "path": "./x", "build": {{ {build} }} }}"#)
            };
            parse(&format!("[{}, {}]", app("a", a), app("b", b)))
        };
        assert!(file(r#""locked": true"#, r#""locked": true, "profile": null"#).is_ok());
        let error = file(r#""locked": true"#, "").unwrap_err();
        let expected = "apps[1].build: `a` and `b` have the same path and different `build` settings: make these the same, or \
                        copy the crate";
        assert!(error.contains(expected), "{error}");
    }
}
