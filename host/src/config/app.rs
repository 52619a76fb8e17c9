//! One app of the file.

use super::{
    build::BuildSettings,
    fields::Fields,
    merge::overlay,
    origin::{Origin, Origins},
    route::{self, Route, TakenRoutes},
    settings::{PATH, Settings},
};
use schemars::JsonSchema;
use std::path::{Path, PathBuf};

/// The longest name of an app, in bytes.
pub(crate) const MAX_APP_NAME: usize = 64;
/// What a name may be: it is part of a URL and of file names, and has to be readable in both.
pub(super) const NAME: &str = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";
const NAME_EXPECTED: &str = "a name of 1 to 64 characters a-z A-Z 0-9 - _ . that starts with a letter or digit (it is \
    part of the URL /apps/{name}/)";
const PATH_EXPECTED: &str = "the path of a crate folder, a folder with a library, or a library";

/// An app: its name, the source of its library, and its settings.
///
/// ```
/// use atoll_host::config::Config;
/// use std::path::Path;
///
/// let parse = |text| Config::parse(text, Path::new("/srv"), "apps.json");
/// let before = parse(r#"[{ "name": "hello", "path": "apps/hello" }]"#)?;
/// let after = parse(r#"[{ "name": "hello", "path": "./apps/hello", "workers": 1 }]"#)?;
/// assert_eq!(before.apps, after.apps, "what is said differs, what is meant does not");
/// # Ok::<(), atoll_host::config::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, JsonSchema)]
// The description is for the schema, where the example above would be out of place.
#[schemars(
    rename = "App",
    deny_unknown_fields,
    description = "An app: its name, the source of its library, and its settings."
)]
pub struct AppConfig {
    /// An optional identifier for the app. It must be unique.
    #[schemars(length(min = 1), default, skip_serializing_if = "Option::is_none", with = "String")]
    pub id: Option<String>,

    /// The app's name, which is part of its URL `/apps/{name}/`: 1 to 64 characters a-z A-Z 0-9 - _ . that start with a
    /// letter or a digit. It must be unique.
    #[schemars(regex(pattern = NAME))]
    pub name: String,

    /// The source of the app's library: a crate folder, a folder with the library, or the library. Relative to the
    /// folder of this file.
    #[schemars(regex(pattern = PATH))]
    pub path: PathBuf,

    /// Additional routes of the app besides `/apps/{name}/`: a route or a list of routes. It must be unique.
    #[schemars(
        rename = "route",
        schema_with = "route::schema",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    pub routes: Vec<Route>,

    /// How the app is run: its own settings over `defaults`, those over the built-in ones.
    #[schemars(flatten)]
    pub settings: Settings,

    /// Where each of the settings comes from.
    #[schemars(skip)]
    pub origins: Origins,
}

impl AppConfig {
    /// Whether a generation of this app would run as one of `other` does: all that differs, if anything, is its routes, what
    /// the host does to its responses, and how its crate is built next.
    pub(crate) fn runs_like(&self, other: &Self) -> bool {
        let (own, others) = (&self.settings, &other.settings);
        let BuildSettings { profile, target, .. } = own.build.clone();
        let settings = Settings {
            headers: others.headers.clone(),
            cors: others.cors.clone(),
            sticky: others.sticky.clone(),
            rollout: others.rollout.clone(),
            on: others.on.clone(),
            build: BuildSettings { profile, target, ..others.build.clone() },
            ..own.clone()
        };
        Self { routes: other.routes.clone(), settings, ..self.clone() } == *other
    }
}

/// What the apps of a file start from.
#[derive(Default)]
pub(super) struct Defaults {
    pub(super) settings: Settings,
    pub(super) origins: Origins,
}

/// Reads an app. `None` if it has no name or path to go by; what is wrong is reported.
pub(super) fn read<'d>(
    fields: &mut Fields<'d>,
    defaults: &Defaults,
    base_dir: &Path,
    taken: &mut TakenRoutes<'d>,
) -> Option<AppConfig> {
    let id = fields.optional("id", |node| node.text("a non-empty string", |id| !id.is_empty()));
    let name = fields.required("name", NAME_EXPECTED, |node| node.text(NAME_EXPECTED, is_app_name));
    let path = fields.required("path", PATH_EXPECTED, |node| {
        node.text(PATH_EXPECTED, |path| !path.is_empty() && !path.contains('\0'))
    });
    let routes = fields.optional("route", |node| taken.read(name.as_deref().unwrap_or("?"), node));
    let mut settings = overlay(&defaults.settings, fields);
    settings.dir = settings.dir.map(|folder| absolute(base_dir, folder));
    settings.env_file.iter_mut().for_each(|file| *file = absolute(base_dir, &*file));
    settings.env.values_mut().for_each(|value| value.resolve(|file| absolute(base_dir, file)));
    let origins = defaults.origins.clone().with(fields, Origin::App);
    let routes = routes.unwrap_or_default();
    Some(AppConfig { id, name: name?, routes, path: absolute(base_dir, &path?), settings, origins })
}

