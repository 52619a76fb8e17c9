//! Where an app is served besides `/apps/{name}/`.

use super::{
    diagnostic::Report,
    node::{Node, quoted},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::json;
use std::{collections::HashMap, fmt, ops::Range};

/// The first segments of paths that are the host's own, whatever an app's routes say.
const RESERVED: [&str; 4] = ["apps", "rpc", "healthz", "readyz"];
pub(super) const HOST: &str = r"^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$";
pub(super) const HOST_EXPECTED: &str =
    r#"a host name without a port, such as "api.example.com" or "*.example.com""#;
pub(super) const MAX_HOST: usize = 253;
const PATH_PREFIX: &str = r"^(?!/(apps|rpc|healthz|readyz)(/|$))(/|(/(?!\.{1,2}(/|$))([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)+)$";
const PATH_PREFIX_EXPECTED: &str = r#"a path such as "/v1" that starts but does not end with /, outside the reserved paths /apps, /rpc, /healthz and /readyz"#;
const MAX_PATH_PREFIX: usize = 1024;
const EXPECTED: &str = r#"a route with `host`, `path_prefix` or both, such as { "host": "api.example.com", "path_prefix": "/v1" }, or a list of routes"#;

/// A route to an app, by host name, path prefix or both.
///
/// ```
/// use atoll_host::config::Config;
/// use std::path::Path;
///
/// let text = r#"[{ "name": "shop", "path": "shop", "route": { "host": "Shop.example", "path_prefix": "/v1" } }]"#;
/// let config = Config::parse(text, Path::new("/srv"), "apps.json")?;
/// assert_eq!(config.apps[0].routes[0].to_string(), "shop.example/v1");
/// # Ok::<(), atoll_host::config::ConfigError>(())
/// ```
// The description is for the schema, where the example above would be out of place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(
    deny_unknown_fields,
    extend("minProperties" = 1),
    description = "A route to an app, by host name, path prefix or both."
)]
pub struct Route {
    /// The host name in the request, without port and case-insensitive. `*.example.com` matches names with one more
    /// label. Default: any host.
    #[schemars(regex(pattern = HOST), length(max = MAX_HOST), default, skip_serializing_if = "Option::is_none", with = "String")]
    pub host: Option<String>,

    /// The prefix of the request path, compared by segments as sent and stripped before the app sees the path. The
    /// longest matching prefix wins. Default: any path.
    #[schemars(regex(pattern = PATH_PREFIX), length(max = MAX_PATH_PREFIX), default, skip_serializing_if = "Option::is_none", with = "String")]
    pub path_prefix: Option<String>,
}

impl Route {
    /// What is taken off the path; nothing when all paths are meant.
    pub fn prefix(&self) -> &str {
        self.path_prefix.as_deref().filter(|prefix| *prefix != "/").unwrap_or("")
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host.as_deref().unwrap_or(""))?;
        f.write_str(if self.prefix().is_empty() { "/" } else { self.prefix() })
    }
}

/// Whether a path is the host's own, which no route changes.
pub(crate) fn is_reserved(path: &str) -> bool {
    let first = path.strip_prefix('/').and_then(|rest| rest.split('/').next());
    first.is_some_and(|first| RESERVED.contains(&first))
}

/// The routes of the apps that were read so far, by host and prefix.
pub(super) struct TakenRoutes<'d> {
    report: &'d Report<'d>,
    /// Whose, and where it is.
    seen: HashMap<(Option<String>, String), (String, Range<usize>)>,
}

impl<'d> TakenRoutes<'d> {
    pub(super) fn new(report: &'d Report<'d>) -> Self {
        Self { report, seen: HashMap::new() }
    }

    /// Reads the routes of an app, one or a list. What is wrong is reported, and so is a route that is taken.
    pub(super) fn read(&mut self, app: &str, node: &Node<'d>) -> Option<Vec<Route>> {
        let nodes =
            if node.is_list() { node.list(EXPECTED)? } else { return Some(vec![self.read_one(app, node)?]) };
        // All are read, also behind one that is wrong.
        let routes: Vec<_> = nodes.iter().map(|node| self.read_one(app, node)).collect();
        routes.into_iter().collect()
    }

    fn read_one(&mut self, app: &str, node: &Node<'d>) -> Option<Route> {
        let mut fields = node.object(EXPECTED)?;
        if fields.is_empty() {
            return node.expected(EXPECTED);
        }
        let host = fields.optional("host", |node| node.text(HOST_EXPECTED, is_host));
        let path_prefix =
            fields.optional("path_prefix", |node| node.text(PATH_PREFIX_EXPECTED, is_path_prefix));
        let complete =
            fields.has("host") == host.is_some() && fields.has("path_prefix") == path_prefix.is_some();
        fields.finish();
        let route = Route { host: host.map(|host| host.to_ascii_lowercase()), path_prefix };
        if !complete {
            return None;
        }
        let key = (route.host.clone(), route.prefix().to_owned());
        match self.seen.get(&key) {
            None => drop(self.seen.insert(key, (app.to_owned(), node.span()))),
            Some((first, span)) => {
                let message = format!(
                    "duplicate route {} of the app {} (first used by {})",
                    quoted('"', &route.to_string()),
                    quoted('`', app),
                    quoted('`', first),
                );
                self.report.add_repeat(node.path(), span.clone(), node.span(), message);
            }
        }
        Some(route)
    }
}

pub(super) fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= MAX_HOST && text.strip_prefix("*.").unwrap_or(text).split('.').all(is_label)
}

