//! Which app a path is for.

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use super::forwarded;
use super::mount::Mount;
use super::upgrade::names_websocket;
use crate::app::handle::App;
use crate::config::is_reserved;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::observe::text;
use crate::registry::Registry;

/// How many bytes of a path an answer repeats.
pub(crate) const MAX_SHOWN: usize = 256;

/// The path under which apps are.
const APPS: &str = "/apps/";

/// An app, and the path as it sees it.
pub(super) struct Target<'a> {
    pub(super) app: Arc<App>,
    /// What is taken off the path.
    pub(super) prefix: &'a str,
    /// The rest of it; begins with `/`.
    pub(super) path: &'a str,
    /// Whether the request's path is the prefix alone, without the slash that `path` has.
    pub(super) without_slash: bool,
}

impl<'a> Target<'a> {
    /// `rest` is what is left of a path without `prefix`.
    fn new(app: Arc<App>, prefix: &'a str, rest: &'a str) -> Self {
        let without_slash = rest.is_empty();
        Self { app, prefix, path: if without_slash { "/" } else { rest }, without_slash }
    }

    /// Where a client should go instead, as links of the page are relative to the URL that it has: `/apps/a` to `/apps/a/`.
    /// `outer` is what a proxy in front has taken off the path.
    ///
    /// Nothing else than a page has relative links. A WebSocket client follows no redirect.
    pub(super) fn redirect(&self, request: &HttpRequest, outer: &str) -> Option<HttpResponse> {
        let is_page = matches!(*request.method(), Method::GET | Method::HEAD) && !names_websocket(request);
        if !self.without_slash || !is_page {
            return None;
        }
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let location = HeaderValue::try_from(format!("{outer}{}/{query}", self.prefix)).ok()?;
        Some(HttpResponse::PermanentRedirect().insert_header((header::LOCATION, location)).finish())
    }
}

/// Finds the app of a request for `full_path` on `host`.
pub(super) fn target<'a>(
    mount: &Mount,
    host: Option<&str>,
    full_path: &'a str,
) -> Result<Target<'a>, Problem> {
    match mount {
        Mount::Root(app) => Ok(Target::new(app.clone(), "", full_path)),
        Mount::Registry(registry) if is_reserved(full_path) => {
            let (name, rest) = split_app(full_path).ok_or_else(|| not_found(full_path))?;
            let app = registry.find(name).ok_or_else(|| unknown_app(name, registry))?;
            Ok(Target::new(app, &full_path[..APPS.len() + name.len()], rest))
        }
        Mount::Registry(registry) => {
            let (app, length) = registry.route(host, full_path).ok_or_else(|| not_found(full_path))?;
            let (prefix, rest) = full_path.split_at(length);
            Ok(Target::new(app, prefix, rest))
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

/// The name and the rest of `/apps/{name}` and `/apps/{name}/…`.
fn split_app(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(APPS)?;
    let (name, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    (!name.is_empty()).then_some((name, rest))
}

/// Checks how a path is split.
#[cfg(feature = "fuzzing")]
pub(crate) fn check_target(host: &[u8], path: &str) {
    super::authority::check_soundness(host);
    if path.starts_with('/') {
        super::dots::check_agreement(path);
    }
    if let Some((name, rest)) = split_app(path) {
        assert!(is_reserved(path) && !name.contains('/') && (rest.is_empty() || rest.starts_with('/')));
        assert_eq!(path, format!("{APPS}{name}{rest}"));
    }
}

/// As much of a path as is repeated.
fn shown(path: &str) -> Cow<'_, str> {
    match text::start(path, MAX_SHOWN) {
        whole if whole.len() == path.len() => whole.into(),
        start => format!("{start}…").into(),
    }
}

fn not_found(path: &str) -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        format!("Nothing is served at {}. Apps are served at /apps/NAME/ and at their routes.", shown(path)),
    )
}

pub(super) fn unknown_app(name: &str, registry: &Registry) -> Problem {
    Problem::new(ProblemKind::UnknownApp, registry.no_such_app(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_start_of_a_path_is_repeated() {
        for (length, shows_all) in [(1, true), (MAX_SHOWN, true), (MAX_SHOWN + 1, false), (32 * 1024, false)]
        {
            let path = format!("/{}", "x".repeat(length - 1));
            let shown = shown(&path);
            assert_eq!(*shown == *path, shows_all, "{length}");
            assert!(shown.len() <= MAX_SHOWN + '…'.len_utf8() && (shows_all || shown.ends_with("x…")));
        }
    }

    #[test]
    fn an_app_is_the_first_part_below_apps() {
        assert_eq!(split_app("/apps/hello"), Some(("hello", "")));
        assert_eq!(split_app("/apps/hello/"), Some(("hello", "/")));
        assert_eq!(split_app("/apps/hello/a%2Fb/c"), Some(("hello", "/a%2Fb/c")));
        assert_eq!(split_app("/apps/"), None);
        assert_eq!(split_app("/apps//x"), None);
        assert_eq!(split_app("/other"), None);
    }
}
