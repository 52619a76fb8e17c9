//! Which app a path is for.

use std::sync::Arc;

use actix_web::HttpRequest;

use super::{Mount, forwarded};
use crate::app::App;
use crate::config::is_reserved;
use crate::problem::{Kind, Problem};
use crate::registry::Registry;

/// The path under which apps are.
const APPS: &str = "/apps/";

/// An app, and the path as it sees it.
pub(super) struct Target<'a> {
    pub(super) app: Arc<App>,
    /// What is taken off the path.
    pub(super) prefix: &'a str,
    /// The rest of it; begins with `/`.
    pub(super) path: &'a str,
}

/// Finds the app of a request for `full_path` on `host`.
pub(super) fn target<'a>(
    mount: &Mount,
    host: Option<&str>,
    full_path: &'a str,
) -> Result<Target<'a>, Problem> {
    match mount {
        Mount::Root(app) => Ok(Target { app: app.clone(), prefix: "", path: full_path }),
        Mount::Registry(registry) if is_reserved(full_path) => {
            let (name, path) = split_app(full_path).ok_or_else(|| not_found(full_path))?;
            let app = registry.get(name).ok_or_else(|| unknown_app(name, registry))?;
            Ok(Target { app, prefix: &full_path[..APPS.len() + name.len()], path })
        }
        Mount::Registry(registry) => {
            let (app, length) = registry.route(host, full_path).ok_or_else(|| not_found(full_path))?;
            let (prefix, path) = full_path.split_at(length);
            Ok(Target { app, prefix, path: if path.is_empty() { "/" } else { path } })
        }
    }
}

/// The name of the app that a request is for, be it registered or not.
pub(super) fn name_of_app(mount: &Mount, request: &HttpRequest) -> Option<String> {
    let path = request.uri().path();
    match target(mount, forwarded::host(request).as_deref(), path) {
        Ok(target) => Some(target.app.name().to_string()),
        Err(_) => split_app(path).map(|(name, _)| name.to_owned()),
    }
}

/// The name and the rest of `/apps/{name}` and `/apps/{name}/…`; an absent rest is `/`.
fn split_app(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(APPS)?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (name, path) = rest.split_at(end);
    (!name.is_empty()).then_some((name, if path.is_empty() { "/" } else { path }))
}

fn not_found(path: &str) -> Problem {
    Problem::new(
        Kind::NotFound,
        format!("The host has nothing at {path}. Apps are at /apps/NAME/, and where their routes say."),
    )
}

pub(super) fn unknown_app(name: &str, registry: &Registry) -> Problem {
    Problem::new(Kind::UnknownApp, registry.no_such_app(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_the_first_part_below_apps() {
        assert_eq!(split_app("/apps/hello"), Some(("hello", "/")));
        assert_eq!(split_app("/apps/hello/"), Some(("hello", "/")));
        assert_eq!(split_app("/apps/hello/a%2Fb/c"), Some(("hello", "/a%2Fb/c")));
        assert_eq!(split_app("/apps/"), None);
        assert_eq!(split_app("/apps//x"), None);
        assert_eq!(split_app("/other"), None);
    }
}
