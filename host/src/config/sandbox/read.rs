//! Reading the setting `sandbox`: a preset's name, or an object.

use std::ops::RangeInclusive;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;

use super::settings::{MIN_OPEN_FILES, SandboxSettings, is_user_name};
use crate::config::node::Node;
use crate::config::ranges::MAX;
use crate::config::suggest::nearest_field;
use crate::sandbox::{ANY_PORT, FileRule, Namespace, Ports, Preset, Require};

const PORT: RangeInclusive<u64> = 0..=u16::MAX as u64;
const MEMORY: RangeInclusive<u64> = 1..=MAX;
const SOME: RangeInclusive<u64> = 1..=MAX;
const OPEN_FILES: RangeInclusive<u64> = MIN_OPEN_FILES..=MAX;
const OR_NULL: &str = " (or null for no limit)";

/// Reads the setting, if it is not `null`.
pub(in crate::config) fn read(node: &Node<'_>) -> Option<SandboxSettings> {
    if node.is_text() {
        return preset(node).map(SandboxSettings::of);
    }
    let mut fields = node.object(r#""standard", "strict", or an object such as { "preset": "strict" }"#)?;
    let base = SandboxSettings::default();
    let settings = SandboxSettings {
        preset: fields.optional("preset", preset).unwrap_or(base.preset),
        require: fields.optional("require", require).unwrap_or(base.require),
        files: fields.optional("files", files).unwrap_or(base.files),
        connect: fields.optional("connect", ports).unwrap_or(base.connect),
        bind: fields.optional("bind", ports).unwrap_or(base.bind),
        udp: fields.optional("udp", Node::boolean).unwrap_or(base.udp),
        unix_sockets: fields.optional("unix_sockets", Node::boolean).unwrap_or(base.unix_sockets),
        exec: fields.optional("exec", Node::boolean).unwrap_or(base.exec),
        user: fields.optional("user", |node| node.or_null(user)).unwrap_or(base.user),
        memory: fields
            .optional("memory", |node| node.or_null(|node| node.bytes(&MEMORY)))
            .unwrap_or(base.memory),
        cpu_seconds: fields
            .optional("cpu_seconds", |node| node.or_null(|node| node.whole(&SOME, " of seconds", OR_NULL)))
            .unwrap_or(base.cpu_seconds),
        cpu_percent: fields
            .optional("cpu_percent", |node| node.or_null(|node| node.whole(&SOME, " of percent", OR_NULL)))
            .unwrap_or(base.cpu_percent),
        threads: fields
            .optional("threads", |node| node.or_null(|node| node.whole(&SOME, "", OR_NULL)))
            .unwrap_or(base.threads),
        open_files: fields
            .optional("open_files", |node| node.or_null(|node| node.whole(&OPEN_FILES, "", OR_NULL)))
            .unwrap_or(base.open_files),
        namespaces: fields.optional("namespaces", namespaces).unwrap_or(base.namespaces),
    };
    fields.finish();
    Some(settings)
}

/// The schema of the setting. Keywords apply only to their own type, so that one schema is for all forms.
pub(in crate::config) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = SandboxSettings::json_schema(generator);
    schema.remove("description");
    schema.insert("type".into(), json!(["string", "object", "null"]));
    schema.insert("pattern".into(), json!("^(standard|strict)$"));
    schema
}

/// One of these values, by its name.
fn choice<T: Copy>(node: &Node<'_>, values: &[(&'static str, T)]) -> Option<T> {
    let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
    let mut expected = names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" or ");
    if let Some(near) = node.as_text().and_then(|text| nearest_field(text, &names)) {
        expected.push_str(&format!(" (did you mean {near:?}?)"));
    }
    let name = node.text(&expected, |text| names.contains(&text))?;
    values.iter().find(|(known, _)| **known == name).map(|(_, value)| *value)
}

fn preset(node: &Node<'_>) -> Option<Preset> {
    choice(node, &[Preset::Standard, Preset::Strict].map(|preset| (preset.name(), preset)))
}

fn require(node: &Node<'_>) -> Option<Require> {
    choice(node, &[("full", Require::Full), ("available", Require::Available)])
}

