//! Settings as written, laid over those they start from.

use super::{
    build, cors,
    env_value::EnvValue,
    fields::Fields,
    instances,
    isolation::Isolation,
    labels,
    node::Node,
    on_fault::OnFault,
    reload_mode::ReloadMode,
    response_headers, rollout,
    runtime::Runtime,
    sandbox,
    settings::{self, Settings},
    sticky::Sticky,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The settings among `fields`, and those of `base` for what is not there or not valid (which is reported).
///
/// The struct expression is the list of settings: one that is not read here does not compile.
pub(super) fn overlay(base: &Settings, fields: &mut Fields<'_>) -> Settings {
    Settings {
        workers: fields
            .optional("workers", |node| node.whole(&settings::WORKERS, "", ""))
            .unwrap_or(base.workers),
        deadline_ms: fields
            .optional("deadline_ms", |node| node.milliseconds(&settings::SOME_TIME))
            .unwrap_or(base.deadline_ms),
        queue: fields.optional("queue", |node| node.whole(&settings::QUEUE, "", "")).unwrap_or(base.queue),
        max_concurrency: fields
            .optional("max_concurrency", |node| {
                node.or_null(|node| node.whole(&settings::MAX_CONCURRENCY, "", " (or null for no limit)"))
            })
            .unwrap_or(base.max_concurrency),
        rate: fields
            .optional("rate", |node| {
                node.or_null(|node| {
                    node.whole(&settings::RATE, " of requests for each second", " (or null for no limit)")
                })
            })
            .unwrap_or(base.rate),
        heap_soft_limit: fields
            .optional("heap_soft_limit", |node| node.or_null(|node| node.bytes(&settings::HEAP_SOFT_LIMIT)))
            .unwrap_or(base.heap_soft_limit),
        body_limit: fields
            .optional("body_limit", |node| node.bytes(&settings::BODY_LIMIT))
            .unwrap_or(base.body_limit),
        head_limit: fields
            .optional("head_limit", |node| node.bytes(&settings::SOME_BYTES))
            .unwrap_or(base.head_limit),
        message_limit: fields
            .optional("message_limit", |node| node.bytes(&settings::SOME_BYTES))
            .unwrap_or(base.message_limit),
        max_calls: fields
            .optional("max_calls", |node| node.whole(&settings::MAX_CALLS, "", ""))
            .unwrap_or(base.max_calls),
        log_rate: fields
            .optional("log_rate", |node| node.whole(&settings::LOG_RATE, " of records for each second", ""))
            .unwrap_or(base.log_rate),
        log_record_limit: fields
            .optional("log_record_limit", |node| node.bytes(&settings::SOME_BYTES))
            .unwrap_or(base.log_record_limit),
        preload: fields.optional("preload", Node::boolean).unwrap_or(base.preload),
        idle_timeout_ms: fields.optional("idle_timeout_ms", time_or_never).unwrap_or(base.idle_timeout_ms),
        hang_timeout_ms: fields.optional("hang_timeout_ms", time_or_never).unwrap_or(base.hang_timeout_ms),
        start_timeout_ms: fields
            .optional("start_timeout_ms", |node| node.milliseconds(&settings::SOME_TIME))
            .unwrap_or(base.start_timeout_ms),
        drain_timeout_ms: fields
            .optional("drain_timeout_ms", |node| node.milliseconds(&settings::ANY_TIME))
            .unwrap_or(base.drain_timeout_ms),
        stop_timeout_ms: fields
            .optional("stop_timeout_ms", |node| node.milliseconds(&settings::ANY_TIME))
            .unwrap_or(base.stop_timeout_ms),
        env: {
            let mut env = base.env.clone();
            env.extend(fields.optional("env", variables).unwrap_or_default());
            env
        },
        env_file: fields.optional("env_file", env_files).unwrap_or_else(|| base.env_file.clone()),
        inherit: fields.optional("inherit", names_of_variables).unwrap_or_else(|| base.inherit.clone()),
        dir: fields.optional("dir", |node| node.or_null(folder)).unwrap_or_else(|| base.dir.clone()),
        config: fields.optional("config", Node::json).unwrap_or_else(|| base.config.clone()),
        data: fields
            .optional("data", |node| node.or_null(absolute_path))
            .unwrap_or_else(|| base.data.clone()),
        max_restarts: fields
            .optional("max_restarts", |node| node.whole(&settings::MAX_RESTARTS, "", ""))
            .unwrap_or(base.max_restarts),
        isolation: fields
            .optional("isolation", |node| node.word(Isolation::EXPECTED, Isolation::from_word))
            .unwrap_or(base.isolation),
        on_fault: fields
            .optional("on_fault", |node| node.word(OnFault::EXPECTED, OnFault::from_word))
            .unwrap_or(base.on_fault),
        stack_size: fields
            .optional("stack_size", |node| node.bytes(&settings::STACK_SIZE))
            .unwrap_or(base.stack_size),
        max_pinned: fields
            .optional("max_pinned", |node| node.whole(&settings::MAX_PINNED, "", ""))
            .unwrap_or(base.max_pinned),
        max_draining: fields
            .optional("max_draining", |node| node.whole(&settings::MAX_DRAINING, "", ""))
            .unwrap_or(base.max_draining),
        server_timing: fields.optional("server_timing", Node::boolean).unwrap_or(base.server_timing),
        rewrite: fields.optional("rewrite", Node::boolean).unwrap_or(base.rewrite),
        app_header: fields.optional("app_header", Node::boolean).unwrap_or(base.app_header),
        headers: fields.optional("headers", response_headers::read).unwrap_or_default().over(&base.headers),
        cors: fields.optional("cors", |node| node.or_null(cors::read)).unwrap_or_else(|| base.cors.clone()),
        sticky: fields.optional("sticky", sticky).unwrap_or_else(|| base.sticky.clone()),
        rollout: fields
            .optional("rollout", |node| node.or_null(rollout::read))
            .unwrap_or_else(|| base.rollout.clone()),
        build: fields
            .optional("build", |node| build::read(node, &base.build))
            .unwrap_or_else(|| base.build.clone()),
        library_limit: fields
            .optional("library_limit", |node| node.bytes(&settings::LIBRARY_LIMIT))
            .unwrap_or(base.library_limit),
        reload: fields
            .optional("reload", |node| node.word(ReloadMode::EXPECTED, ReloadMode::from_word))
            .unwrap_or(base.reload),
        runtime: fields
            .optional("runtime", |node| node.word(Runtime::EXPECTED, Runtime::from_word))
            .unwrap_or(base.runtime),
        keep: fields.optional("keep", |node| node.whole(&settings::KEEP, "", "")).unwrap_or(base.keep),
        preflight: fields.optional("preflight", Node::boolean).unwrap_or(base.preflight),
        on: fields.optional("on", labels::read).unwrap_or_else(|| base.on.clone()),
        instances: fields.optional("instances", instances::read).unwrap_or(base.instances),
        sandbox: fields
            .optional("sandbox", |node| node.or_null(sandbox::read))
            .unwrap_or_else(|| base.sandbox.clone()),
    }
}

/// `null` is a value of this setting: an app says with it that the timeout of `defaults` is not for it.
fn time_or_never(node: &Node<'_>) -> Option<Option<u64>> {
    node.or_null(|node| node.whole(&settings::SOME_TIME, " of milliseconds", " (or null for never)"))
}

fn sticky(node: &Node<'_>) -> Option<Sticky> {
    let text = node.text(Sticky::EXPECTED, |text| Sticky::from_text(text).is_some())?;
    Sticky::from_text(&text)
}

fn names_of_variables(node: &Node<'_>) -> Option<Vec<String>> {
    let list = node.list(r#"a list of variables such as ["PATH", "LC_*"]"#)?;
    let is_name = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
    let name =
        |node: &Node<'_>| node.text("the name of a variable, or the beginning of one and `*`", is_name);
    Some(list.iter().filter_map(name).collect())
}

fn folder(node: &Node<'_>) -> Option<PathBuf> {
    let is_path = |text: &str| !text.is_empty() && !text.contains('\0');
    node.text("the path of a folder (or null for that of `path`)", is_path).map(PathBuf::from)
}

fn absolute_path(node: &Node<'_>) -> Option<PathBuf> {
    let is_absolute = |text: &str| text.starts_with('/') && !text.contains('\0');
    node.text("an absolute path such as \"/var/lib/atoll\" (or null for none)", is_absolute)
        .map(PathBuf::from)
}

fn env_files(node: &Node<'_>) -> Option<Vec<PathBuf>> {
    const EXPECTED: &str = r#"the path of a file with variables, or a list such as ["app.env", "local.env"]"#;
    let is_path = |text: &str| !text.is_empty() && !text.contains('\0');
    let path = |node: &Node<'_>| node.text(EXPECTED, is_path).map(PathBuf::from);
    if !node.is_list() {
        return Some(vec![path(node)?]);
    }
    Some(node.list(EXPECTED)?.iter().filter_map(path).collect())
}

fn variables(node: &Node<'_>) -> Option<BTreeMap<String, EnvValue>> {
    let fields = node.object(r#"an object of variables such as { "RUST_LOG": "info" }"#)?;
    let variable = |(name, key, value): (&str, _, Node<'_>)| {
        if name.is_empty() || name.contains(['=', '\0']) {
            value.report_key(key, "expected a variable name, non-empty and without `=` or NUL");
            return None;
        }
        Some((name.to_string(), EnvValue::read(&value)?))
    };
    Some(fields.each().filter_map(variable).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{
        BuildSettings, CorsSettings, Instances, Preset, ResponseHeaders, RolloutSettings, SandboxSettings,
    };
    use super::super::{Config, ConfigError};
    use super::*;
    use serde_json::{Value, json};
    use std::path::Path;

    /// The settings of an app with `own` over `defaults`.
    fn merged(defaults: Value, own: Value) -> Result<Settings, ConfigError> {
        let mut app = json!({ "name": "a", "path": "a" });
        app.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let text = json!({ "defaults": defaults, "apps": [app] }).to_string();
        Ok(Config::parse(&text, Path::new("/srv"), "apps.json")?.apps.remove(0).settings)
    }

    fn headers(written: Value) -> ResponseHeaders {
        merged(json!({}), json!({ "headers": written })).unwrap().headers
    }

    fn cors(written: Value) -> Option<CorsSettings> {
        merged(json!({}), json!({ "cors": written })).unwrap().cors
    }

    /// The only error: `field: message`.
    fn error(own: Value) -> String {
        let error = merged(json!({}), own).unwrap_err();
        let [found] = error.diagnostics() else { panic!("expected one error: {error}") };
        format!("{}: {}", found.field, found.message)
    }

    fn everything() -> (Value, Settings) {
        let mut written = json!({
            "workers": 3, "deadline_ms": 4, "queue": 5, "max_concurrency": 13, "rate": 14, "heap_soft_limit": "15MiB", "body_limit": "6kB", "head_limit": "16kB", "message_limit": "17kB", "max_calls": 18, "log_rate": 19, "log_record_limit": "20kB", "preload": true, "idle_timeout_ms": 7, "hang_timeout_ms": 27,
            "start_timeout_ms": 8, "drain_timeout_ms": 0, "stop_timeout_ms": 10, "env": { "A": "1" }, "env_file": "/a.env", "inherit": ["B", "C*"], "dir": "/work",
            "config": { "x": [1] }, "data": "/data", "max_restarts": 0, "isolation": "process", "on_fault": "disable", "stack_size": "1MiB", "max_pinned": 16, "max_draining": 2,
            "server_timing": true, "rewrite": false, "app_header": true, "library_limit": "16MB", "reload": "stop-first", "runtime": "multi-thread", "keep": 12,
            "preflight": false, "sandbox": { "preset": "strict", "memory": "1GiB" }
        });
        written["headers"] = json!({ "A": "1" });
        written["cors"] = json!({ "origins": "*" });
        written["on"] = json!({ "role": "batch" });
        written["instances"] = json!(1);
        written["sticky"] = json!("header:X-User");
        written["rollout"] = json!({ "steps": [10, 50.5], "warm_ms": 0 });
        written["build"] = json!({ "profile": "dist", "features": ["x"] });
        let settings = Settings {
            workers: 3,
            deadline_ms: 4,
            queue: 5,
            max_concurrency: Some(13),
            rate: Some(14),
            heap_soft_limit: Some(15 << 20),
            body_limit: 6000,
            head_limit: 16_000,
            message_limit: 17_000,
            max_calls: 18,
            log_rate: 19,
            log_record_limit: 20_000,
            preload: true,
            idle_timeout_ms: Some(7),
            hang_timeout_ms: Some(27),
            start_timeout_ms: 8,
            drain_timeout_ms: 0,
            stop_timeout_ms: 10,
            env: BTreeMap::from([("A".into(), "1".into())]),
            env_file: vec!["/a.env".into()],
            inherit: vec!["B".into(), "C*".into()],
            dir: Some("/work".into()),
            config: json!({ "x": [1] }),
            data: Some("/data".into()),
            max_restarts: 0,
            isolation: Isolation::Process,
            on_fault: OnFault::Disable,
            stack_size: 1 << 20,
            max_pinned: 16,
            max_draining: 2,
            server_timing: true,
            rewrite: false,
            app_header: true,
            headers: headers(json!({ "a": "1" })),
            cors: cors(json!({ "origins": "*" })),
            sticky: Sticky::Header("x-user".into()),
            rollout: Some(RolloutSettings {
                steps: vec![10.0, 50.5],
                warm_ms: 0,
                ..RolloutSettings::default()
            }),
            build: BuildSettings {
                profile: Some("dist".into()),
                features: vec!["x".into()],
                ..BuildSettings::default()
            },
            library_limit: 16_000_000,
            reload: ReloadMode::StopFirst,
            runtime: Runtime::MultiThread,
            keep: 12,
            preflight: false,
            on: BTreeMap::from([("role".into(), "batch".into())]),
            instances: Instances::One,
            sandbox: Some(SandboxSettings { memory: Some(1 << 30), ..SandboxSettings::of(Preset::Strict) }),
        };
        (written, settings)
    }

    #[test]
    fn nothing_written_is_the_default() {
        assert_eq!(merged(json!({}), json!({})).unwrap(), Settings::default());
    }

    #[test]
    fn every_setting_can_be_given_for_one_app_or_for_all() {
        let (written, settings) = everything();
        assert_eq!(merged(json!({}), written.clone()).unwrap(), settings);
        assert_eq!(merged(written, json!({})).unwrap(), settings);
    }

    #[test]
    fn an_app_wins_over_defaults_even_with_the_built_in_value() {
        let (written, _) = everything();
        let mut own = serde_json::to_value(Settings::default()).unwrap();
        let merged = merged(written, own.clone()).unwrap();
        // What is merged by name.
        assert_eq!(merged.env, BTreeMap::from([("A".into(), "1".into())]));
        own["env"] = json!({ "A": "1" });
        own["headers"] = json!({ "a": "1" });
        assert_eq!(serde_json::to_value(merged).unwrap(), own);
    }

    #[test]
    fn env_is_merged_by_name_and_config_is_replaced() {
        let settings = merged(
            json!({ "env": { "A": "1", "B": "2" }, "config": { "x": 1 } }),
            json!({ "env": { "B": "3", "C": "" }, "config": { "y": 2 } }),
        )
        .unwrap();
        let env = [("A", "1"), ("B", "3"), ("C", "")].map(|(name, value)| (name.to_owned(), value.into()));
        assert_eq!(settings.env, BTreeMap::from(env));
        assert_eq!(settings.config, json!({ "y": 2 }));
    }

    #[test]
    fn null_means_never_for_some_times_and_is_a_config() {
        let defaults = json!({ "idle_timeout_ms": 5, "hang_timeout_ms": 6, "config": 1 });
        let app = json!({ "idle_timeout_ms": null, "hang_timeout_ms": null, "config": null });
        let settings = merged(defaults, app).unwrap();
        let times = (settings.idle_timeout_ms, settings.hang_timeout_ms);
        assert_eq!((times, settings.config), ((None, None), Value::Null));
    }

    #[test]
    fn wrong_values() {
        let at_least = "expected a whole number of milliseconds, at least";
        for (name, value, message) in [
            ("workers", json!(0), "expected a whole number from 1 to 1024, found 0".into()),
            ("workers", json!(null), "expected a whole number from 1 to 1024, found null".into()),
            ("deadline_ms", json!(0), format!("{at_least} 1, found 0")),
            ("deadline_ms", json!("30s"), format!("{at_least} 1, found \"30s\"")),
            ("queue", json!(0), "expected a whole number from 1 to 1000000, found 0".into()),
            ("preload", json!(1), "expected true or false, found 1".into()),
            ("idle_timeout_ms", json!(0), format!("{at_least} 1 (or null for never), found 0")),
            ("hang_timeout_ms", json!(0), format!("{at_least} 1 (or null for never), found 0")),
            ("start_timeout_ms", json!(0), format!("{at_least} 1, found 0")),
            ("drain_timeout_ms", json!(-1), format!("{at_least} 0, found -1")),
            ("stop_timeout_ms", json!(true), format!("{at_least} 0, found true")),
            ("server_timing", json!("yes"), "expected true or false, found \"yes\"".into()),
            ("app_header", json!(0), "expected true or false, found 0".into()),
            ("max_restarts", json!(1001), "expected a whole number from 0 to 1000, found 1001".into()),
            (
                "isolation",
                json!("wasm"),
                "expected \"thread\", \"process\" or \"auto\", found \"wasm\"".into(),
            ),
            (
                "on_fault",
                json!("stop"),
                "expected \"process\", \"restart\" or \"disable\", found \"stop\"".into(),
            ),
            (
                "sticky",
                json!("session"),
                "expected \"address\", \"header:NAME\" or \"cookie:NAME\", found \"session\"".into(),
            ),
            ("reload", json!(true), "expected \"side-by-side\" or \"stop-first\", found true".into()),
            (
                "runtime",
                json!("tokio"),
                "expected \"current-thread\" or \"multi-thread\", found \"tokio\"".into(),
            ),
            ("stack_size", json!("1kB"), "expected a size of at least 65536 bytes, found \"1kB\"".into()),
            ("max_pinned", json!(-1), "expected a whole number from 0 to 1000, found -1".into()),
            ("max_draining", json!(0), "expected a whole number from 1 to 1000, found 0".into()),
            ("keep", json!([]), "expected a whole number from 0 to 1000, found an empty list".into()),
            (
                "instances",
                json!(2),
                "expected 1, for one host of the fleet at a time (or null for every host), found 2".into(),
            ),
            (
                "on",
                json!(["role"]),
                r#"expected an object of texts such as { "zone": "a" }, found a list"#.into(),
            ),
            (
                "env",
                json!([]),
                r#"expected an object of variables such as { "RUST_LOG": "info" }, found an empty list"#
                    .into(),
            ),
        ] {
            assert_eq!(error(json!({ name: value })), format!("apps[0].{name}: {message}"));
        }
    }

    #[test]
    fn variables_are_what_the_system_can_hold() {
        assert_eq!(
            error(json!({ "env": { "PORT": 80 } })),
            "apps[0].env.PORT: expected the variable's value as a string in double quotes, found 80"
        );
        for name in ["", "A=B", "A\0"] {
            let error = error(json!({ "env": { name: "x" } }));
            assert!(error.contains("expected a variable name"), "{error}");
        }
        assert!(error(json!({ "env": { "A": "\0" } })).contains("found \"\\0\""));
    }

    #[test]
    fn a_value_is_a_text_or_where_a_secret_is() {
        let written = json!({
            "A": "${B:-c}$$", "B": { "file": "/secrets/b" }, "C": { "credential": "c" }, "D": { "env": "HOST_D" },
        });
        let settings = merged(json!({}), json!({ "env": written })).unwrap();
        assert_eq!(serde_json::to_value(&settings.env).unwrap(), written);
        for (value, expected) in [
            (json!({}), "expected one of `file`, `credential` and `env`, found an empty object"),
            (
                json!({ "file": "a", "env": "B" }),
                "expected one of `file`, `credential` and `env`, found an object",
            ),
            (
                json!("${"),
                "expected a value with variables as ${NAME}, ${NAME:-default} or ${NAME:?message} (write $${ for ${), found \"${\"",
            ),
        ] {
            assert_eq!(error(json!({ "env": { "A": value } })), format!("apps[0].env.A: {expected}"));
        }
        for (value, expected) in [
            (json!({ "fiel": "a" }), "A.fiel: unknown field `fiel`, did you mean `file`?"),
            (json!({ "file": "" }), "A.file: expected the path of a file, found \"\""),
            (
                json!({ "credential": "a/b" }),
                "A.credential: expected the name of a credential, which is a file name, found \"a/b\"",
            ),
            (json!({ "env": "" }), "A.env: expected the name of a variable of the host, found \"\""),
        ] {
            assert_eq!(error(json!({ "env": { "A": value } })), format!("apps[0].env.{expected}"));
        }
    }

    #[test]
    fn a_value_is_the_same_wherever_it_is_written() {
        let [one, two] = ["", "\n\n"].map(|space| {
            let text = format!(r#"[{space}{{ "name": "a", "path": "a", "env": {{ "A": "${{B}}" }} }}]"#);
            Config::parse(&text, Path::new("/srv"), "apps.json").unwrap()
        });
        assert_eq!(one, two);
        assert_eq!(one.apps[0].settings.env["A"].place.to_string(), "apps.json:1:44: apps[0].env.A: ");
    }

    #[test]
    fn an_error_in_defaults_is_reported_once() {
        let text = r#"{ "defaults": { "workers": 0 }, "apps": [
            { "name": "a", "path": "a" }, { "name": "b", "path": "b" }] }"#;
        let error = Config::parse(text, Path::new("/srv"), "apps.json").unwrap_err();
        let fields: Vec<_> = error.diagnostics().iter().map(|found| &*found.field).collect();
        assert_eq!(fields, ["defaults.workers"]);
    }

    #[test]
    fn a_variable_that_no_process_can_have_is_refused() {
        let text = r#"[{ "name": "a", "path": "x", "env": { "A=B": "1", "C": "a\u0000b" } }]"#;
        let error = super::super::Config::parse(text, std::path::Path::new("/srv"), "apps.json").unwrap_err();
        let messages: Vec<_> = error.diagnostics().iter().map(|found| found.message.as_str()).collect();
        assert!(messages[0].starts_with("expected a variable name, non-empty"), "{messages:?}");
        assert!(messages[1].starts_with("expected a variable's value without NUL"), "{messages:?}");
    }
}