/// Whether an app may have this name.
pub(crate) fn is_app_name(text: &str) -> bool {
    text.len() <= MAX_APP_NAME
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

/// Without touching the file system: the path may not exist yet, and `..` after a link is not what it looks like.
pub(super) fn absolute(base_dir: &Path, path: impl AsRef<Path>) -> PathBuf {
    let path = base_dir.join(path);
    // This fails only when the process has no current folder; then the relative path is all there is.
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use serde_json::{Value, json};

    fn parse(app: Value) -> Result<AppConfig, String> {
        let text = json!([app]).to_string();
        match Config::parse(&text, Path::new("/srv"), "apps.json") {
            Ok(mut config) => Ok(config.apps.remove(0)),
            Err(error) => {
                let found =
                    error.diagnostics().iter().map(|found| format!("{}: {}", found.field, found.message));
                Err(found.collect::<Vec<_>>().join("\n"))
            }
        }
    }

    #[test]
    fn names() {
        let longest = "a".repeat(64);
        for name in ["a", "0", "hello", "Hello-World_2.0", "a..", &longest] {
            assert_eq!(parse(json!({ "name": name, "path": "x" })).unwrap().name, name);
        }
        let too_long = "a".repeat(65);
        for name in ["", ".", "..", "-a", "_a", "a b", "a/b", "a\n", "é", "%41", &too_long] {
            let error = parse(json!({ "name": name, "path": "x" })).unwrap_err();
            assert!(
                error.starts_with(&format!("apps[0].name: expected {NAME_EXPECTED}, found \"")),
                "{error}"
            );
        }
        let number = parse(json!({ "name": 7, "path": "x" })).unwrap_err();
        assert!(number.ends_with("in double quotes, found 7"), "{number}");
    }

    #[test]
    fn paths_are_made_absolute() {
        for (path, absolute) in [
            ("apps/hello", "/srv/apps/hello"),
            ("./apps/hello/", "/srv/apps/hello/"),
            ("../hello", "/srv/../hello"),
            ("/opt/hello.so", "/opt/hello.so"),
        ] {
            assert_eq!(parse(json!({ "name": "a", "path": path })).unwrap().path, Path::new(absolute));
        }
        let relative =
            Config::parse(r#"[{ "name": "a", "path": "b" }]"#, Path::new(""), "apps.json").unwrap();
        assert_eq!(relative.apps[0].path, std::env::current_dir().unwrap().join("b"));
        for path in [json!(""), json!("a\0b"), json!(null), json!([])] {
            let error = parse(json!({ "name": "a", "path": path })).unwrap_err();
            assert!(error.starts_with(&format!("apps[0].path: expected {PATH_EXPECTED}, found ")), "{error}");
        }
    }

    #[test]
    fn files_of_the_environment_are_made_absolute() {
        let app = json!({ "name": "a", "path": "a", "env_file": ["a.env", "/b.env"], "env": { "A": { "file": "s/a" } } });
        let settings = parse(app).unwrap().settings;
        assert_eq!(settings.env_file, [Path::new("/srv/a.env"), Path::new("/b.env")]);
        assert_eq!(serde_json::to_value(&settings.env["A"]).unwrap(), json!({ "file": "/srv/s/a" }));
        let defaults = r#"{ "defaults": { "env_file": "a.env" }, "apps": [{ "name": "a", "path": "a" }] }"#;
        let config = Config::parse(defaults, Path::new("/srv"), "apps.json").unwrap();
        assert_eq!(config.apps[0].settings.env_file, [Path::new("/srv/a.env")]);
    }

    #[test]
    fn what_is_of_the_host_alone_starts_no_generation() {
        let app = |more: Value| {
            let mut app = json!({ "name": "a", "path": "a" });
            app.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            parse(app).unwrap()
        };
        let plain = app(json!({}));
        for same in [
            json!({}),
            json!({ "route": { "path_prefix": "/a" }, "headers": { "a": "b" }, "cors": { "origins": "*" }, "sticky": "cookie:a", "rollout": {}, "on": { "a": "b" } }),
            json!({ "build": { "features": ["x"], "locked": true } }),
        ] {
            assert!(plain.runs_like(&app(same.clone())), "{same}");
        }
        for other in [
            json!({ "workers": 2 }),
            json!({ "path": "b" }),
            json!({ "build": { "profile": "dist" } }),
            json!({ "instances": 1 }),
            json!({ "headers": { "a": "b" }, "build": { "target": "a-b-c" } }),
        ] {
            assert!(!plain.runs_like(&app(other.clone())), "{other}");
        }
    }

    #[test]
    fn ids() {
        assert_eq!(parse(json!({ "id": "0", "name": "a", "path": "x" })).unwrap().id.as_deref(), Some("0"));
        assert_eq!(parse(json!({ "name": "a", "path": "x" })).unwrap().id, None);
        for (id, found) in [
            (json!(0), " in double quotes, found 0"),
            (json!(""), ", found \"\""),
            (json!(null), ", found null"),
        ] {
            let error = parse(json!({ "id": id, "name": "a", "path": "x" })).unwrap_err();
            assert_eq!(error, format!("apps[0].id: expected a non-empty string{found}"));
        }
    }

    #[test]
    fn all_that_is_wrong_with_an_app_is_said_at_once() {
        let error = parse(json!({ "name": "a b", "wokers": 1, "queue": "q", "env": { "A": 1, "B": 2 } }))
            .unwrap_err();
        assert_eq!(error.lines().count(), 6, "{error}");
    }
}
