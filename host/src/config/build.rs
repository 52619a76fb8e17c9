//! The setting `build` of an app.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use super::node::Node;

/// The setting `build` of an app: how cargo builds its crate.
///
/// ```
/// use atoll_host::config::BuildSettings;
///
/// let settings = BuildSettings { profile: Some("dist".into()), ..BuildSettings::default() };
/// assert!(settings.features.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default, deny_unknown_fields)]
pub struct BuildSettings {
    /// The profile of cargo to build with, and in whose folder a host looks for the library. `null` means `dev` for
    /// `atoll dev` and `release` for `atoll build` and `atoll dev --release`; a host then takes the newest library of all
    /// profiles. Default null.
    #[schemars(schema_with = "profile_schema")]
    pub profile: Option<String>,

    /// The target triple to build for, and in whose folder a host looks for the library. `null` means the one that cargo is
    /// configured for. Default null.
    #[schemars(schema_with = "target_schema")]
    pub target: Option<String>,

    /// The features of the crate to build with, besides its default ones. Default [].
    #[schemars(schema_with = "features_schema")]
    pub features: Vec<String>,

    /// Whether to build without the crate's default features. Default false.
    pub no_default_features: bool,

    /// Whether `Cargo.lock` has to be there and up to date, for all apps of the workspace. Default false.
    pub locked: bool,

    /// More arguments for `cargo build`, such as `["--config", "net.offline=true"]`. Default [].
    #[schemars(schema_with = "arguments_schema")]
    pub cargo_args: Vec<String>,
}

const EXPECTED: &str = r#"an object such as { "features": ["metrics"] }"#;
const PROFILE: &str = "^(?!debug$)[A-Za-z0-9_-]+$";
const PROFILE_EXPECTED: &str =
    r#"the name of a profile, such as "release" (or null for that of the command)"#;
const TARGET: &str = "^[A-Za-z0-9_][A-Za-z0-9_.-]*$";
const TARGET_EXPECTED: &str =
    r#"a target triple such as "x86_64-unknown-linux-gnu" (or null for that of cargo)"#;
const FEATURE: &str = r"^[A-Za-z0-9_+.-]+$";
const FEATURE_EXPECTED: &str = "the name of a feature of the crate";
const ARGUMENT_EXPECTED: &str = "an argument of `cargo build`";

/// The arguments of cargo that there are settings for, and those settings.
const OF_SETTINGS: [(&str, &str); 9] = [
    ("--profile", "profile"),
    ("--release", "profile"),
    ("-r", "profile"),
    ("--target", "target"),
    ("--features", "features"),
    ("-F", "features"),
    ("--all-features", "features"),
    ("--no-default-features", "no_default_features"),
    ("--locked", "locked"),
];

/// The arguments of cargo that are passed to it in any case, or whose effect would hide the library.
const OF_ATOLL: [&str; 7] =
    ["--package", "-p", "--lib", "--message-format", "--manifest-path", "--target-dir", "--"];

/// Reads the setting over `base`, whose fields hold for what is not there.
pub(super) fn read(node: &Node<'_>, base: &BuildSettings) -> Option<BuildSettings> {
    let mut fields = node.object(EXPECTED)?;
    let settings = BuildSettings {
        profile: fields.optional("profile", profile).unwrap_or_else(|| base.profile.clone()),
        target: fields.optional("target", target).unwrap_or_else(|| base.target.clone()),
        features: fields.optional("features", features).unwrap_or_else(|| base.features.clone()),
        no_default_features: fields
            .optional("no_default_features", Node::boolean)
            .unwrap_or(base.no_default_features),
        locked: fields.optional("locked", Node::boolean).unwrap_or(base.locked),
        cargo_args: fields.optional("cargo_args", arguments).unwrap_or_else(|| base.cargo_args.clone()),
    };
    fields.finish();
    Some(settings)
}

