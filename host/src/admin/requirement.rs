//! What a request to the admin API takes, by its method and path.

use std::fmt;

use actix_web::http::Method;
use percent_encoding::percent_decode_str;

use super::tokens::Permission;

/// What a request takes, besides coming from a page that may send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Requirement {
    /// Nothing: it is for the dashboard's files.
    Nothing,
    /// A token with this permission for this app; `None`: for all apps.
    Token(Permission, Option<String>),
    /// The admin token.
    AdminToken,
}

impl Requirement {
    /// That of a request. What is not for an app takes a token for all apps.
    pub(super) fn of(method: &Method, path: &str) -> Self {
        // Once, as the router does, so that no other spelling of a path takes less.
        let path = percent_decode_str(path).decode_utf8_lossy();
        let is_reading = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if path == "/" || path.strip_prefix("/dashboard/").is_some_and(|name| !name.contains('/')) {
            return Self::Nothing;
        }
        let path = path.strip_prefix("/api/v1/").unwrap_or("");
        if path == "tokens" || path.starts_with("tokens/") {
            return Self::AdminToken;
        }
        let Some(path) = path.strip_prefix("apps/") else {
            let permission = if is_reading { Permission::Read } else { Permission::Operate };
            return Self::Token(permission, None);
        };
        let (app, rest) = path.split_once('/').unwrap_or((path, ""));
        let permission = match rest.split('/').next().unwrap_or_default() {
            "files" => Permission::Deploy,
            _ if is_reading => Permission::Read,
            "versions" | "rollback" | "traffic" => Permission::Deploy,
            _ => Permission::Operate,
        };
        Self::Token(permission, Some(app.to_owned()))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("no token"),
            Self::Token(permission, Some(app)) => {
                write!(f, "a token with the permission {permission} for {app}")
            }
            Self::Token(permission, None) => {
                write!(f, "a token with the permission {permission} for all apps")
            }
            Self::AdminToken => f.write_str("the admin token"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::api;

    fn of(method: &str, path: &str) -> String {
        Requirement::of(&method.parse().unwrap(), path).to_string()
    }

    #[test]
    fn each_operation_takes_what_is_listed_here() {
        let found: Vec<String> = api::operations()
            .iter()
            .map(|(method, path)| {
                let path = path.replace("{app}", "a").replace("{name}", "n").replace("{version}", "v");
                let path = path.replace("{hash}", "0");
                let takes = of(method, &path).replace("a token with the permission ", "");
                format!("{method} {path}: {takes}")
            })
            .collect();
        let expected = [
            "GET /api/v1/apps: read for all apps",
            "GET /api/v1/apps/a: read for a",
            "POST /api/v1/apps/a/disable: operate for a",
            "POST /api/v1/apps/a/enable: operate for a",
            "GET /api/v1/apps/a/files/0: deploy for a",
            "PUT /api/v1/apps/a/files/0: deploy for a",
            "POST /api/v1/apps/a/invoke: operate for a",
            "GET /api/v1/apps/a/log: read for a",
            "PUT /api/v1/apps/a/log-level: operate for a",
            "GET /api/v1/apps/a/log/stream: read for a",
            "POST /api/v1/apps/a/reload: operate for a",
            "POST /api/v1/apps/a/rollback: deploy for a",
            "POST /api/v1/apps/a/start: operate for a",
            "GET /api/v1/apps/a/stats: read for a",
            "POST /api/v1/apps/a/stop: operate for a",
            "GET /api/v1/apps/a/traffic: read for a",
            "PUT /api/v1/apps/a/traffic: deploy for a",
            "GET /api/v1/apps/a/versions: read for a",
            "POST /api/v1/apps/a/versions: deploy for a",
            "POST /api/v1/apps/a/versions/v/promote: deploy for a",
            "GET /api/v1/config: read for all apps",
            "GET /api/v1/events: read for all apps",
            "GET /api/v1/fleet: read for all apps",
            "GET /api/v1/openapi.json: read for all apps",
            "GET /api/v1/quotas: read for all apps",
            "GET /api/v1/stats: read for all apps",
            "GET /api/v1/stats/history: read for all apps",
            "GET /api/v1/status: read for all apps",
            "GET /api/v1/tokens: the admin token",
            "POST /api/v1/tokens: the admin token",
            "DELETE /api/v1/tokens/n: the admin token",
            "GET /api/v1/usage: read for all apps",
            "GET /metrics: read for all apps",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn no_other_spelling_of_a_path_takes_less() {
        for (spelled, plain) in [
            ("/api/v1/apps/a%2Db/start", "/api/v1/apps/a-b/start"),
            ("/ap%69/v1/apps/a/start", "/api/v1/apps/a/start"),
            ("/api/v1/apps/a/vers%69ons", "/api/v1/apps/a/versions"),
            ("/api/v1/tok%65ns", "/api/v1/tokens"),
            ("/m%65trics", "/metrics"),
        ] {
            for method in ["GET", "POST"] {
                assert_eq!(of(method, spelled), of(method, plain), "{spelled}");
            }
        }
        for path in ["/", "/dashboard/main.js"] {
            assert_eq!(Requirement::of(&Method::GET, path), Requirement::Nothing);
        }
        for path in ["/nothing", "//api/v1/apps/a/start", "/api/v1/../v1/apps", "/dashboard/../api/v1/status"]
        {
            assert!(of("POST", path).ends_with("operate for all apps"), "{path}");
            assert!(of("GET", path).ends_with("read for all apps"), "{path}");
        }
    }
}
