//! The JSON schema of `apps.json`, for editors: made from the types, kept in `docs/apps.schema.json`.

use super::{app::AppConfig, fleet, quota::Quota, settings::Settings, tenant};
use schemars::{Schema, generate::SchemaSettings, json_schema, transform::RecursiveTransform};
use serde_json::Value;

/// The JSON schema (draft 2020-12) of `apps.json`.
///
/// It says everything that the host checks, apart from what a schema cannot say: that names, ids and routes differ.
///
/// ```
/// let schema = atoll_host::config::schema();
/// assert_eq!(schema["$defs"]["Settings"]["properties"]["workers"]["maximum"], 1024);
/// ```
pub fn schema() -> Value {
    let mut generator =
        SchemaSettings::draft2020_12().with_transform(RecursiveTransform(tidy)).into_generator();
    let app = generator.subschema_for::<AppConfig>();
    let settings = generator.subschema_for::<Settings>();
    let quota = generator.subschema_for::<Quota>();
    let tenant = tenant::schema(&mut generator);
    // One schema for both forms rather than `anyOf`: keywords apply only to their own type, and editors then point
    // at the field that is wrong instead of saying that neither form fits.
    let mut schema = json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "apps.json",
        "description": "The apps that an Atoll host runs: a list of apps, or an object with `apps` and default \
            settings in `defaults`.",
        "type": ["array", "object"],
        "items": app,
        "properties": {
            "$schema": { "description": "The path or URL of this schema, for editors.", "type": "string" },
            "defaults": { "description": "Default settings for all apps; the settings of an app override \
                them.", "$ref": settings.get("$ref") },
            "apps": { "description": "The apps. Names, ids and routes must be unique.", "type": "array", "items": app },
            "tenants": { "description": "Those who share the host, and what the operator decides for their apps.", "type": "array", "items": tenant },
            "fleet": fleet::schema(),
            "quotas": { "description": "What the apps may use in an hour, a day or a month.", "type": "array", "items": quota },
        },
        "required": ["apps"],
        "additionalProperties": false,
        "examples": [
            [{ "id": "0", "name": "hello", "path": "apps/hello" }],
            { "defaults": { "workers": 2 }, "apps": [{ "name": "hello", "path": "apps/hello", "body_limit": "64MiB" }] },
            [{ "name": "hello", "path": "apps/hello", "route": { "host": "hello.example.com", "path_prefix": "/v1" } }],
        ],
    });
    schema.insert("$defs".into(), Value::Object(generator.take_definitions(true)));
    schema.to_value()
}

/// Takes out what is Rust's and means nothing to an editor: integer formats (the ranges say more), and the line
/// breaks of doc comments.
fn tidy(schema: &mut Schema) {
    schema.remove("format");
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}

