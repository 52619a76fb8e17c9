//! Which handlers a path and a method lead to.

use std::cell::OnceCell;
use std::fmt;

use crate::http::handler::BoxedHandler;
use crate::http::params::Params;
use crate::http::pattern::{Pattern, Rest};
use atoll_protocol::Error;

/// The routes of an application.
#[derive(Default)]
pub(crate) struct Routes {
    routes: Vec<Route>,
    /// Made when the first request comes, as only then it is known which parents of catch-alls are free.
    table: OnceCell<Table>,
}

/// All handlers of one pattern.
#[derive(Debug)]
struct Route {
    pattern: Pattern,
    handlers: Vec<(Method, BoxedHandler)>,
}

/// A method that a handler is for; `None` is all of them.
pub(crate) type Method = Option<&'static str>;

/// The patterns, to be searched. One router has room for all that most apps have; but `/{name}` and `/{*rest}`
/// exclude each other in one, and then there are several.
type Table = Vec<matchit::Router<Target>>;

#[derive(Clone, Copy, Debug)]
struct Target {
    route: usize,
    /// The route ends with a catch-all, and this is the pattern in front of it.
    empty_rest: bool,
}

/// What a path and a method lead to.
#[derive(Debug)]
pub(crate) enum Found {
    /// The handlers of `routes[index]` that are for this method; there is at least one.
    Route { index: usize, params: Params },
    /// There are routes for this path, but for the methods given only.
    OtherMethods { allow: String },
    /// There is no route.
    Nothing,
    /// The path is not one that can be read.
    Malformed(Error),
}

impl Routes {
    /// Adds a handler to a pattern.
    ///
    /// # Panics
    /// When the pattern is not one, or cannot be told from another one.
    #[track_caller]
    pub(crate) fn add(&mut self, method: Method, text: &str, handler: BoxedHandler) {
        self.table.take();
        if let Some(route) = self.routes.iter_mut().find(|route| route.pattern.text == text) {
            return route.handlers.push((method, handler));
        }
        let pattern = match Pattern::parse(text) {
            Ok(pattern) => pattern,
            Err(reason) => panic!("malformed route {text:?}: {reason}"),
        };
        if let Some(other) = self.routes.iter().find(|route| route.pattern.shape == pattern.shape) {
            let other = &other.pattern.text;
            panic!("the route {text:?} conflicts with the route {other:?}");
        }
        self.routes.push(Route { pattern, handlers: vec![(method, handler)] });
    }

    pub(crate) fn find(&self, method: &str, path: &str) -> Found {
        let matches = self.table().iter().filter_map(|router| router.at(path).ok());
        let segments = |target: &Target| &self.routes[target.route].pattern.segments;
        let Some(matched) = matches.min_by(|a, b| segments(a.value).cmp(segments(b.value))) else {
            return Found::Nothing;
        };
        let Target { route: index, empty_rest } = *matched.value;
        let route = &self.routes[index];
        if route.handlers_for(method, 0).is_none() {
            return Found::OtherMethods { allow: route.allow() };
        }
        let rest = route.pattern.rest.iter().filter(|_| empty_rest).map(|rest| (&*rest.name, ""));
        match Params::decode(matched.params.iter().chain(rest)) {
            Ok(params) => Found::Route { index, params },
            Err(error) => Found::Malformed(error),
        }
    }

    /// The next handler of `routes[index]` for this method, at `from` or after it, and the position behind it.
    pub(crate) fn next_handler(
        &self,
        index: usize,
        method: &str,
        from: usize,
    ) -> Option<(&BoxedHandler, usize)> {
        self.routes[index].handlers_for(method, from)
    }

