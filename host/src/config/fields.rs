//! The fields of an object: each is asked for by name, and what nobody asked for is an error.

use super::{
    diagnostic::Report,
    node::{Node, quoted},
    suggest::nearest_field,
};
use jsonc_parser::{ast, common::Ranged};
use std::ops::Range;

/// An object being read. Asking for a field makes its name known; [`finish`](Fields::finish) then compares the
/// names in the file with the known ones, so there is no second list of them that could differ.
pub(super) struct Fields<'d> {
    report: &'d Report<'d>,
    path: String,
    object: &'d ast::Object<'d>,
    known: Vec<&'static str>,
    missing: Vec<(&'static str, &'static str)>,
}

impl<'d> Fields<'d> {
    pub(super) fn new(report: &'d Report<'d>, path: String, object: &'d ast::Object<'d>) -> Self {
        Fields { report, path, object, known: Vec::new(), missing: Vec::new() }
    }

    /// Whether it has no fields at all.
    pub(super) fn is_empty(&self) -> bool {
        self.object.properties.is_empty()
    }

    /// How many fields it has.
    pub(super) fn len(&self) -> usize {
        self.object.properties.len()
    }

    /// Whether the file has the field, without asking for it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The text of a field and where it is, if it has one, without asking for it.
    pub(super) fn text_of(&self, name: &str) -> Option<(&'d str, Range<usize>)> {
        let text = self.find(name)?.value.as_string_lit()?;
        Some((&text.value, text.start()..text.end()))
    }

    /// Where the object begins: the place to point at for what is not in it.
    pub(super) fn start(&self) -> Range<usize> {
        self.object.start()..self.object.start() + 1
    }

    /// The field as it is in the file.
    pub(super) fn node(&mut self, name: &'static str) -> Option<Node<'d>> {
        self.known.push(name);
        let field = self.find(name)?;
        Some(Node::new(self.report, join(&self.path, name), &field.value))
    }

    /// A field that may be left out.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Node<'d>) -> Option<T>,
    ) -> Option<T> {
        read(&self.node(name)?)
    }

    /// A field that has to be there. `what` is expected in it.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        what: &'static str,
        read: impl FnOnce(&Node<'d>) -> Option<T>,
    ) -> Option<T> {
        let Some(node) = self.node(name) else {
            self.missing.push((name, what));
            return None;
        };
        read(&node)
    }

    /// Reports that there should not be a field, if there is.
    pub(super) fn refuse(&self, name: &str, message: &str) {
        if let Some(field) = self.find(name) {
            let span = field.name.start()..field.name.end();
            self.report.add(&join(&self.path, name), span, message.to_owned());
        }
    }

    /// All the fields, whatever their names: for objects whose keys are data.
    pub(super) fn each(self) -> impl Iterator<Item = (&'d str, Range<usize>, Node<'d>)> {
        self.object.properties.iter().map(move |field| {
            let name = field.name.as_str();
            let key = field.name.start()..field.name.end();
            (name, key, Node::new(self.report, join(&self.path, name), &field.value))
        })
    }

    /// Reports fields that nobody asked for, and fields that are missing.
    pub(super) fn finish(self) {
        let mut mistyped = Vec::new();
        for field in &self.object.properties {
            let name = field.name.as_str();
            if self.known.contains(&name) {
                continue;
            }
            let near = nearest_field(name, &self.known);
            mistyped.extend(near);
            let message = match near {
                Some(near) => format!("unknown field {}, did you mean `{near}`?", quoted('`', name)),
                None => {
                    let known: Vec<_> = self.known.iter().map(|name| format!("`{name}`")).collect();
                    format!("unknown field {}, expected one of {}", quoted('`', name), known.join(", "))
                }
            };
            self.report.add(&join(&self.path, name), field.name.start()..field.name.end(), message);
        }
        for (name, what) in &self.missing {
            // It is there, mistyped, and was reported as that.
            if !mistyped.contains(name) {
                let message = format!("missing field `{name}`, expected {what}");
                self.report.add(&join(&self.path, name), self.start(), message);
            }
        }
    }

