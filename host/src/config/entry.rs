//! The entry of one app in the text of an `apps.json`: what is written there besides its name and its path.

use std::path::Path;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};
use serde_json::{Map, Value};

use super::syntax_tree::{MARK, list_of};
use super::{Config, ConfigError};

/// What an `apps.json` has of an app besides its name and its path: its settings as they are written, its routes and its id.
pub type Entry = Map<String, Value>;

/// What an app has in the file that is not part of an [`Entry`].
pub(crate) const NOT_IN_ENTRY: [&str; 2] = ["name", "path"];

impl Config {
    /// The entry of an app, as it is written; `None`: there is none in the text, or it is no `apps.json`.
    ///
    /// ```
    /// # use atoll_host::config::Config;
    /// let text = r#"{ "defaults": { "queue": 7 }, "apps": [{ "name": "shop", "path": "shop.so", "workers": 2 }] }"#;
    /// assert_eq!(Config::entry(text, "shop").unwrap()["workers"], 2);
    /// assert!(Config::entry(text, "cart").is_none());
    /// ```
    pub fn entry(text: &str, name: &str) -> Option<Entry> {
        entry_of(&parse(text)?, name)
    }

    /// The entry of an app with what `defaults` add to it, for an `apps.json` with other ones. How its crate is built is left
    /// out.
    ///
    /// ```
    /// # use atoll_host::config::Config;
    /// let text = r#"{ "defaults": { "queue": 7, "env": { "A": "1", "B": "1" } },
    ///     "apps": [{ "name": "shop", "path": "apps/shop", "env": { "B": "2" }, "build": { "locked": true } }] }"#;
    /// let entry = Config::complete_entry(text, "shop").unwrap();
    /// assert_eq!(serde_json::to_string(&entry).unwrap(), r#"{"env":{"A":"1","B":"2"},"queue":7}"#);
    /// ```
    pub fn complete_entry(text: &str, name: &str) -> Option<Entry> {
        let file = parse(text)?;
        let mut entry = entry_of(&file, name)?;
        for (setting, default) in file.get("defaults").and_then(Value::as_object).into_iter().flatten() {
            match entry.get_mut(setting) {
                None => drop(entry.insert(setting.clone(), default.clone())),
                Some(own) if matches!(&**setting, "env" | "headers") => {
                    merge(own, default, setting == "headers")
                }
                Some(_) => {}
            }
        }
        entry.remove("build");
        Some(sorted(entry))
    }

    /// The text of an `apps.json` in which an app has this path and this entry; it is added, if there is none of this name. What
    /// is the same stays as it is written.
    ///
    /// # Errors
    /// The text, or what would become of it, is no good `apps.json`: another app may have its route.
    ///
    /// ```
    /// # use atoll_host::config::Config;
    /// let entry = Config::entry(r#"[{ "name": "shop", "path": "x", "workers": 2 }]"#, "shop").unwrap();
    /// let text = r#"[{ "name": "shop", "path": "shop.so", "queue": 7 }, { "name": "cart", "path": "cart.so" }]"#;
    /// let text = Config::with_entry(text, "shop", "shop.so", &entry, "apps.json")?;
    /// assert_eq!(Config::entry(&text, "shop").unwrap(), entry);
    /// assert!(Config::entry(&text, "cart").unwrap().is_empty());
    /// # Ok::<(), atoll_host::config::ConfigError>(())
    /// ```
    pub fn with_entry(
        text: &str,
        name: &str,
        path: &str,
        entry: &Entry,
        file_name: &str,
    ) -> Result<String, ConfigError> {
        Config::parse(text, Path::new(""), file_name)?;
        // A good file has a list.
        let edited = set(text, name, path, entry).unwrap_or_else(|| text.to_owned());
        Config::parse(&edited, Path::new(""), file_name)?;
        Ok(edited)
    }

    /// The text of an `apps.json` without an app.
    ///
    /// # Errors
    /// The text is no good `apps.json`.
    pub fn without_entry(text: &str, name: &str, file_name: &str) -> Result<String, ConfigError> {
        Config::parse(text, Path::new(""), file_name)?;
        let edited = remove(text, name).unwrap_or_else(|| text.to_owned());
        Config::parse(&edited, Path::new(""), file_name)?;
        Ok(edited)
    }
}

/// With the fields of all objects in the order of their names.
pub(crate) fn sorted(entry: Entry) -> Entry {
    let mut fields: Vec<(String, Value)> = entry.into_iter().collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields.into_iter().map(|(name, value)| (name, sorted_value(value))).collect()
}

fn sorted_value(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(sorted(fields)),
        Value::Array(values) => Value::Array(values.into_iter().map(sorted_value).collect()),
        other => other,
    }
}

fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text.strip_prefix(MARK).unwrap_or(text)).ok()
}

fn entry_of(file: &Value, name: &str) -> Option<Entry> {
    let apps = file.as_array().or_else(|| file.get("apps")?.as_array())?;
    let app = apps.iter().find(|app| app.get("name").and_then(Value::as_str) == Some(name))?;
    let mut entry = app.as_object()?.clone();
    entry.retain(|field, _| !NOT_IN_ENTRY.contains(&field.as_str()));
    Some(sorted(entry))
}

/// Adds the names of a default that are not there.
fn merge(own: &mut Value, default: &Value, ignores_case: bool) {
    let (Some(own), Some(default)) = (own.as_object_mut(), default.as_object()) else { return };
    for (name, value) in default {
        let is_same = |known: &String| known == name || ignores_case && known.eq_ignore_ascii_case(name);
        if !own.keys().any(is_same) {
            own.insert(name.clone(), value.clone());
        }
    }
}