    fn table(&self) -> &Table {
        self.table.get_or_init(|| {
            let mut table = Table::new();
            for (route, Route { pattern, .. }) in self.routes.iter().enumerate() {
                insert(&mut table, &pattern.text, Target { route, empty_rest: false });
            }
            for (route, Route { pattern, .. }) in self.routes.iter().enumerate() {
                if let Some(Rest { parent, .. }) = &pattern.rest
                    && let Ok(parent) = Pattern::parse(parent)
                    && self.routes.iter().all(|route| route.pattern.shape != parent.shape)
                {
                    insert(&mut table, &parent.text, Target { route, empty_rest: true });
                }
            }
            table
        })
    }
}

/// Inserts a pattern into the first router that has room for it.
fn insert(table: &mut Table, pattern: &str, target: Target) {
    if table.iter_mut().any(|router| router.insert(pattern, target).is_ok()) {
        return;
    }
    let mut router = matchit::Router::new();
    router.insert(pattern, target).expect("a pattern that was read before");
    table.push(router);
}

impl Route {
    fn handlers_for(&self, method: &str, from: usize) -> Option<(&BoxedHandler, usize)> {
        let method = if method == "HEAD" && !self.has("HEAD") { "GET" } else { method };
        let accepts = |of: Method| of.is_none_or(|of| of == method);
        let (position, (_, handler)) =
            self.handlers.iter().enumerate().skip(from).find(|(_, (of, _))| accepts(*of))?;
        Some((handler, position + 1))
    }

    fn has(&self, method: &str) -> bool {
        self.handlers.iter().any(|(of, _)| *of == Some(method))
    }