fn profile(node: &Node<'_>) -> Option<Option<String>> {
    if node.is_null() {
        return Some(None);
    }
    if node.as_text() == Some("debug") {
        return node.expected(r#""dev", the profile whose libraries are in the folder `debug`"#);
    }
    node.text(PROFILE_EXPECTED, |name| is_word(name, b"_-")).map(Some)
}

fn target(node: &Node<'_>) -> Option<Option<String>> {
    if node.is_null() {
        return Some(None);
    }
    let is_target = |name: &str| is_word(name, b"_.-") && !name.starts_with(['.', '-']);
    node.text(TARGET_EXPECTED, is_target).map(Some)
}

fn features(node: &Node<'_>) -> Option<Vec<String>> {
    let list = node.list(r#"a list of features such as ["metrics"]"#)?;
    let feature = |node: &Node<'_>| node.text(FEATURE_EXPECTED, |name| is_word(name, b"_+.-"));
    Some(list.iter().filter_map(feature).collect())
}

fn arguments(node: &Node<'_>) -> Option<Vec<String>> {
    let list = node.list(r#"a list of arguments such as ["--config", "net.offline=true"]"#)?;
    Some(list.iter().filter_map(argument).collect())
}

fn argument(node: &Node<'_>) -> Option<String> {
    let text = node.text(ARGUMENT_EXPECTED, |text| !text.is_empty() && !text.contains('\0'))?;
    if let Some((name, setting)) = OF_SETTINGS.iter().find(|(name, _)| is_argument(&text, name)) {
        return node.expected(format_args!("{ARGUMENT_EXPECTED} other than {name}: set `{setting}`"));
    }
    if let Some(name) = OF_ATOLL.iter().find(|name| is_argument(&text, name)) {
        return node.expected(format_args!("{ARGUMENT_EXPECTED} other than {name}, which Atoll decides on"));
    }
    Some(text)
}

/// Whether a text is this argument, alone or with its value: `--name=value`, `-nvalue`.
fn is_argument(text: &str, name: &str) -> bool {
    let Some(rest) = text.strip_prefix(name) else { return false };
    rest.is_empty() || rest.starts_with('=') || (name.len() == 2 && name != "--")
}

fn is_word(text: &str, others: &[u8]) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

/// The schema of the setting.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = BuildSettings::json_schema(generator);
    schema.remove("description");
    schema
}

fn profile_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "pattern": PROFILE })
}

fn target_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"], "pattern": TARGET })
}

fn features_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": "string", "pattern": FEATURE } })
}