fn is_path_prefix(text: &str) -> bool {
    let is_segment = |segment: &str| {
        let mut bytes = segment.bytes();
        while let Some(byte) = bytes.next() {
            let is_hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
            let valid = match byte {
                b'%' => is_hex(bytes.next()) && is_hex(bytes.next()),
                byte => byte.is_ascii_alphanumeric() || b"._~!$&'()*+,;=:@-".contains(&byte),
            };
            if !valid {
                return false;
            }
        }
        !matches!(segment, "" | "." | "..")
    };
    let Some(rest) = text.strip_prefix('/') else { return false };
    text.len() <= MAX_PATH_PREFIX
        && !is_reserved(text)
        && (rest.is_empty() || rest.split('/').all(is_segment))
}

/// The schema of the field: a route or a list of routes.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = Route::json_schema(generator);
    // The keywords of a route apply to objects only.
    schema.insert("type".into(), json!(["object", "array"]));
    schema.insert("items".into(), generator.subschema_for::<Route>().to_value());
    schema
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use serde_json::Value;
    use std::path::Path;

    fn parse(routes: &[Value]) -> Result<Vec<Vec<Route>>, Vec<String>> {
        let names = ["one", "two", "three"];
        let apps: Vec<_> = routes
            .iter()
            .zip(names)
            .map(|(route, name)| json!({ "name": name, "path": "x", "route": route }))
            .collect();
        match Config::parse(&json!(apps).to_string(), Path::new("/srv"), "apps.json") {
            Ok(config) => Ok(config.apps.into_iter().map(|app| app.routes).collect()),
            Err(error) => Err(error
                .diagnostics()
                .iter()
                .map(|found| format!("{}: {}", found.field, found.message))
                .collect()),
        }
    }

    fn shown(route: Value) -> Vec<String> {
        parse(&[route]).unwrap()[0].iter().map(Route::to_string).collect()
    }

    #[test]
    fn one_or_a_list() {
        assert_eq!(shown(json!({ "host": "API.example.com" })), ["api.example.com/"]);
        assert_eq!(shown(json!({ "path_prefix": "/v1/x%20y" })), ["/v1/x%20y"]);
        assert_eq!(shown(json!([])), [""; 0]);
        let both = json!([{ "host": "*.example.com", "path_prefix": "/v1" }, { "path_prefix": "/" }]);
        assert_eq!(shown(both), ["*.example.com/v1", "/"]);
    }

    #[test]
    fn hosts() {
        let label = "a".repeat(63);
        for host in ["localhost", "a-b.c_d.example", "127.0.0.1", "*.x", &label] {
            assert!(is_host(host), "{host}");
        }
        let (long, longest) = ("a".repeat(64), vec!["aa"; 85].join("."));
        for host in [
            "", "*", "*.", "a.*.b", "x.*.com", "a..b", ".a", "a.", "-a", "a-", "a:80", "[::1]", "é", &long,
            &longest,
        ] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn path_prefixes() {
        for prefix in ["/", "/v1", "/a/b", "/apps1", "/a/apps", "/...", "/~me/%7e", "/app"] {
            assert!(is_path_prefix(prefix), "{prefix}");
        }
        let bad = [
            "",
            "v1",
            "//",
            "/a/",
            "/a//b",
            "/./a",
            "/a/..",
            "/a?b",
            "/a#b",
            "/a b",
            "/%4",
            "/%zz",
            "/é",
            "/{a}",
            "/apps",
            "/apps/x",
            "/rpc",
            "/healthz",
            "/readyz/x",
        ];
        for prefix in bad {
            assert!(!is_path_prefix(prefix), "{prefix}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(
            parse(&[json!({})]).unwrap_err(),
            [format!("apps[0].route: expected {EXPECTED}, found an empty object")]
        );
        assert_eq!(
            parse(&[json!("/v1")]).unwrap_err(),
            [format!("apps[0].route: expected {EXPECTED}, found \"/v1\"")]
        );
        assert_eq!(
            parse(&[json!([{ "hots": "a" }, { "host": "a:80", "path_prefix": 1 }])]).unwrap_err(),
            [
                "apps[0].route[0].hots: unknown field `hots`, did you mean `host`?".to_owned(),
                format!("apps[0].route[1].host: expected {HOST_EXPECTED}, found \"a:80\""),
                format!("apps[0].route[1].path_prefix: expected {PATH_PREFIX_EXPECTED}, found 1"),
            ]
        );
    }

    #[test]
    fn two_apps_cannot_have_the_same_route() {
        let (host, same) =
            (json!({ "host": "a.example" }), json!([{ "host": "A.example", "path_prefix": "/" }]));
        assert_eq!(
            parse(&[host.clone(), json!({ "path_prefix": "/" }), same]).unwrap_err(),
            [r#"apps[2].route[0]: duplicate route "a.example/" of the app `three` (first used by `one`)"#]
        );
        assert!(
            parse(&[
                host,
                json!({ "host": "a.example", "path_prefix": "/b" }),
                json!({ "host": "*.example" })
            ])
            .is_ok()
        );
    }

    #[test]
    fn the_hosts_own_paths() {
        for path in ["/apps", "/apps/", "/apps/x", "/rpc", "/healthz", "/readyz"] {
            assert!(is_reserved(path), "{path}");
        }
        for path in ["", "/", "*", "/app", "/appsx", "/x/apps"] {
            assert!(!is_reserved(path), "{path}");
        }
    }
}
