//! What the setting `cors` may be.

use std::path::Path;

use serde_json::{Value, json};

use super::read::EXPECTED;
use crate::config::Config;

fn parse(cors: &Value) -> Result<Value, String> {
    let text = json!([{ "name": "a", "path": "a", "cors": cors }]).to_string();
    match Config::parse(&text, Path::new("/srv"), "apps.json") {
        Ok(config) => Ok(json!(config.apps[0].settings.cors)),
        Err(error) => {
            let found = error.diagnostics().iter().map(|found| format!("{}: {}", found.field, found.message));
            Err(found.collect::<Vec<_>>().join("\n"))
        }
    }
}

#[test]
fn only_the_origins_have_no_default() {
    let expected = json!({
        "origins": ["https://a.example"], "credentials": false,
        "methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        "headers": ["authorization", "content-type"], "expose_headers": [], "max_age_seconds": 600,
    });
    assert_eq!(parse(&json!({ "origins": ["HTTPS://A.example"] })), Ok(expected.clone()));
    // What `atoll config show` prints is what can be written.
    assert_eq!(parse(&expected), Ok(expected));
    assert_eq!(parse(&json!(null)), Ok(json!(null)));
}

#[test]
fn everything_can_be_allowed() {
    let any = json!({
        "origins": "*", "credentials": false, "methods": "*", "headers": "*", "expose_headers": "*",
        "max_age_seconds": 0,
    });
    assert_eq!(parse(&any), Ok(any));
}

#[test]
fn with_credentials_everything_is_listed() {
    for field in ["origins", "methods", "headers", "expose_headers"] {
        let mut cors = json!({ "origins": ["https://a.example"], "credentials": true });
        cors[field] = json!("*");
        let error = parse(&cors).unwrap_err();
        let start = format!("apps[0].cors.{field}: expected a list of ");
        assert!(error.starts_with(&start), "{error}");
        assert!(
            error.ends_with("(with `credentials`, browsers do not accept \"*\"), found \"*\""),
            "{error}"
        );
    }
}

#[test]
fn wrong_values() {
    const ORIGIN: &str = "expected a scheme, a host and, unless it is the scheme's own, a port, such as \
        \"https://app.example.com\"";
    for (cors, message) in [
        (json!("*"), format!(": expected {EXPECTED}, found \"*\"")),
        (
            json!({}),
            r#".origins: missing field `origins`, expected a list of origins such as ["https://app.example.com"]"#.into(),
        ),
        (
            json!({ "origins": [] }),
            r#".origins: expected a list of origins such as ["https://app.example.com"] with at least one, found an empty list"#.into(),
        ),
        (
            json!({ "origins": "https://a.example" }),
            r#".origins: expected a list of origins such as ["https://app.example.com"], or "*" for all, found "https://a.example""#.into(),
        ),
        (
            json!({ "origins": ["a.example"] }),
            format!(r#".origins[0]: {ORIGIN} (did you mean "https://a.example"?), found "a.example""#),
        ),
        (
            json!({ "origins": ["https://a.example/x"] }),
            format!(
                r#".origins[0]: {ORIGIN} (did you mean "https://a.example"?), found "https://a.example/x""#
            ),
        ),
        (
            json!({ "origins": ["https://*.a.example"] }),
            format!(r#".origins[0]: {ORIGIN}, found "https://*.a.example""#),
        ),
        (json!({ "origins": ["null"] }), format!(
            r#".origins[0]: {ORIGIN} (did you mean "https://null"?), found "null""#
        )),
        (
            json!({ "origins": "*", "methods": ["get"] }),
            r#".methods[0]: expected a method in capital letters such as "GET", found "get""#.into(),
        ),
        (
            json!({ "origins": "*", "headers": ["a b"] }),
            r#".headers[0]: expected the name of a header such as "content-type", found "a b""#.into(),
        ),
        (
            json!({ "origins": "*", "expose_headers": ["*"] }),
            r#".expose_headers[0]: expected the name of a header such as "content-type", found "*""#.into(),
        ),
        (
            json!({ "origins": "*", "max_age_seconds": 86401 }),
            ".max_age_seconds: expected a whole number of seconds from 0 to 86400, found 86401".into(),
        ),
        (
            json!({ "origins": "*", "credential": true }),
            ".credential: unknown field `credential`, did you mean `credentials`?".into(),
        ),
    ] {
        assert_eq!(parse(&cors), Err(format!("apps[0].cors{message}")), "{cors}");
    }
}

#[test]
fn the_schema_agrees() {
    let schema = crate::config::schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let origins: Vec<Value> = [
        "https://a.example",
        "HTTP://A_b.Example:81",
        "http://a:80",
        "https://a:443",
        "https://a:80",
        "http://[::1]:3000",
        "https://a/",
        "https://",
        "a",
        "https://a:0",
        "https://a:123456",
        "x-y.z+1://a",
        "https://a b",
        "https://ä",
        "*",
        "",
    ]
    .map(|origin| json!([origin]))
    .into();
    let more = [json!("*"), json!([]), json!("https://a"), json!([1]), json!(null)];
    let samples = [
        ("origins", [origins, more.to_vec()].concat()),
        ("credentials", vec![json!(true), json!(false), json!(1)]),
        (
            "methods",
            vec![
                json!("*"),
                json!([]),
                json!(["GET", "M-SEARCH"]),
                json!(["get"]),
                json!(["-"]),
                json!(["*"]),
            ],
        ),
        (
            "headers",
            vec![
                json!("*"),
                json!([]),
                json!(["X-a~"]),
                json!(["a:"]),
                json!(["*"]),
                json!([""]),
                json!("a"),
            ],
        ),
        ("expose_headers", vec![json!("*"), json!(["a"]), json!(["*"]), json!(1)]),
        ("max_age_seconds", vec![json!(0), json!(86_400), json!(86_401), json!(-1), json!("1")]),
    ];
    let properties = &schema["$defs"]["Settings"]["properties"]["cors"]["properties"];
    assert_eq!(properties.as_object().unwrap().len(), samples.len());
    for (field, values) in samples {
        let description = properties[field]["description"].as_str().unwrap();
        if let Some(default) = properties[field].get("default") {
            assert!(description.ends_with(&format!("Default {default}.")), "{field}: {description}");
        }
        for (value, credentials) in values.iter().flat_map(|value| [(value, false), (value, true)]) {
            let mut cors = json!({ "origins": ["https://a"], "credentials": credentials });
            cors[field] = value.clone();
            let document = json!([{ "name": "a", "path": "a", "cors": cors }]);
            assert_eq!(validator.is_valid(&document), parse(&cors).is_ok(), "{document}");
        }
    }
}