/// [`schema`] as the text of `docs/apps.schema.json`, with a line break at the end.
///
/// ```
/// assert!(atoll_host::config::schema_json().ends_with("}\n"));
/// ```
pub fn schema_json() -> String {
    // The alternate form is indented; a JSON value cannot fail to print.
    format!("{:#}\n", schema())
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;
    use std::path::Path;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/registry.md");
    const BEGIN: &str =
        "<!-- generated: by `UPDATE_BOOK=1 cargo test --workspace --lib config::schema` -->\n";
    const END: &str = "<!-- generated: end -->\n";
    const UPDATE: &str = "`UPDATE_BOOK=1 cargo test --workspace --lib config::schema`";

    fn is_update() -> bool {
        std::env::var_os("UPDATE_BOOK").is_some()
    }

    #[test]
    fn the_file_is_up_to_date() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/apps.schema.json");
        if is_update() {
            return std::fs::write(file, schema_json()).unwrap();
        }
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let written = serde_json::from_str::<Value>(&text).unwrap_or_default();
        assert!(written == schema(), "docs/apps.schema.json differs from the types: run {UPDATE}");
    }

    /// The book's table of settings, in the order of the type.
    fn settings_table() -> String {
        let (schema, order) = (schema(), serde_json::to_string(&Settings::default()).unwrap());
        let settings = schema["$defs"]["Settings"]["properties"].as_object().unwrap();
        let mut settings: Vec<_> = settings.iter().collect();
        settings.sort_by_key(|(name, _)| order.find(&format!("\"{name}\":")));
        let rows = settings.into_iter().map(|(name, setting)| {
            let default = &setting["default"];
            let description = setting["description"].as_str().unwrap();
            let meaning = description.strip_suffix(&format!(" Default {default}.")).unwrap();
            format!("| `{name}` | {default} | {meaning} |\n")
        });
        format!("\n| setting | default | meaning |\n|---|---|---|\n{}\n", rows.collect::<String>())
    }

    #[test]
    fn the_book_has_all_settings_as_they_are_described() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let (head, rest) = page.split_once(BEGIN).unwrap();
        let (written, tail) = rest.split_once(END).unwrap();
        let table = settings_table();
        if is_update() {
            return std::fs::write(PAGE, format!("{head}{BEGIN}{table}{END}{tail}")).unwrap();
        }
        assert!(written == table, "docs/src/registry.md differs from the settings: run {UPDATE}");
    }

    /// All fields that a document may have.
    fn fields(schema: &Value, found: &mut BTreeSet<String>) {
        if let Some(properties) = schema["properties"].as_object() {
            found.extend(properties.keys().cloned());
        }
        let inner = schema.as_object().map(|map| map.values().collect::<Vec<_>>());
        for inner in inner.or_else(|| Some(schema.as_array()?.iter().collect())).unwrap_or_default() {
            fields(inner, found);
        }
    }

    #[test]
    fn the_book_has_all_fields() {
        // Another test may be writing the table.
        if is_update() {
            return;
        }
        let page = std::fs::read_to_string(PAGE).unwrap();
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let rows: BTreeSet<_> = rows.map(|(name, _)| name.to_owned()).collect();
        let mut known = BTreeSet::new();
        fields(&schema(), &mut known);
        assert_eq!(rows, known);
    }

    /// Holds the parser and the schema to the same verdict.
    struct Judges(jsonschema::Validator);

    impl Judges {
        fn new() -> Self {
            Judges(jsonschema::validator_for(&schema()).unwrap())
        }

        /// Whether both accept the document.
        fn accept(&self, document: &Value) -> bool {
            let parsed = Config::parse(&document.to_string(), Path::new("/srv"), "apps.json");
            let by_schema: Vec<_> = self.0.iter_errors(document).map(|error| error.to_string()).collect();
            assert_eq!(
                parsed.is_ok(),
                by_schema.is_empty(),
                "{document}\nparser: {}\nschema: {by_schema:?}",
                parsed.err().map(|error| error.to_string()).unwrap_or_default()
            );
            by_schema.is_empty()
        }
    }

    #[test]
    fn good_documents() {
        let judges = Judges::new();
        for example in schema()["examples"].as_array().unwrap() {
            assert!(judges.accept(example));
        }
        for document in
            [json!([]), json!({ "apps": [] }), json!({ "$schema": "x", "defaults": {}, "apps": [] })]
        {
            assert!(judges.accept(&document));
        }
        let all = serde_json::to_value(Settings::default()).unwrap();
        assert!(judges.accept(&json!({ "defaults": all, "apps": [] })));
    }

    #[test]
    fn bad_documents() {
        let judges = Judges::new();
        let app = json!({ "name": "a", "path": "a" });
        for document in [
            json!(null),
            json!("apps"),
            json!({}),
            json!([[]]),
            json!(["a"]),
            json!([{}]),
            json!([{ "name": "a" }]),
            json!([{ "path": "a" }]),
            json!([{ "name": "a", "path": "a", "wokers": 1 }]),
            json!([{ "name": "a", "path": "a", "defaults": {} }]),
            json!({ "apps": app }),
            json!({ "apps": {} }),
            json!({ "apps": [app], "workers": 1 }),
            json!({ "apps": [app], "defaults": app }),
            json!({ "apps": [app], "defaults": [] }),
            json!({ "apps": [app], "$schema": null }),
            app,
        ] {
            assert!(!judges.accept(&document), "{document}");
        }
    }

    #[test]
    fn quotas() {
        let judges = Judges::new();
        let accepted = |quota: Value| judges.accept(&json!({ "apps": [], "quotas": [quota] }));
        for quota in [
            json!({ "apps": ["a", "b-*", "*"], "cpu_seconds": 1, "memory_gib_hours": 2, "requests": 3, "storage": "1GiB" }),
            json!({ "apps": ["a"], "requests": 1, "period": "hour", "action": "throttle", "throttle_rate": 1_000_000 }),
            json!({ "apps": ["a"], "storage": null, "period": "month", "action": "warn" }),
        ] {
            assert!(accepted(quota.clone()), "{quota}");
        }
        for quota in [
            json!([]),
            json!({}),
            json!({ "apps": ["a"] }),
            json!({ "requests": 1 }),
            json!({ "apps": [], "requests": 1 }),
            json!({ "apps": "a", "requests": 1 }),
            json!({ "apps": ["*a"], "requests": 1 }),
            json!({ "apps": [""], "requests": 1 }),
            json!({ "apps": ["a"], "requests": 0 }),
            json!({ "apps": ["a"], "cpu_seconds": 1.5 }),
            json!({ "apps": ["a"], "storage": "1G" }),
            json!({ "apps": ["a"], "requests": 1, "period": "year" }),
            json!({ "apps": ["a"], "requests": 1, "action": null }),
            json!({ "apps": ["a"], "requests": 1, "throttle_rate": 0 }),
            json!({ "apps": ["a"], "requests": 1, "limit": 1 }),
        ] {
            assert!(!accepted(quota.clone()), "{quota}");
        }
    }

    /// Every field there is, with every kind of value and at its limits.
    #[test]
    fn every_field() {
        let judges = Judges::new();
        let schema = schema();
        let long = |length| "a".repeat(length);
        let samples = [
            json!(null),
            json!(true),
            json!(0),
            json!(1),
            json!(2.0),
            json!(-1),
            json!(1.5),
            json!(1e300),
            json!(""),
            json!("a"),
            json!("a b"),
            json!(".a"),
            json!("a."),
            json!("a\n"),
            json!("a\0"),
            json!("é"),
            json!(long(64)),
            json!(long(65)),
            json!("8"),
            json!("process"),
            json!("8MiB"),
            json!("restart"),
            json!("8 MiB"),
            json!("8MiB\n"),
            json!("8mib"),
            json!("1.5MiB"),
            json!([]),
            json!([1]),
            json!({}),
            json!([{}]),
            json!({ "host": "*.a" }),
            json!({ "host": "a." }),
            json!([{ "host": "A-1.b_c", "path_prefix": "/v1" }, { "path_prefix": "/" }]),
            json!([{ "path_prefix": "/%7e/..." }, { "path_prefix": "/a/" }]),
            json!({ "path_prefix": "/a/../b" }),
            json!({ "path_prefix": "/apps/a" }),
            json!({ "path_prefix": "/apps1" }),
            json!({ "path_prefix": "/%4" }),
            json!({ "path_prefix": "" }),
            json!({ "path_prefix": format!("/{}", long(1023)) }),
            json!({ "path_prefix": format!("/{}", long(1024)) }),
            json!({ "host": long(63) }),
            json!({ "host": long(64) }),
            json!({ "host": null }),
            json!({ "hots": "a" }),
            json!({ "A": "b" }),
            json!({ "A": "" }),
            json!({ "A": 1 }),
            json!({ "": "b" }),
            json!({ "A=": "b" }),
            json!({ "A\0": "b" }),
            json!({ "A": "\0" }),
            json!({ "A\n": "\n" }),
            json!({ "A": "${B} $$ $ ${C:-d$}${E:?f}$" }),
            json!({ "A": "$${" }),
            json!({ "A": "$$${B" }),
            json!({ "A": "${B-c}" }),
            json!({ "A": "${B:-$${C}" }),
            json!({ "A": "${B:-$}" }),
            json!({ "A": "${B:-\0}" }),
            json!({ "A": {} }),
            json!({ "A": { "file": "a" } }),
            json!({ "A": { "file": "" } }),
            json!({ "A": { "file": "a\0" } }),
            json!({ "A": { "file": null } }),
            json!({ "A": { "fiel": "a" } }),
            json!({ "A": { "file": "a", "env": "B" } }),
            json!({ "A": { "credential": "..a.b" } }),
            json!({ "A": { "credential": ".." } }),
            json!({ "A": { "credential": "." } }),
            json!({ "A": { "credential": ".a" } }),
            json!({ "A": { "credential": "a/b" } }),
            json!({ "A": { "env": "B" } }),
            json!({ "A": { "env": "B=" } }),
            json!({ "x-a": null, "?x-b": "c" }),
            json!({ "?x-b": null }),
            json!({ "Content-Length": "1" }),
            json!({ "origins": "*" }),
            json!({ "origins": "*", "credentials": true }),
            json!({ "origins": ["https://a.example"], "credentials": true }),
            json!({ "profile": "dist", "cargo_args": ["--offline"] }),
            json!({ "features": ["a b"] }),
            json!("side-by-side"),
            json!("stop-first"),
            json!("cookie:session"),
            json!({ "steps": [1, 10.25, 50], "max_p95_rise": 0.5, "checks": ["/health?x=1"] }),
            json!({ "steps": [] }),
            json!({ "checks": ["health"] }),
            json!("current-thread"),
            json!("multi-thread"),
            json!(["a.env", "/b.env"]),
            json!(["a.env", ""]),
        ];
        let fields = schema["$defs"]["App"]["properties"].as_object().unwrap();
        let settings = schema["$defs"]["Settings"]["properties"].as_object().unwrap();
        assert_eq!(fields.len(), settings.len() + 4);
        for (name, rules) in fields {
            let limits = ["minimum", "maximum"].map(|limit| rules[limit].as_i64());
            let around = limits.into_iter().flatten().flat_map(|limit| [limit - 1, limit, limit + 1]);
            let values = samples.iter().cloned().chain(around.map(Value::from));
            let (mut good, mut bad) = (0, 0);
            for value in values {
                let mut app = json!({ "name": "x", "path": "x" });
                app[name] = value.clone();
                let accepted = judges.accept(&json!([app]));
                *(if accepted { &mut good } else { &mut bad }) += 1;
                if settings.contains_key(name) {
                    let in_defaults = judges.accept(&json!({ "defaults": { name: value }, "apps": [] }));
                    assert_eq!(accepted, in_defaults, "{name}");
                }
            }
            assert!(good > 0 && (bad > 0 || name == "config"), "{name}: {good} good and {bad} bad samples");
        }
    }

    #[test]
    fn everything_is_described() {
        let schema = schema();
        for properties in ["", "/$defs/App", "/$defs/Settings", "/$defs/Route", "/$defs/Quota"] {
            let properties = schema.pointer(properties).unwrap();
            for (name, rules) in properties["properties"].as_object().unwrap() {
                assert!(rules["description"].is_string(), "{name}");
            }
        }
        assert!(!schema.to_string().contains("\"format\""));
    }
}
