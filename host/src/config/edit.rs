//! Adding an app to the text of an `apps.json`, whose other content and layout stay as they are.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstArray, CstInputValue, CstRootNode};
use serde_json::json;
use std::path::Path;

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
}

type Fields<'a> = [(&'a str, &'a str)];

fn append(text: &str, app: &Fields<'_>) -> Option<String> {
    let (mark, text) = match text.strip_prefix('\u{feff}') {
        Some(text) => ("\u{feff}", text),
        None => ("", text),
    };
    let root = CstRootNode::parse(text, &ParseOptions::default()).ok()?;
    let list = root.array_value().or_else(|| root.object_value()?.array_value("apps"))?;
    append_to(&list, app);
    Some(format!("{mark}{root}"))
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
    fn what_is_wrong_is_said_and_nothing_is_added() {
        let with = |text| Config::with_app(Some(text), "a", "x", "apps.json").unwrap_err().to_string();
        assert!(with("[").contains("never closed"));
        let twice = with("[{ \"name\": \"a\", \"path\": \"y\" }]");
        assert!(twice.contains("expected names that differ, found \"a\" again"), "{twice}");
    }
}