    /// The value of the header `allow`.
    fn allow(&self) -> String {
        let mut methods = Vec::new();
        for method in self.handlers.iter().filter_map(|(method, _)| *method) {
            let implied = (method == "GET").then_some("HEAD");
            for method in std::iter::once(method).chain(implied) {
                if !methods.contains(&method) {
                    methods.push(method);
                }
            }
        }
        methods.join(", ")
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handlers =
            |route: &Route| route.handlers.iter().map(|(of, _)| of.unwrap_or("*")).collect::<Vec<_>>();
        f.debug_map().entries(self.routes.iter().map(|route| (&route.pattern.text, handlers(route)))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::handler::Handler;
    use crate::http::request::Request;

    fn routes(patterns: &[(Method, &str)]) -> Routes {
        let mut routes = Routes::default();
        for (method, pattern) in patterns {
            routes.add(*method, pattern, (|_: Request| ()).boxed());
        }
        routes
    }

    /// The pattern that is found and the parameters, as text.
    fn found(routes: &Routes, method: &str, path: &str) -> String {
        match routes.find(method, path) {
            Found::Route { index, params } => format!("{} {params:?}", routes.routes[index].pattern.text),
            Found::OtherMethods { allow } => format!("allow {allow}"),
            Found::Nothing => "nothing".to_owned(),
            Found::Malformed(error) => error.to_string(),
        }
    }

    #[test]
    fn the_most_specific_pattern_wins() {
        let routes = routes(&[(None, "/{*all}"), (None, "/a/{x}"), (None, "/a/b"), (None, "/a/{x}/{*rest}")]);
        assert_eq!(found(&routes, "GET", "/a/b"), "/a/b {}");
        assert_eq!(found(&routes, "GET", "/a/c%20d"), r#"/a/{x} {"x": "c d"}"#);
        assert_eq!(found(&routes, "GET", "/a/c/d/e"), r#"/a/{x}/{*rest} {"x": "c", "rest": "d/e"}"#);
        assert_eq!(found(&routes, "GET", "/b"), r#"/{*all} {"all": "b"}"#);
        assert_eq!(found(&routes, "GET", "/%ff"), "the path parameter `all` is not UTF-8");
    }

    #[test]
    fn a_catch_all_catches_nothing_too() {
        let all = routes(&[(None, "/{*all}"), (None, "/files/{*rest}"), (None, "/{user}/of/{*rest}")]);
        assert_eq!(found(&all, "GET", "/"), r#"/{*all} {"all": ""}"#);
        assert_eq!(found(&all, "GET", "/files/"), r#"/files/{*rest} {"rest": ""}"#);
        assert_eq!(found(&all, "GET", "/ann/of/"), r#"/{user}/of/{*rest} {"user": "ann", "rest": ""}"#);
        assert_eq!(found(&all, "GET", "/files"), r#"/{*all} {"all": "files"}"#);
        assert_eq!(found(&routes(&[(None, "/{{*a}}")]), "GET", "/"), "nothing");
    }

    #[test]
    fn a_route_for_the_root_goes_before_a_catch_all() {
        for patterns in [["/", "/{*all}"], ["/{*all}", "/"]] {
            assert_eq!(found(&routes(&patterns.map(|pattern| (None, pattern))), "GET", "/"), "/ {}");
        }
        let named = routes(&[(None, "/{a}/{*rest}"), (None, "/{b}/")]);
        assert_eq!(found(&named, "GET", "/x/"), r#"/{b}/ {"b": "x"}"#);
    }

    #[test]
    fn a_route_may_be_added_after_a_search() {
        let mut routes = routes(&[(None, "/{*all}")]);
        assert_eq!(found(&routes, "GET", "/"), r#"/{*all} {"all": ""}"#);
        routes.add(None, "/", (|_: Request| ()).boxed());
        assert_eq!(found(&routes, "GET", "/"), "/ {}");
    }

    #[test]
    fn a_method_has_to_be_there() {
        let some =
            routes(&[(Some("GET"), "/x"), (Some("PUT"), "/x"), (Some("GET"), "/x"), (Some("HEAD"), "/x")]);
        assert_eq!(found(&some, "POST", "/x"), "allow GET, HEAD, PUT");
        assert_eq!(found(&some, "PUT", "/x"), "/x {}");
        let all = routes(&[(Some("GET"), "/x"), (None, "/x")]);
        assert_eq!(found(&all, "BREW", "/x"), "/x {}");
    }

    #[test]
    fn head_uses_get_unless_it_has_a_handler() {
        let positions = |routes: &Routes| {
            let mut positions = Vec::new();
            while let Some((_, next)) = routes.next_handler(0, "HEAD", positions.last().copied().unwrap_or(0))
            {
                positions.push(next);
            }
            positions
        };
        assert_eq!(positions(&routes(&[(Some("GET"), "/"), (None, "/"), (Some("PUT"), "/")])), [1, 2]);
        assert_eq!(positions(&routes(&[(Some("GET"), "/"), (None, "/"), (Some("HEAD"), "/")])), [2, 3]);
    }

    #[test]
    fn a_parameter_goes_before_a_catch_all_in_any_order() {
        for patterns in
            [["/{id}", "/{*all}", "/s/{*rest}", "/{a}/{b}"], ["/{a}/{b}", "/s/{*rest}", "/{*all}", "/{id}"]]
        {
            let routes = routes(&patterns.map(|pattern| (None, pattern)));
            assert_eq!(found(&routes, "GET", "/"), r#"/{*all} {"all": ""}"#);
            assert_eq!(found(&routes, "GET", "/7"), r#"/{id} {"id": "7"}"#);
            assert_eq!(found(&routes, "GET", "/7/8"), r#"/{a}/{b} {"a": "7", "b": "8"}"#);
            assert_eq!(found(&routes, "GET", "/7/8/9"), r#"/{*all} {"all": "7/8/9"}"#);
            assert_eq!(found(&routes, "GET", "/s/8"), r#"/s/{*rest} {"rest": "8"}"#);
            assert_eq!(found(&routes, "GET", "/s/"), r#"/s/{*rest} {"rest": ""}"#);
        }
    }

    #[test]
    #[should_panic(expected = r#"the route "/{b}/x" conflicts with the route "/{a}/x""#)]
    fn a_conflict_names_both_routes() {
        routes(&[(None, "/{a}/x"), (None, "/{b}/x")]);
    }

    #[test]
    #[should_panic(expected = r#"malformed route "/{*a}/b": `{*name}` must be at the end"#)]
    fn a_bad_pattern_is_named() {
        routes(&[(None, "/{*a}/b")]);
    }
}
