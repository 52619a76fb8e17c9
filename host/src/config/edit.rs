//! Changes to the text of an `apps.json`, whose other content and layout stay as they are.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstInputValue, CstRootNode};
use serde_json::json;
use std::path::Path;

use super::syntax_tree::{MARK, list_of};
use super::{Config, ConfigError};

impl Config {
    /// The text of an `apps.json` with one app more, at the end of its list, written as its other apps are. `text`:
    /// none for a file that is not there yet.
    ///
    /// # Errors
    /// The text, or what would become of it, is no good `apps.json`: there may be an app of this name already.
    ///
    /// ```
    /// # use atoll_host::config::Config;
    /// let text = Config::with_app(Some(r#"[{"name":"hello","path":"apps/hello"}]"#), "shop", "apps/shop", "apps.json")?;
    /// assert_eq!(text, r#"[{"name":"hello","path":"apps/hello"}, {"name":"shop","path":"apps/shop"}]"#);
    /// # Ok::<(), atoll_host::config::ConfigError>(())
    /// ```
    pub fn with_app(
        text: Option<&str>,
        name: &str,
        path: &str,
        file_name: &str,
    ) -> Result<String, ConfigError> {
        let app = [("name", name), ("path", path)];
        let edited = match text {
            None => format!("[\n  {}\n]\n", inline(&app, true)),
            Some(text) => {
                Config::parse(text, Path::new(""), file_name)?;
                // A good file has a list.
                append(text, &app).unwrap_or_else(|| text.to_owned())
            }
        };
        Config::parse(&edited, Path::new(""), file_name)?;
        Ok(edited)
    }

    /// The text of a good `apps.json` for another folder: with the apps that `path_of` has a path for there, by their
    /// names, and without `$schema`, which names a file by its path.
    ///
    /// # Errors
    /// The text is no good `apps.json`.
    ///
    /// ```
    /// # use atoll_host::config::Config;
    /// let text = r#"[{ "name": "shop", "path": "apps/shop", "workers": 2 }, { "name": "hello", "path": "apps/hello" }]"#;
    /// let text = Config::moved(text, "apps.json", |name| (name == "shop").then(|| "shop.so".to_owned()))?;
    /// assert_eq!(text, r#"[{ "name": "shop", "path": "shop.so", "workers": 2 }]"#);
    /// # Ok::<(), atoll_host::config::ConfigError>(())
    /// ```
    pub fn moved(
        text: &str,
        file_name: &str,
        path_of: impl Fn(&str) -> Option<String>,
    ) -> Result<String, ConfigError> {
        Config::parse(text, Path::new(""), file_name)?;
        // A good file has a list.
        let moved = move_apps(text, path_of).unwrap_or_else(|| text.to_owned());
        Config::parse(&moved, Path::new(""), file_name)?;
        Ok(moved)
    }
}

type Fields<'a> = [(&'a str, &'a str)];

fn append(text: &str, app: &Fields<'_>) -> Option<String> {
    let (mark, text) = match text.strip_prefix(MARK) {
        Some(text) => (MARK, text),
        None => ("", text),
    };
    let root = CstRootNode::parse(text, &ParseOptions::default()).ok()?;
    append_to(&list_of(&root)?, app);
    Some(format!("{mark}{root}"))
}

fn move_apps(text: &str, path_of: impl Fn(&str) -> Option<String>) -> Option<String> {
    let text = text.strip_prefix(MARK).unwrap_or(text);
    let root = CstRootNode::parse(text, &ParseOptions::default()).ok()?;
    for element in list_of(&root)?.elements() {
        let app = element.as_object()?;
        let name = app.get("name")?.value()?.as_string_lit()?.decoded_value().ok()?;
        match path_of(&name) {
            Some(path) => app.get("path")?.set_value(CstInputValue::from(path)),
            None => element.remove(),
        }
    }
    if let Some(schema) = root.object_value().and_then(|file| file.get("$schema")) {
        schema.remove();
    }
    Some(root.to_string())
}

