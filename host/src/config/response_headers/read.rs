//! Reading the setting `headers`.

use actix_web::http::header::{HeaderName, HeaderValue};
use schemars::{Schema, SchemaGenerator, json_schema};

use super::rules::{DEFAULT, HeaderRule, ResponseHeaders};
use crate::config::node::Node;

const EXPECTED: &str = r#"an object of headers such as { "X-Frame-Options": "DENY" }"#;
const NAME_EXPECTED: &str =
    "expected the name of a header, with `?` before it for a value that is only a default";
const VALUE_EXPECTED: &str = "the header's value, visible ASCII without spaces around it";

/// The headers that the host sets from what it sends, or that belong to a connection (RFC 9110, section 7.6.1): a rule for
/// them would damage the response.
const OF_THE_HOST: [&str; 9] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Reads the setting.
pub(in crate::config) fn read(node: &Node<'_>) -> Option<ResponseHeaders> {
    let mut headers = ResponseHeaders::default();
    for (key, span, value) in node.object(EXPECTED)?.each() {
        let (is_default, text) = key.strip_prefix(DEFAULT).map_or((false, key), |name| (true, name));
        let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
            value.report_key(span, NAME_EXPECTED);
            continue;
        };
        if OF_THE_HOST.contains(&name.as_str()) {
            let message = format!("`{name}` cannot be set or removed: the host sets it for each response");
            value.report_key(span, &message);
            continue;
        }
        if headers.has(&name) {
            value.report_key(span, &format!("`{name}` is already there: names are case-insensitive"));
            continue;
        }
        if let Some(rule) = rule(&value, is_default) {
            headers.add(name, rule);
        }
    }
    Some(headers)
}

fn rule(node: &Node<'_>, is_default: bool) -> Option<HeaderRule> {
    if node.is_null() && !is_default {
        return Some(HeaderRule::Remove);
    }
    let or = if is_default { "" } else { " (or null to remove the header)" };
    let text = node.text(&format!("{VALUE_EXPECTED}{or}"), is_value)?;
    let value = HeaderValue::from_str(&text).ok()?;
    Some(if is_default { HeaderRule::Default(value) } else { HeaderRule::Set(value) })
}

/// Whether this is the value of a header (RFC 9110, section 5.5) that all clients read alike.
fn is_value(text: &str) -> bool {
    let is_visible = |byte: u8| byte.is_ascii_graphic();
    text.bytes().all(|byte| is_visible(byte) || matches!(byte, b' ' | b'\t'))
        && text.bytes().next().is_some_and(is_visible)
        && text.bytes().next_back().is_some_and(is_visible)
}

/// The schema of the setting.
pub(in crate::config) fn schema(_: &mut SchemaGenerator) -> Schema {
    let name = format!("(?!({})$)[!#$%&'*+.^_`|~0-9A-Za-z-]+$", OF_THE_HOST.map(any_case).join("|"));
    let value = r"^[!-~]([\t -~]*[!-~])?$";
    json_schema!({
        "type": "object",
        "patternProperties": {
            (format!("^{name}")): { "type": ["string", "null"], "pattern": value },
            (format!(r"^\?{name}")): { "type": "string", "pattern": value },
        },
        "additionalProperties": false,
    })
}

/// A pattern for a word in capital and small letters.
fn any_case(word: &str) -> String {
    word.chars()
        .map(|c| match c {
            '-' => c.to_string(),
            _ => format!("[{}{c}]", c.to_ascii_uppercase()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use crate::config::Config;

    /// The setting as it is printed, of an app with `own` over `defaults`.
    fn merged(defaults: &Value, own: &Value) -> Result<String, String> {
        let app = json!({ "name": "a", "path": "a", "headers": own });
        let text = json!({ "defaults": { "headers": defaults }, "apps": [app] }).to_string();
        match Config::parse(&text, Path::new("/srv"), "apps.json") {
            Ok(config) => Ok(serde_json::to_string(&config.apps[0].settings.headers).unwrap()),
            Err(error) => {
                let found =
                    error.diagnostics().iter().map(|found| format!("{}: {}", found.field, found.message));
                Err(found.collect::<Vec<_>>().join("\n"))
            }
        }
    }

    #[test]
    fn an_app_wins_by_name_whatever_the_kind_of_rule() {
        let defaults = json!({ "A": "1", "b": null, "?c": "1", "d": "1" });
        let own = json!({ "?a": "2", "B": "2", "c": null });
        assert_eq!(merged(&defaults, &own), Ok(r#"{"d":"1","?a":"2","b":"2","c":null}"#.into()));
        assert_eq!(merged(&defaults, &json!({})), Ok(r#"{"?c":"1","a":"1","b":null,"d":"1"}"#.into()));
    }

    #[test]
    fn what_would_damage_a_response_is_refused() {
        for (name, lower) in [
            ("Content-Length", "content-length"),
            ("Transfer-Encoding", "transfer-encoding"),
            ("?connection", "connection"),
            ("Date", "date"),
        ] {
            for value in [json!("1"), json!(null)] {
                let field = if name.starts_with('?') { format!("[\"{name}\"]") } else { format!(".{name}") };
                assert_eq!(
                    merged(&json!({}), &json!({ name: value })),
                    Err(format!(
                        "apps[0].headers{field}: `{lower}` cannot be set or removed: the host sets it for each response"
                    ))
                );
            }
        }
    }

    #[test]
    fn wrong_values() {
        let value = "expected the header's value, visible ASCII without spaces around it";
        for (headers, message) in [
            (json!([]), r#": expected an object of headers such as { "X-Frame-Options": "DENY" }, found an empty list"#.into()),
            (
                json!({ "a b": "1" }),
                "[\"a b\"]: expected the name of a header, with `?` before it for a value that is only a default".into(),
            ),
            (json!({ "a": "1", "A": "2" }), ".a: `a` is already there: names are case-insensitive".into()),
            (json!({ "a": "1", "?a": "2" }), ".a: `a` is already there: names are case-insensitive".into()),
            (json!({ "a": "" }), format!(".a: {value} (or null to remove the header), found \"\"")),
            (json!({ "a": "b\r\nc: d" }), format!(r#".a: {value} (or null to remove the header), found "b\r\nc: d""#)),
            (json!({ "a": 1 }), format!(".a: {value} (or null to remove the header) in double quotes, found 1")),
            (json!({ "?a": null }), format!("[\"?a\"]: {value}, found null")),
        ] {
            assert_eq!(merged(&json!({}), &headers), Err(format!("apps[0].headers{message}")), "{headers}");
        }
    }

    #[test]
    fn the_schema_agrees() {
        let validator = jsonschema::validator_for(&crate::config::schema()).unwrap();
        let names = [
            "a",
            "?a",
            "??a",
            "X-a~",
            "a b",
            "",
            "?",
            "Date",
            "tE",
            "?Upgrade",
            "Content-Length",
            "content-lengths",
        ];
        let values = [
            json!("1"),
            json!("a \t b"),
            json!(" a"),
            json!("a "),
            json!(""),
            json!("é"),
            json!(1),
            json!(null),
        ];
        for (name, value) in names.iter().flat_map(|name| values.iter().map(move |value| (name, value))) {
            let headers = json!({ *name: value });
            let document = json!([{ "name": "a", "path": "a", "headers": headers }]);
            assert_eq!(validator.is_valid(&document), merged(&json!({}), &headers).is_ok(), "{document}");
        }
    }
}