fn arguments_schema(_: &mut SchemaGenerator) -> Schema {
    let names = OF_SETTINGS.iter().map(|(name, _)| name).chain(&OF_ATOLL);
    let (short, long): (Vec<&str>, Vec<&str>) =
        names.copied().partition(|name| name.len() == 2 && *name != "--");
    let pattern = format!(r"^(?!({})|({})(=|$))[^\u0000]+$", short.join("|"), long.join("|"));
    json_schema!({ "type": "array", "items": { "type": "string", "pattern": pattern } })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;
    use crate::config::Config;

    /// The setting of an app with `own` over `defaults`.
    fn merged(defaults: &Value, own: &Value) -> Result<Value, String> {
        let app = json!({ "name": "a", "path": "a", "build": own });
        let text = json!({ "defaults": { "build": defaults }, "apps": [app] }).to_string();
        match Config::parse(&text, Path::new("/srv"), "apps.json") {
            Ok(config) => Ok(json!(config.apps[0].settings.build)),
            Err(error) => {
                let found =
                    error.diagnostics().iter().map(|found| format!("{}: {}", found.field, found.message));
                Err(found.collect::<Vec<_>>().join("\n"))
            }
        }
    }

    #[test]
    fn the_fields_of_an_app_override_those_in_defaults() {
        let defaults = json!({ "profile": "dist", "locked": true, "cargo_args": ["-v"], "target": "a-b" });
        let own = json!({ "profile": null, "features": ["x", "y-1.z+"], "no_default_features": true, "cargo_args": [] });
        let expected = json!({
            "profile": null, "target": "a-b", "features": ["x", "y-1.z+"], "no_default_features": true, "locked": true,
            "cargo_args": [],
        });
        assert_eq!(merged(&defaults, &own), Ok(expected.clone()));
        // What `atoll config show` prints is what can be written.
        assert_eq!(merged(&json!({}), &expected), Ok(expected));
    }

    #[test]
    fn wrong_values() {
        for (build, message) in [
            (json!("release"), format!(r#": expected {EXPECTED}, found "release""#)),
            (
                json!({ "profile": "debug" }),
                r#".profile: expected "dev", the profile whose libraries are in the folder `debug`, found "debug""#.into(),
            ),
            (json!({ "profile": "../x" }), format!(r#".profile: expected {PROFILE_EXPECTED}, found "../x""#)),
            (json!({ "target": "a/b.json" }), format!(r#".target: expected {TARGET_EXPECTED}, found "a/b.json""#)),
            (json!({ "features": ["a,b"] }), format!(r#".features[0]: expected {FEATURE_EXPECTED}, found "a,b""#)),
            (
                json!({ "cargo_args": ["--offline", "--features=x"] }),
                format!(".cargo_args[1]: expected {ARGUMENT_EXPECTED} other than --features: set `features`, found \"--features=x\""),
            ),
            (
                json!({ "cargo_args": ["-Fx"] }),
                format!(".cargo_args[0]: expected {ARGUMENT_EXPECTED} other than -F: set `features`, found \"-Fx\""),
            ),
            (
                json!({ "cargo_args": ["--target-dir"] }),
                format!(
                    ".cargo_args[0]: expected {ARGUMENT_EXPECTED} other than --target-dir, which Atoll decides on, found \
                     \"--target-dir\""
                ),
            ),
            (json!({ "feature": [] }), ".feature: unknown field `feature`, did you mean `features`?".into()),
        ] {
            assert_eq!(merged(&json!({}), &build), Err(format!("apps[0].build{message}")), "{build}");
        }
    }

    #[test]
    fn the_schema_agrees() {
        let schema = crate::config::schema();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let names = ["a", "debug", "a_b-1", "a.b", "a+b", "a b", "a/b", "", "-a", ".a", "é"];
        let names: Vec<Value> = names.into_iter().map(Value::from).chain([json!(null), json!(1)]).collect();
        let arguments = [
            "-v",
            "--offline",
            "--target",
            "--target=x",
            "--targets",
            "--target-dir",
            "--release",
            "--releases",
            "-r",
            "-rv",
            "-Fx",
            "-p",
            "--package=a",
            "--lib",
            "--libs",
            "--",
            "--x",
            "-",
            "x",
            "",
            "\0",
        ];
        let lists = |values: &[Value]| values.iter().map(|value| json!([value])).collect::<Vec<_>>();
        let samples = [
            ("profile", names.clone()),
            ("target", names.clone()),
            ("features", lists(&names)),
            ("no_default_features", vec![json!(true), json!(0)]),
            ("locked", vec![json!(false), json!(null)]),
            ("cargo_args", lists(&arguments.map(Value::from))),
        ];
        let properties = &schema["$defs"]["Settings"]["properties"]["build"]["properties"];
        assert_eq!(properties.as_object().unwrap().len(), samples.len());
        for (field, values) in samples {
            let description = properties[field]["description"].as_str().unwrap();
            let default = &properties[field]["default"];
            assert!(description.ends_with(&format!("Default {default}.")), "{field}: {description}");
            for value in values {
                let build = json!({ field: value });
                let document = json!([{ "name": "a", "path": "a", "build": build }]);
                assert_eq!(validator.is_valid(&document), merged(&json!({}), &build).is_ok(), "{document}");
            }
        }
    }
}
