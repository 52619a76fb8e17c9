//! Reading the setting `cors`.

use std::ops::RangeInclusive;

use http::HeaderName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::settings::{
    ANY, Allowed, CorsSettings, Rules, default_headers, default_max_age, default_methods, none,
};
use super::web_origin::{WEB_ORIGIN, is_web_origin, meant};
use crate::config::node::Node;

/// Browsers remember nothing for longer than a day.
pub(super) const MAX_AGE: RangeInclusive<u64> = 0..=86_400;

pub(super) const EXPECTED: &str = r#"an object such as { "origins": ["https://app.example.com"] } (or null, for an app that handles CORS itself)"#;
const ORIGINS: Expected = Expected {
    list: r#"a list of origins such as ["https://app.example.com"]"#,
    entry: r#"a scheme, a host and, unless it is the scheme's own, a port, such as "https://app.example.com""#,
};
const METHODS: Expected = Expected {
    list: r#"a list of methods such as ["GET", "POST"]"#,
    entry: r#"a method in capital letters such as "GET""#,
};
const NAMES: Expected = Expected {
    list: r#"a list of header names such as ["content-type"]"#,
    entry: r#"the name of a header such as "content-type""#,
};
const METHOD: &str = "^[A-Z]+(-[A-Z]+)*$";
const NAME: &str = r"^(?!\*$)[!#$%&'*+.^_`|~0-9A-Za-z-]+$";

/// What is expected of a list and of each entry.
struct Expected {
    list: &'static str,
    entry: &'static str,
}

/// Reads the setting, if it is not `null`.
pub(in crate::config) fn read(node: &Node<'_>) -> Option<CorsSettings> {
    let mut fields = node.object(EXPECTED)?;
    let credentials = fields.optional("credentials", Node::boolean).unwrap_or(false);
    let read_origins = |node: &Node<'_>| {
        if node.is_empty_list() {
            return node.expected(format_args!("{} with at least one", ORIGINS.list));
        }
        allowed(node, credentials, &ORIGINS, origin)
    };
    let methods = |node: &Node<'_>| allowed(node, credentials, &METHODS, method);
    let names = |node: &Node<'_>| allowed(node, credentials, &NAMES, name);
    let rules = (
        fields.required("origins", ORIGINS.list, read_origins),
        fields.optional("methods", methods).unwrap_or_else(default_methods),
        fields.optional("headers", names).unwrap_or_else(default_headers),
        fields.optional("expose_headers", names).unwrap_or_else(none),
        fields
            .optional("max_age_seconds", |node| node.whole(&MAX_AGE, " of seconds", ""))
            .unwrap_or_else(default_max_age),
    );
    fields.finish();
    let (origins, methods, headers, expose_headers, max_age_seconds) = rules;
    let origins = origins?;
    CorsSettings::new(Rules { origins, credentials, methods, headers, expose_headers, max_age_seconds })
}

/// `"*"` or a list of what `entry` reads.
fn allowed(
    node: &Node<'_>,
    credentials: bool,
    expected: &Expected,
    entry: impl Fn(&Node<'_>, &Expected) -> Option<String>,
) -> Option<Allowed> {
    match node.as_text() {
        Some(ANY) if credentials => {
            let list = expected.list;
            return node.expected(format_args!("{list} (with `credentials`, browsers do not accept \"*\")"));
        }
        Some(ANY) => return Some(Allowed::Any),
        _ => {}
    }
    let or_any = if credentials { "" } else { ", or \"*\" for all" };
    let list = node.list(&format!("{}{or_any}", expected.list))?;
    Some(Allowed::Listed(list.iter().filter_map(|node| entry(node, expected)).collect()))
}

fn origin(node: &Node<'_>, expected: &Expected) -> Option<String> {
    let meant = node.as_text().filter(|text| !is_web_origin(text)).and_then(meant);
    let hint = meant.map(|meant| format!(" (did you mean \"{meant}\"?)")).unwrap_or_default();
    let origin = node.text(&format!("{}{hint}", expected.entry), is_web_origin)?;
    Some(origin.to_ascii_lowercase())
}

fn method(node: &Node<'_>, expected: &Expected) -> Option<String> {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase());
    node.text(expected.entry, |method| method.split('-').all(is_word))
}

fn name(node: &Node<'_>, expected: &Expected) -> Option<String> {
    let is_name = |name: &str| name != ANY && HeaderName::from_bytes(name.as_bytes()).is_ok();
    node.text(expected.entry, is_name).map(|name| name.to_ascii_lowercase())
}

/// The schema of the setting.
pub(in crate::config) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = Rules::json_schema(generator);
    schema.remove("description");
    schema.insert("type".into(), json!(["object", "null"]));
    let list = json!({ "type": "array" });
    schema.insert(
        "if".into(),
        json!({ "properties": { "credentials": { "const": true } }, "required": ["credentials"] }),
    );
    schema.insert(
        "then".into(),
        json!({ "properties": { "origins": list, "methods": list, "headers": list, "expose_headers": list } }),
    );
    schema
}

pub(super) fn origins_schema(_: &mut SchemaGenerator) -> Schema {
    let mut schema = allowed_schema(WEB_ORIGIN);
    schema.insert("minItems".into(), json!(1));
    schema
}

pub(super) fn methods_schema(_: &mut SchemaGenerator) -> Schema {
    allowed_schema(METHOD)
}

pub(super) fn names_schema(_: &mut SchemaGenerator) -> Schema {
    allowed_schema(NAME)
}

fn allowed_schema(entry: &str) -> Schema {
    json_schema!({
        "type": ["array", "string"],
        "items": { "type": "string", "pattern": entry },
        "pattern": r"^\*$",
    })
}