fn namespaces(node: &Node<'_>) -> Option<Vec<Namespace>> {
    let values = [Namespace::Ipc, Namespace::Network].map(|namespace| (namespace.name(), namespace));
    let list = node.list(r#"a list of namespaces such as ["ipc"]"#)?;
    Some(list.iter().filter_map(|node| choice(node, &values)).collect())
}

fn files(node: &Node<'_>) -> Option<Vec<FileRule>> {
    const RULE: &str =
        r#""r:" (read) or "rw:" (read and write) with an absolute path, such as "rw:/var/lib/shop""#;
    let list = node.list(r#"a list of files and folders such as ["r:/srv/shared", "rw:/var/lib/shop"]"#)?;
    let rule = |node: &Node<'_>| node.text(RULE, |text| text.parse::<FileRule>().is_ok())?.parse().ok();
    Some(list.iter().filter_map(rule).collect())
}

fn ports(node: &Node<'_>) -> Option<Ports> {
    const PORTS: &str = r#"a list of TCP ports such as [443, 5432], or "any""#;
    if node.is_text() {
        return node.text(PORTS, |text| text == ANY_PORT).map(|_| Ports::Any);
    }
    let list = node.list(PORTS)?;
    Some(Ports::Listed(list.iter().filter_map(|node| node.whole(&PORT, "", "")).collect()))
}

fn user(node: &Node<'_>) -> Option<String> {
    node.text("the name of a user, its number, or a range such as 100000-165535", is_user_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use serde_json::Value;
    use std::path::Path;

    fn parse(sandbox: Value) -> Result<Option<SandboxSettings>, String> {
        let text = json!([{ "name": "a", "path": "a", "sandbox": sandbox }]).to_string();
        match Config::parse(&text, Path::new("/srv"), "apps.json") {
            Ok(mut config) => Ok(config.apps.remove(0).settings.sandbox),
            Err(error) => {
                let found =
                    error.diagnostics().iter().map(|found| format!("{}: {}", found.field, found.message));
                Err(found.collect::<Vec<_>>().join("\n"))
            }
        }
    }

    #[test]
    fn a_name_is_a_preset() {
        assert_eq!(parse(json!(null)).unwrap(), None);
        assert_eq!(parse(json!("standard")).unwrap(), Some(SandboxSettings::default()));
        assert_eq!(parse(json!("strict")).unwrap(), Some(SandboxSettings::of(Preset::Strict)));
        assert_eq!(parse(json!({})).unwrap(), Some(SandboxSettings::default()));
    }

    #[test]
    fn all_fields_are_read() {
        let sandbox = json!({
            "preset": "strict", "require": "available", "files": ["r:/srv/x", "rw:/var/lib/x"], "connect": [5432],
            "bind": "any", "udp": true, "unix_sockets": true, "exec": true, "user": "www-data", "memory": "64MiB",
            "cpu_seconds": 60, "cpu_percent": 150, "threads": 64, "open_files": 256, "namespaces": ["ipc"],
        });
        let expected = SandboxSettings {
            preset: Preset::Strict,
            require: Require::Available,
            files: vec!["r:/srv/x".parse().unwrap(), "rw:/var/lib/x".parse().unwrap()],
            connect: Ports::Listed(vec![5432]),
            bind: Ports::Any,
            udp: true,
            unix_sockets: true,
            exec: true,
            user: Some("www-data".into()),
            memory: Some(64 << 20),
            cpu_seconds: Some(60),
            cpu_percent: Some(150),
            threads: Some(64),
            open_files: Some(256),
            namespaces: vec![Namespace::Ipc],
        };
        assert_eq!(parse(sandbox).unwrap(), Some(expected.clone()));
        // What `atoll config show` prints is what can be written.
        assert_eq!(parse(serde_json::to_value(&expected).unwrap()).unwrap(), Some(expected));
    }

    #[test]
    fn wrong_values() {
        for (sandbox, message) in [
            (
                json!("strikt"),
                r#": expected "standard" or "strict" (did you mean "strict"?), found "strikt""#,
            ),
            (
                json!(1),
                r#": expected "standard", "strict", or an object such as { "preset": "strict" }, found 1"#,
            ),
            (json!({ "reqire": "full" }), ".reqire: unknown field `reqire`, did you mean `require`?"),
            (json!({ "require": "some" }), r#".require: expected "full" or "available", found "some""#),
            (
                json!({ "files": ["/srv"] }),
                r#".files[0]: expected "r:" (read) or "rw:" (read and write) with an absolute path, such as "rw:/var/lib/shop", found "/srv""#,
            ),
            (
                json!({ "connect": [70000] }),
                ".connect[0]: expected a whole number from 0 to 65535, found 70000",
            ),
            (
                json!({ "bind": "all" }),
                r#".bind: expected a list of TCP ports such as [443, 5432], or "any", found "all""#,
            ),
            (
                json!({ "user": 0 }),
                ".user: expected the name of a user, its number, or a range such as 100000-165535 in double quotes, found 0",
            ),
            (
                json!({ "memory": 0 }),
                r#".memory: expected a whole number of bytes, at least 1 (or a size such as "512kB" or "8MiB"), found 0"#,
            ),
            (
                json!({ "threads": 0 }),
                ".threads: expected a whole number, at least 1 (or null for no limit), found 0",
            ),
            (
                json!({ "open_files": 3 }),
                ".open_files: expected a whole number, at least 16 (or null for no limit), found 3",
            ),
            (json!({ "namespaces": ["pid"] }), r#".namespaces[0]: expected "ipc" or "network", found "pid""#),
        ] {
            assert_eq!(parse(sandbox), Err(format!("apps[0].sandbox{message}")));
        }
    }

    #[test]
    fn the_schema_agrees() {
        let schema = crate::config::schema();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let values: [(&str, &[Value]); 15] = [
            ("preset", &[json!("strict"), json!("standard"), json!("Strict"), json!(null)]),
            ("require", &[json!("full"), json!("available"), json!("none"), json!(1)]),
            (
                "files",
                &[
                    json!([]),
                    json!(["r:/a", "rw:/"]),
                    json!(["/a"]),
                    json!(["w:/a"]),
                    json!("r:/a"),
                    json!([1]),
                ],
            ),
            (
                "connect",
                &[
                    json!([]),
                    json!([0, 65535]),
                    json!([65536]),
                    json!([-1]),
                    json!("any"),
                    json!("all"),
                    json!(1),
                ],
            ),
            ("bind", &[json!([1]), json!(["1"]), json!(null)]),
            ("udp", &[json!(true), json!(0)]),
            ("unix_sockets", &[json!(true), json!("true")]),
            ("exec", &[json!(false), json!(null)]),
            ("user", &[json!(null), json!("www-data"), json!("1000"), json!("a b"), json!(""), json!(1)]),
            ("memory", &[json!(null), json!(1), json!("1GiB"), json!(0), json!("1G")]),
            ("cpu_seconds", &[json!(null), json!(1), json!(0), json!("1")]),
            ("cpu_percent", &[json!(null), json!(1), json!(400), json!(0), json!(0.5), json!("50%")]),
            ("threads", &[json!(null), json!(1), json!(0), json!([])]),
            ("open_files", &[json!(null), json!(16), json!(15)]),
            ("namespaces", &[json!([]), json!(["ipc", "network"]), json!(["pid"]), json!("ipc")]),
        ];
        let properties = &schema["$defs"]["Settings"]["properties"]["sandbox"]["properties"];
        assert_eq!(properties.as_object().unwrap().len(), values.len());
        for (field, values) in values {
            let description = properties[field]["description"].as_str().unwrap();
            let default = &properties[field]["default"];
            assert!(description.ends_with(&format!("Default {default}.")), "{field}: {description}");
            for value in values {
                let sandbox = json!({ field: value });
                let document = json!([{ "name": "a", "path": "a", "sandbox": sandbox }]);
                assert_eq!(validator.is_valid(&document), parse(sandbox).is_ok(), "{document}");
            }
        }
    }
}
