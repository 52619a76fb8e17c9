//! Which app a request is for by its host and path, where its path is not under `/apps/`.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::config::Route;

/// Apps, or what stands for them, by their routes. A lookup takes as long for many as for few.
#[derive(Clone, Debug)]
pub(crate) struct Routes<T> {
    named: HashMap<String, Prefixes<T>>,
    /// By what is behind `*.`.
    wildcard: HashMap<String, Prefixes<T>>,
    any: Prefixes<T>,
}

/// What was found, and how many bytes of the path are the prefix.
type Found<T> = (T, usize);

/// The longest prefix of a path, segment by segment.
#[derive(Clone, Debug)]
struct Prefixes<T>(matchit::Router<Found<T>>);

impl<T> Default for Routes<T> {
    fn default() -> Self {
        Self { named: HashMap::new(), wildcard: HashMap::new(), any: Prefixes::default() }
    }
}

impl<T: Clone> Routes<T> {
    /// Adds a route. One that is there already stays as it is; a configuration has none twice.
    pub(crate) fn add(&mut self, route: &Route, to: T) {
        let prefixes = match route.host.as_deref().map(|host| (host, host.strip_prefix("*."))) {
            None => &mut self.any,
            Some((_, Some(rest))) => self.wildcard.entry(rest.to_owned()).or_default(),
            Some((host, None)) => self.named.entry(host.to_owned()).or_default(),
        };
        prefixes.add(route.prefix(), to);
    }

    /// Where a request goes: its own host comes before a wildcard, and that before routes of any host; among those of
    /// one host the longest prefix counts. `host` is as the request has it.
    pub(crate) fn find(&self, host: Option<&str>, path: &str) -> Option<&Found<T>> {
        let host = host.filter(|_| !self.named.is_empty() || !self.wildcard.is_empty()).map(name);
        let of_name = || self.named.get(&**host.as_ref()?)?.find(path);
        let of_wildcard = || self.wildcard.get(host.as_ref()?.split_once('.')?.1)?.find(path);
        of_name().or_else(of_wildcard).or_else(|| self.any.find(path))
    }
}

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self(matchit::Router::new())
    }
}

impl<T: Clone> Prefixes<T> {
    fn add(&mut self, prefix: &str, to: T) {
        for rest in ["", "/", "/{*rest}"] {
            if prefix.is_empty() && rest.is_empty() {
                continue;
            }
            // What is there already stays.
            let _ = self.0.insert(format!("{prefix}{rest}"), (to.clone(), prefix.len()));
        }
    }

    fn find(&self, path: &str) -> Option<&Found<T>> {
        self.0.at(path).ok().map(|matched| matched.value)
    }
}

/// A host's name in lower case, without its port and without the dot that may end it.
fn name(host: &str) -> Cow<'_, str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn route(host: &str, prefix: &str) -> Route {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Route { host: some(host), path_prefix: some(prefix) }
    }

    fn routes(all: &[(&str, &str)]) -> Routes<String> {
        let mut routes = Routes::default();
        for (host, prefix) in all {
            routes.add(&route(host, prefix), format!("{host}{prefix}"));
        }
        routes
    }

    #[test]
    fn the_nearest_host_comes_first() {
        let routes = routes(&[
            ("a.example", "/v1"),
            ("a.example", "/v1/deep"),
            ("*.example", ""),
            ("", "/v1"),
            ("", "/other"),
            ("127.0.0.1", "/"),
        ]);
        for (host, path, expected) in [
            (Some("a.example"), "/v1", Some("a.example/v1")),
            (Some("a.example"), "/v1/", Some("a.example/v1")),
            (Some("A.Example.:8080"), "/v1/deep/er", Some("a.example/v1/deep")),
            (Some("a.example"), "/v1/deeper", Some("a.example/v1")),
            (Some("a.example"), "/v12", Some("*.example")),
            (Some("a.example"), "/", Some("*.example")),
            (Some("b.example"), "/v1", Some("*.example")),
            (Some("b.b.example"), "/v1", Some("/v1")),
            (Some("example"), "/v1/x", Some("/v1")),
            (Some("127.0.0.1:3000"), "/v1/x", Some("127.0.0.1/")),
            (Some("[::1]:3000"), "/other", Some("/other")),
            (None, "/v1", Some("/v1")),
            (None, "/", None),
            (None, "*", None),
            (Some("other"), "/v", None),
        ] {
            let found = routes.find(host, path).map(|(to, _)| to.as_str());
            assert_eq!(found, expected, "{host:?} {path}");
        }
        assert_eq!(routes.find(Some("a.example"), "/v1/deep/er").unwrap().1, "/v1/deep".len());
        assert_eq!(routes.find(Some("b.example"), "/v1").unwrap().1, 0);
    }

    proptest! {
        /// What a search through all of them finds.
        #[test]
        fn the_longest_prefix_is_found(
            prefixes in prop::collection::hash_set("(/[ab*:]{1,2}){0,3}", 0..12),
            path in "(/[ab*:]{0,3}){1,4}",
        ) {
            let mut all = Prefixes::default();
            for prefix in &prefixes {
                all.add(prefix, ());
            }
            let fits = |prefix: &&String| {
                path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            let longest = prefixes.iter().filter(fits).map(String::len).max();
            prop_assert_eq!(all.find(&path).map(|(_, length)| *length), longest);
        }
    }
}