fn append_to(list: &CstArray, app: &Fields<'_>) {
    let last = list.elements().last().map(ToString::to_string);
    match last {
        Some(last) if last.contains('\n') => {
            let fields = app.iter().map(|(key, value)| ((*key).to_owned(), CstInputValue::from(*value)));
            list.append(CstInputValue::Object(fields.collect()));
        }
        last => {
            if last.is_none() {
                list.ensure_multiline();
            }
            let spaced = last.is_none_or(|last| last.starts_with("{ "));
            // An object of its own would be written on several lines.
            let added = list.append(CstInputValue::from("")).as_string_lit();
            if let Some(added) = added {
                added.set_raw_value(inline(app, spaced));
            }
        }
    }
}

/// An object on one line.
fn inline(app: &Fields<'_>, spaced: bool) -> String {
    let [open, colon, comma, close] = if spaced { ["{ ", ": ", ", ", " }"] } else { ["{", ":", ",", "}"] };
    let fields = app.iter().map(|(key, value)| format!("{}{colon}{}", json!(key), json!(value)));
    format!("{open}{}{close}", fields.collect::<Vec<_>>().join(comma))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_shop(text: &str) -> String {
        Config::with_app(Some(text), "shop", "apps/shop", "apps.json").unwrap()
    }

    #[test]
    fn a_new_file_has_one_app() {
        let text = Config::with_app(None, "shop", "a \"b\"", "apps.json").unwrap();
        assert_eq!(text, "[\n  { \"name\": \"shop\", \"path\": \"a \\\"b\\\"\" }\n]\n");
    }

    #[test]
    fn an_app_is_written_as_the_others_are() {
        for (before, after) in [
            ("[]\n", "[\n  { \"name\": \"shop\", \"path\": \"apps/shop\" }\n]\n"),
            (
                "[\n\t{ \"name\": \"a\",  \"path\": \"x\" }\n]\n",
                "[\n\t{ \"name\": \"a\",  \"path\": \"x\" },\n\t{ \"name\": \"shop\", \"path\": \"apps/shop\" }\n]\n",
            ),
            (
                "\u{feff}{\"apps\": [\n    {\"path\": \"x\", \"name\": \"a\"}\n  ], \"defaults\": {\"workers\": 2}}",
                "\u{feff}{\"apps\": [\n    {\"path\": \"x\", \"name\": \"a\"},\n    {\"name\":\"shop\",\"path\":\"apps/shop\"}\n  ], \
                 \"defaults\": {\"workers\": 2}}",
            ),
            (
                "[\r\n    {\r\n        \"name\": \"a\",\r\n        \"path\": \"x\"\r\n    }\r\n]",
                "[\r\n    {\r\n        \"name\": \"a\",\r\n        \"path\": \"x\"\r\n    },\r\n    {\r\n        \
                 \"name\": \"shop\",\r\n        \"path\": \"apps/shop\"\r\n    }\r\n]",
            ),
        ] {
            assert_eq!(with_shop(before), after, "{before}");
        }
    }

    #[test]
    fn a_file_is_moved_with_all_it_says_but_for_paths() {
        let before = "{\n  \"$schema\": \"docs/apps.schema.json\",\n  \"defaults\": { \"workers\": 2 },\n  \"apps\": [\n    \
                      { \"path\": \"x\", \"name\": \"a\", \"config\": 1.50 },\n    { \"name\": \"b\", \"path\": \"y\" },\n    \
                      { \"name\": \"\\u0063\", \"path\": \"z\" }\n  ]\n}\n";
        let moved = Config::moved(before, "apps.json", |name| (name != "b").then(|| format!("{name}.so")));
        let after = "{\n  \"defaults\": { \"workers\": 2 },\n  \"apps\": [\n    \
                     { \"path\": \"a.so\", \"name\": \"a\", \"config\": 1.50 },\n    \
                     { \"name\": \"\\u0063\", \"path\": \"c.so\" }\n  ]\n}\n";
        assert_eq!(moved.unwrap(), after);
        assert_eq!(Config::moved("[{\"name\":\"a\",\"path\":\"x\"}]", "", |_| None).unwrap(), "[]");
    }

    #[test]
    fn what_is_wrong_is_said_and_nothing_is_added() {
        let with = |text| Config::with_app(Some(text), "a", "x", "apps.json").unwrap_err().to_string();
        assert!(with("[").contains("unclosed"));
        let twice = with("[{ \"name\": \"a\", \"path\": \"y\" }]");
        assert!(twice.contains("duplicate app name \"a\""), "{twice}");
    }
}