/// The object of an app in the text.
fn find(root: &CstRootNode, name: &str) -> Option<CstObject> {
    let named = |app: &CstObject| {
        let found = app.get("name")?.value()?.as_string_lit()?.decoded_value().ok()?;
        (found == name).then_some(())
    };
    list_of(root)?.elements().iter().filter_map(|app| app.as_object()).find(|app| named(app).is_some())
}

fn set(text: &str, name: &str, path: &str, entry: &Entry) -> Option<String> {
    let (mark, text) = match text.strip_prefix(MARK) {
        Some(text) => (MARK, text),
        None => ("", text),
    };
    let root = CstRootNode::parse(text, &ParseOptions::default()).ok()?;
    let text_of = |value: &str| CstInputValue::String(value.to_owned());
    let Some(app) = find(&root, name) else {
        let list = list_of(&root)?;
        // A list with elements keeps its layout; to change it takes as long as the square of their number.
        if list.elements().is_empty() {
            list.ensure_multiline();
        }
        let own = [("name".to_owned(), text_of(name)), ("path".to_owned(), text_of(path))];
        let fields = entry.iter().map(|(field, value)| (field.clone(), input(value)));
        list.append(CstInputValue::Object(own.into_iter().chain(fields).collect()));
        return Some(format!("{mark}{root}"));
    };
    let before = entry_of(&parse(text)?, name)?;
    if app.get("path")?.value()?.as_string_lit()?.decoded_value().ok()? != path {
        app.get("path")?.set_value(text_of(path));
    }
    for property in app.properties() {
        let field = property.decoded_name()?;
        if !NOT_IN_ENTRY.contains(&field.as_str()) && !entry.contains_key(&field) {
            property.remove();
        }
    }
    for (field, value) in entry {
        match app.get(field) {
            Some(_) if before.get(field).is_some_and(|before| *before == sorted_value(value.clone())) => {}
            Some(property) => property.set_value(input(value)),
            None => drop(app.append(field, input(value))),
        }
    }
    Some(format!("{mark}{root}"))
}

fn remove(text: &str, name: &str) -> Option<String> {
    let root = CstRootNode::parse(text.strip_prefix(MARK).unwrap_or(text), &ParseOptions::default()).ok()?;
    find(&root, name)?.remove();
    Some(root.to_string())
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(values) => CstInputValue::Array(values.iter().map(input).collect()),
        Value::Object(fields) => {
            CstInputValue::Object(fields.iter().map(|(name, value)| (name.clone(), input(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(value: Value) -> Entry {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_is_the_same_stays_as_it_is_written() {
        let text = "{\n  \"defaults\": { \"workers\": 2 },\n  \"apps\": [\n    { \"name\": \"a\", \"path\": \"a.so\", \
                    \"env\": {\"X\":  \"1\"}, \"queue\": 7 },\n    { \"name\": \"b\",   \"path\": \"b.so\" }\n  ]\n}\n";
        let same = entry(json!({ "queue": 7, "env": { "X": "1" } }));
        assert_eq!(Config::with_entry(text, "a", "a.so", &same, "").unwrap(), text);
        let other = entry(json!({ "env": { "X": "1" }, "queue": 8 }));
        let edited = Config::with_entry(text, "a", "a.so", &other, "").unwrap();
        assert_eq!(edited, text.replace("\"queue\": 7", "\"queue\": 8"));
        let none = Config::with_entry(&edited, "a", "a.so", &Entry::new(), "").unwrap();
        assert!(Config::entry(&none, "a").unwrap().is_empty());
        assert!(none.contains("{ \"name\": \"b\",   \"path\": \"b.so\" }"), "{none}");
    }

    #[test]
    fn an_app_is_added_and_removed() {
        for text in ["[]\n", "{ \"apps\": [] }", "\u{feff}[{ \"name\": \"b\", \"path\": \"b.so\" }]"] {
            let new = entry(
                json!({ "route": { "path_prefix": "/a" }, "config": { "deep": [1, 2.5, null, true, { "x": "y" }] } }),
            );
            let edited = Config::with_entry(text, "a", "a.so", &new, "").unwrap();
            assert_eq!(Config::entry(&edited, "a").unwrap(), new, "{edited}");
            let removed = Config::without_entry(&edited, "a", "").unwrap();
            assert_eq!(Config::entry(&removed, "a"), None);
            assert_eq!(Config::entry(&removed, "b"), Config::entry(text, "b"));
        }
    }

    #[test]
    fn what_would_be_no_good_file_is_refused() {
        let text = r#"[{ "name": "b", "path": "b.so", "route": { "path_prefix": "/shop" } }]"#;
        let refused =
            |value: Value| Config::with_entry(text, "a", "a.so", &entry(value), "apps.json").unwrap_err();
        assert!(refused(json!({ "wokers": 2 })).to_string().contains("workers"));
        assert!(refused(json!({ "route": { "path_prefix": "/shop" } })).to_string().contains("/shop"));
        assert!(Config::with_entry("[", "a", "a.so", &Entry::new(), "").is_err());
    }

    #[test]
    fn an_entry_has_what_the_defaults_add() {
        let text = json!({
            "defaults": { "workers": 2, "headers": { "X-A": "1", "X-B": "1" }, "cors": { "origins": "*" } },
            "apps": [{ "name": "a", "path": "x", "id": "7", "workers": 3, "headers": { "x-a": "2" }, "cors": null }],
        });
        let found = Config::complete_entry(&text.to_string(), "a").unwrap();
        let expected =
            json!({ "id": "7", "workers": 3, "headers": { "x-a": "2", "X-B": "1" }, "cors": null });
        assert_eq!(Value::Object(found), expected);
        assert_eq!(Config::complete_entry(&text.to_string(), "b"), None);
    }
}
