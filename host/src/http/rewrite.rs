//! Paths in the headers of an app's response: an app that is served under a prefix names its own paths, and clients need
//! those of the host.

use std::borrow::Cow;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Where an app is served, as its client sees it.
pub(super) struct Rewrite<'a> {
    /// What comes before the app's paths: `/apps/shop`, without a slash at the end, and not empty.
    prefix: Cow<'a, str>,
    /// What the client calls this host.
    host: Option<&'a str>,
}

/// Paths of the host, under which all apps are.
const OF_THE_HOST: [&str; 2] = ["/apps", "/rpc"];

impl<'a> Rewrite<'a> {
    /// For an app at `prefix` of a host that a proxy serves at `outer`. `None`: the app's paths are those of the client.
    pub(super) fn new(outer: &'a str, prefix: &'a str, host: Option<&'a str>) -> Option<Self> {
        let prefix = match outer {
            "" => Cow::Borrowed(prefix),
            outer => Cow::Owned(format!("{outer}{prefix}")),
        };
        (!prefix.is_empty()).then_some(Self { prefix, host })
    }

    /// Puts the prefix before the paths in `Location`, `Refresh` and `Set-Cookie`.
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        self.each(headers, header::LOCATION, |value| self.url(value));
        self.each(headers, header::REFRESH, |value| self.refresh(value));
        self.each(headers, header::SET_COOKIE, |value| self.cookie(value));
    }

    /// Replaces the values of a header for which there is another.
    fn each(&self, headers: &mut HeaderMap, name: HeaderName, change: impl Fn(&str) -> Option<String>) {
        let changed = |value: &HeaderValue| HeaderValue::from_str(&change(value.to_str().ok()?)?).ok();
        let values: Vec<_> = headers.get_all(&name).map(|value| (value.clone(), changed(value))).collect();
        if values.iter().all(|(_, changed)| changed.is_none()) {
            return;
        }
        headers.remove(&name);
        for (value, changed) in values {
            headers.append(name.clone(), changed.unwrap_or(value));
        }
    }

    /// The path with the prefix; `None`: it has it already, is one of the host's, or is relative.
    fn path(&self, path: &str) -> Option<String> {
        let is_absolute = path.starts_with('/') && !path.starts_with("//") && !path.starts_with("/\\");
        let is_under = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
        };
        let stays = !is_absolute || is_under(&self.prefix) || OF_THE_HOST.into_iter().any(is_under);
        (!stays).then(|| format!("{}{path}", self.prefix))
    }

    /// A path, or a URL of this host.
    fn url(&self, url: &str) -> Option<String> {
        let Some((scheme, rest)) = url.split_once("://") else { return self.path(url) };
        let (authority, path) = rest.split_at(rest.find('/')?);
        let is_here = matches!(scheme, "http" | "https") && self.host == Some(authority);
        let path = self.path(path).filter(|_| is_here)?;
        Some(format!("{scheme}://{authority}{path}"))
    }

    /// `5; url=/path`.
    fn refresh(&self, value: &str) -> Option<String> {
        let at = value.to_ascii_lowercase().find("url=")? + "url=".len();
        let (before, url) = value.split_at(at);
        Some(format!("{before}{}", self.url(url.trim())?))
    }

    /// `name=value; Path=/path`. One whose name begins with `__Host-` must have the path `/`.
    fn cookie(&self, value: &str) -> Option<String> {
        let mut parts = value.split(';');
        let pair = parts.next()?;
        if pair.trim_start().starts_with("__Host-") {
            return None;
        }
        let mut is_changed = false;
        let mut cookie = pair.to_owned();
        for attribute in parts {
            cookie.push(';');
            let path = attribute.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("path"));
            match path.and_then(|(name, path)| Some((name, self.path(path.trim())?))) {
                Some((name, path)) => {
                    is_changed = true;
                    // `/apps/shop` is for all paths of the app, and `/apps/shop/` not for the one without a slash.
                    let path = if path.len() == self.prefix.len() + 1 { &*self.prefix } else { &path };
                    cookie.push_str(&format!("{name}={path}"));
                }
                None => cookie.push_str(attribute),
            }
        }
        is_changed.then_some(cookie)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REWRITE: Rewrite<'_> =
        Rewrite { prefix: Cow::Borrowed("/apps/shop"), host: Some("example.com:3000") };

    #[test]
    fn only_an_app_under_a_prefix_needs_it() {
        assert!(Rewrite::new("", "", None).is_none());
        assert_eq!(Rewrite::new("/outer", "/a", None).unwrap().url("/x").as_deref(), Some("/outer/a/x"));
        assert_eq!(Rewrite::new("/outer", "", None).unwrap().url("/x").as_deref(), Some("/outer/x"));
    }

    #[test]
    fn paths_of_the_app_get_its_prefix_and_others_stay() {
        for (url, expected) in [
            ("/cart", "/apps/shop/cart"),
            ("/", "/apps/shop/"),
            ("/apps/shop2", "/apps/shop2"),
            ("/appshop", "/apps/shop/appshop"),
            ("/?a=/b", "/apps/shop/?a=/b"),
            ("http://example.com:3000/cart", "http://example.com:3000/apps/shop/cart"),
            ("https://example.com:3000/apps/shop/cart", "https://example.com:3000/apps/shop/cart"),
        ] {
            assert_eq!(REWRITE.url(url).as_deref().unwrap_or(url), expected);
        }
        for url in [
            "",
            "cart",
            "../cart",
            "?a=b",
            "//other.example/x",
            "/\\other",
            "/apps",
            "/apps/shop",
            "/apps/shop?a",
            "/rpc/shop",
        ] {
            assert_eq!(REWRITE.url(url), None, "{url}");
        }
        for url in [
            "http://other.example/cart",
            "mailto:a@b.c",
            "http://example.com:3000",
            "ftp://example.com:3000/x",
        ] {
            assert_eq!(REWRITE.url(url), None, "{url}");
        }
    }

    #[test]
    fn the_path_of_a_cookie_is_that_of_the_app() {
        for (cookie, expected) in [
            ("id=1; Path=/; HttpOnly", Some("id=1; Path=/apps/shop; HttpOnly")),
            ("id=1;path=/cart", Some("id=1;path=/apps/shop/cart")),
            ("id=/; Secure", None),
            ("id=1; Path=/apps/shop", None),
            ("__Host-id=1; Path=/; Secure", None),
            ("id=1; Path=cart", None),
            ("id=1; Domain=a; Path= / ; Max-Age=1", Some("id=1; Domain=a; Path=/apps/shop; Max-Age=1")),
        ] {
            assert_eq!(REWRITE.cookie(cookie).as_deref(), expected, "{cookie}");
        }
    }

    #[test]
    fn all_values_of_a_header_are_seen_and_their_order_stays() {
        let mut headers = HeaderMap::new();
        for cookie in ["a=1; Path=/", "b=2", "c=3; Path=/x"] {
            headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
        }
        headers.append(header::LOCATION, HeaderValue::from_static("/there"));
        headers.append(header::REFRESH, HeaderValue::from_static("5; URL=/there"));
        headers.append(header::LINK, HeaderValue::from_static("</there>"));
        REWRITE.apply(&mut headers);
        let all = |name| headers.get_all(name).map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(all(header::SET_COOKIE), ["a=1; Path=/apps/shop", "b=2", "c=3; Path=/apps/shop/x"]);
        assert_eq!(all(header::LOCATION), ["/apps/shop/there"]);
        assert_eq!(all(header::REFRESH), ["5; URL=/apps/shop/there"]);
        assert_eq!(all(header::LINK), ["</there>"]);
    }
}