    fn find(&self, name: &str) -> Option<&'d ast::ObjectProp<'d>> {
        self.object.properties.iter().find(|field| field.name.as_str() == name)
    }
}

/// Reports every key that is given twice in one object, at any depth.
pub(super) fn report_repeated_keys<'d>(report: &Report<'d>, path: &str, value: &'d ast::Value<'d>) {
    match value {
        ast::Value::Array(list) => {
            for (index, entry) in list.elements.iter().enumerate() {
                report_repeated_keys(report, &format!("{path}[{index}]"), entry);
            }
        }
        ast::Value::Object(object) => {
            let mut seen = std::collections::HashMap::new();
            for field in &object.properties {
                let name = field.name.as_str();
                let (path, span) = (join(path, name), field.name.start()..field.name.end());
                report_repeated_keys(report, &path, &field.value);
                match seen.get(name) {
                    None => drop(seen.insert(name, span)),
                    Some(first) => {
                        let message = format!("duplicate field {}", quoted('`', name));
                        report.add_repeat(&path, Range::clone(first), span, message);
                    }
                }
            }
        }
        _ => {}
    }
}

/// The path of a field: `apps[0].env.PORT`, or `apps[0].env["my port"]` where a dot would be ambiguous.
fn join(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$'));
    match (plain, path.is_empty()) {
        (true, true) => name.into(),
        (true, false) => format!("{path}.{name}"),
        (false, _) => format!("{path}[{}]", quoted('"', name)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    /// Reads an object with a required `name` and optional `workers`; returns `field: message` of each error.
    fn errors(text: &str) -> Vec<String> {
        let report = Report::new("f", text);
        let value = json::parse(text).unwrap();
        report_repeated_keys(&report, "", &value);
        let mut fields = Node::new(&report, String::new(), &value).object("an object").unwrap();
        fields.required("name", "a name", |node| node.text("a name", |_| true));
        fields.optional("workers", |node| node.whole::<u32>(&(1..=9), "", ""));
        fields.finish();
        report
            .into_diagnostics()
            .into_iter()
            .map(|found| format!("{}: {}", found.field, found.message))
            .collect()
    }

    #[test]
    fn known_fields_pass() {
        assert_eq!(errors(r#"{ "name": "a" }"#), Vec::<String>::new());
        assert_eq!(errors(r#"{ "workers": 1, "name": "a" }"#), Vec::<String>::new());
    }

    #[test]
    fn unknown_fields_name_the_nearest() {
        assert_eq!(
            errors(r#"{ "name": "a", "wokers": 1 }"#),
            ["wokers: unknown field `wokers`, did you mean `workers`?"]
        );
        assert_eq!(
            errors(r#"{ "name": "a", "port": 1 }"#),
            ["port: unknown field `port`, expected one of `name`, `workers`"]
        );
    }

    #[test]
    fn a_missing_field_is_reported_once() {
        assert_eq!(errors("{}"), ["name: missing field `name`, expected a name"]);
        assert_eq!(errors(r#"{ "nmae": "a" }"#), ["nmae: unknown field `nmae`, did you mean `name`?"]);
    }

    #[test]
    fn repeated_keys_at_any_depth() {
        assert_eq!(errors(r#"{ "name": "a", "name": "b" }"#), ["name: duplicate field `name`"]);
        let text = r#"[{ "config": [0, { "x y": 1, "\u0078 y": 2 }] }]"#;
        let report = Report::new("f", text);
        report_repeated_keys(&report, "apps", &json::parse(text).unwrap());
        let found = report.into_diagnostics();
        assert_eq!(found[0].field, r#"apps[0].config[1]["x y"]"#);
        assert!(found[0].excerpt.contains("----- first here"), "{}", found[0].excerpt);
    }

    #[test]
    fn paths() {
        assert_eq!(join("", "apps"), "apps");
        assert_eq!(join("apps[0]", "env"), "apps[0].env");
        assert_eq!(join("env", "A.B"), "env[\"A.B\"]");
        assert_eq!(join("env", ""), "env[\"\"]");
    }
}
