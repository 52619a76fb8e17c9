//! A value of the file together with its field path, and the kinds of value that settings are made of.

use super::{byte_size, diagnostic::Report, fields::Fields, place::Place, ranges};
use jsonc_parser::{ast, common::Ranged};
use std::{
    fmt::Display,
    ops::{Range, RangeInclusive},
};

/// Text from the file is shown up to this many characters within a message; the excerpt has the rest.
const SHOWN: usize = 40;

/// A value and where it is. What reads it either returns it, or reports what was expected and returns `None`.
pub(super) struct Node<'d> {
    report: &'d Report<'d>,
    path: String,
    value: &'d ast::Value<'d>,
}

impl<'d> Node<'d> {
    pub(super) fn new(report: &'d Report<'d>, path: String, value: &'d ast::Value<'d>) -> Self {
        Node { report, path, value }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.value.start()..self.value.end()
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, ast::Value::NullKeyword(_))
    }

    pub(super) fn is_text(&self) -> bool {
        self.as_text().is_some()
    }

    /// The text, if it is one.
    pub(super) fn as_text(&self) -> Option<&'d str> {
        match self.value {
            ast::Value::StringLit(text) => Some(&text.value),
            _ => None,
        }
    }

    pub(super) fn is_object(&self) -> bool {
        matches!(self.value, ast::Value::Object(_))
    }

    /// Where it is, for errors that are found later.
    pub(super) fn place(&self) -> Place {
        self.report.place(&self.path, self.span().start)
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.value, ast::Value::Array(_))
    }

    pub(super) fn is_empty_list(&self) -> bool {
        matches!(self.value, ast::Value::Array(list) if list.elements.is_empty())
    }

    /// Reports that the value's key, which is at `key`, is not what was expected.
    pub(super) fn report_key(&self, key: Range<usize>, message: &str) {
        self.report.add(&self.path, key, message);
    }

    /// Reports that the value should not be there.
    pub(super) fn refuse(&self, message: &str) {
        self.report.add(&self.path, self.span(), message.to_owned());
    }

    /// Reports that something else was expected.
    pub(super) fn expected<T>(&self, what: impl Display) -> Option<T> {
        let hint = match self.value {
            ast::Value::StringLit(text) => match &*text.value {
                "true" | "false" => " (remove the quotes)",
                number if number.parse::<f64>().is_ok() => " (remove the quotes)",
                _ => "",
            },
            _ => "",
        };
        self.report.add(&self.path, self.span(), format!("expected {what}, found {}{hint}", self.found()));
        None
    }

    fn found(&self) -> String {
        match self.value {
            ast::Value::StringLit(text) => quoted('"', &text.value),
            ast::Value::NumberLit(number) => shortened(number.value),
            ast::Value::BooleanLit(boolean) => boolean.value.to_string(),
            ast::Value::NullKeyword(_) => "null".into(),
            ast::Value::Array(list) if list.elements.is_empty() => "an empty list".into(),
            ast::Value::Array(_) => "a list".into(),
            ast::Value::Object(object) if object.properties.is_empty() => "an empty object".into(),
            ast::Value::Object(_) => "an object".into(),
        }
    }

    pub(super) fn object(&self, what: &str) -> Option<Fields<'d>> {
        match self.value {
            ast::Value::Object(object) => Some(Fields::new(self.report, self.path.clone(), object)),
            _ => self.expected(what),
        }
    }

    /// The entries of a list, with paths such as `apps[1]`.
    pub(super) fn list(&self, what: &str) -> Option<Vec<Node<'d>>> {
        let ast::Value::Array(list) = self.value else { return self.expected(what) };
        let entries = list.elements.iter().enumerate();
        Some(entries.map(|(i, entry)| Node::new(self.report, format!("{}[{i}]", self.path), entry)).collect())
    }

    /// Text for which `valid` holds.
    pub(super) fn text(&self, what: &str, valid: impl Fn(&str) -> bool) -> Option<String> {
        match self.value {
            ast::Value::StringLit(text) if valid(&text.value) => Some(text.value.to_string()),
            ast::Value::NumberLit(number) if valid(number.value) => {
                self.expected(format_args!("{what} in double quotes"))
            }
            _ => self.expected(what),
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value {
            ast::Value::BooleanLit(boolean) => Some(boolean.value),
            _ => self.expected("true or false"),
        }
    }

    /// A whole number within `range`. `unit` is what it counts, for the message: `" of milliseconds"`, or nothing;
    /// `or` is what else may be written there.
    pub(super) fn whole<T: TryFrom<u64>>(
        &self,
        range: &RangeInclusive<u64>,
        unit: &str,
        or: &str,
    ) -> Option<T> {
        let number = self.whole_number();
        if let Some(number) =
            number.filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok())
        {
            return Some(number);
        }
        let (least, most) = (range.start(), range.end());
        // The upper limit of what is not limited would only distract from the mistake, unless it is the mistake.
        if *most == ranges::MAX && number.is_none_or(|number| number <= *most) {
            self.expected(format_args!("a whole number{unit}, at least {least}{or}"))
        } else {
            self.expected(format_args!("a whole number{unit} from {least} to {most}{or}"))
        }
    }

    /// JSON knows no whole numbers: `1e3` and `2.0` are as whole as `1000` and `2`, as in the schema.
    pub(super) fn whole_number(&self) -> Option<u64> {
        let ast::Value::NumberLit(number) = self.value else { return None };
        number.value.parse().ok().or_else(|| {
            let number: f64 = number.value.parse().ok()?;
            // Saturates; what is past 2^53 is out of every range.
            (number >= 0.0 && number.fract() == 0.0).then_some(number as u64)
        })
    }

    pub(super) fn milliseconds(&self, range: &RangeInclusive<u64>) -> Option<u64> {
        self.whole(range, " of milliseconds", "")
    }

    /// A number of bytes, or text such as `"8MiB"`.
    pub(super) fn bytes(&self, range: &RangeInclusive<u64>) -> Option<usize> {
        let or = r#" (or a size such as "512kB" or "8MiB")"#;
        let ast::Value::StringLit(text) = self.value else { return self.whole(range, " of bytes", or) };
        if let Some(bytes) = byte_size::parse(&text.value) {
            if let Some(bytes) =
                Some(bytes).filter(|bytes| range.contains(bytes)).and_then(|n| usize::try_from(n).ok())
            {
                return Some(bytes);
            }
            if bytes < *range.start() {
                return self.expected(format_args!("a size of at least {} bytes", range.start()));
            }
            return self.expected(format_args!("a size of at most {} bytes", range.end()));
        }
        match byte_size::suggest(&text.value) {
            Some(meant) => {
                self.expected(format_args!(r#"a size such as "512kB" or "8MiB" (did you mean "{meant}"?)"#))
            }
            None => self.expected(r#"a size such as 8388608, "512kB" or "8MiB""#),
        }
    }

    /// What `read` makes of it, or of `null` nothing, which is a value as well.
    pub(super) fn or_null<T>(&self, read: impl FnOnce(&Self) -> Option<T>) -> Option<Option<T>> {
        if self.is_null() { Some(None) } else { read(self).map(Some) }
    }

    /// One of a few words.
    pub(super) fn word<T>(&self, expected: &str, from_word: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.text(expected, |word| from_word(word).is_some()).and_then(|word| from_word(&word))
    }

    /// Whatever JSON is there.
    pub(super) fn json(&self) -> Option<serde_json::Value> {
        match serde_json::from_str(&self.report.text()[self.span()]) {
            Ok(value) => Some(value),
            // The whole text was parsed before, so this is not expected to happen; a report beats a panic.
            Err(error) => self.expected(format_args!("JSON ({error})")),
        }
    }
}

/// Text from the file in a message: short, on one line, with what cannot be seen spelled out. A zero-width space in a
/// name would otherwise make it unknown and look the same as the known one, and a control character steer a terminal.
pub(super) fn quoted(quote: char, text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => plain.push(c),
            c => plain.extend(c.escape_debug()),
        }
    }
    format!("{quote}{}{quote}", shortened(&plain))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{json, settings};
    use super::*;

    /// What reading a text gives, or the message.
    fn read<T>(text: &str, reader: impl FnOnce(Node<'_>) -> Option<T>) -> Result<T, String> {
        let report = Report::new("f", text);
        let value = json::parse(text).unwrap();
        let read = reader(Node::new(&report, "x".into(), &value));
        read.ok_or_else(|| report.into_diagnostics().remove(0).message)
    }

    #[test]
    fn whole_numbers() {
        let read = |text: &str| read(text, |node| node.whole::<usize>(&(1..=1024), "", ""));
        for (text, number) in [("1", 1), ("1024", 1024), ("2.0", 2), ("1e3", 1000), ("10e-1", 1)] {
            assert_eq!(read(text), Ok(number), "{text}");
        }
        for (text, found) in [
            ("0", "0"),
            ("1025", "1025"),
            ("-1", "-1"),
            ("-0", "-0"),
            ("1.5", "1.5"),
            ("1e300", "1e300"),
            ("18446744073709551617", "18446744073709551617"),
            ("\"two\"", "\"two\""),
            ("\"2\"", "\"2\" (remove the quotes)"),
            ("true", "true"),
            ("null", "null"),
            ("[]", "an empty list"),
            ("[1]", "a list"),
            ("{}", "an empty object"),
            ("{\"a\":1}", "an object"),
        ] {
            assert_eq!(
                read(text),
                Err(format!("expected a whole number from 1 to 1024, found {found}")),
                "{text}"
            );
        }
    }

    #[test]
    fn an_upper_limit_is_named_when_it_matters() {
        let read = |text: &str| read(text, |node| node.milliseconds(&settings::SOME_TIME));
        assert_eq!(read("9007199254740991"), Ok(ranges::MAX));
        assert_eq!(read("0"), Err("expected a whole number of milliseconds, at least 1, found 0".into()));
        assert_eq!(
            read("9007199254740992"),
            Err("expected a whole number of milliseconds from 1 to 9007199254740991, found 9007199254740992"
                .into())
        );
    }

    #[test]
    fn byte_sizes() {
        let read = |text: &str| read(text, |node| node.bytes(&settings::BODY_LIMIT));
        assert_eq!(read("0"), Ok(0));
        assert_eq!(read("8388608"), Ok(8 << 20));
        assert_eq!(read("\"8MiB\""), Ok(8 << 20));
        for (text, message) in [
            (r#""8M""#, r#"expected a size such as "512kB" or "8MiB" (did you mean "8MiB"?), found "8M""#),
            (
                r#""8""#,
                r#"expected a size such as 8388608, "512kB" or "8MiB", found "8" (remove the quotes)"#,
            ),
            (r#""big""#, r#"expected a size such as 8388608, "512kB" or "8MiB", found "big""#),
            (r#""16000TiB""#, r#"expected a size of at most 9007199254740991 bytes, found "16000TiB""#),
            (
                "-1",
                r#"expected a whole number of bytes, at least 0 (or a size such as "512kB" or "8MiB"), found -1"#,
            ),
        ] {
            assert_eq!(read(text), Err(message.into()), "{text}");
        }
    }

    #[test]
    fn booleans_and_text() {
        assert_eq!(read("true", |node| node.boolean()), Ok(true));
        let no = read("\"true\"", |node| node.boolean());
        assert_eq!(no, Err("expected true or false, found \"true\" (remove the quotes)".into()));
        let text = |text: &str| read(text, |node| node.text("a text", |text| text.len() < 99));
        assert_eq!(text(r#""a\nb""#), Ok("a\nb".into()));
        assert_eq!(text("80"), Err("expected a text in double quotes, found 80".into()));
        assert_eq!(text("null"), Err("expected a text, found null".into()));
    }

    #[test]
    fn what_was_found_is_short_and_harmless() {
        assert_eq!(quoted('"', &"é".repeat(41)), format!("\"{}…\"", "é".repeat(40)));
        assert_eq!(quoted('`', "a\u{1b}\n"), "`a\\u{1b}\\n`");
        assert_eq!(quoted('`', "wor\u{200b}kers日本"), "`wor\\u{200b}kers日本`");
    }

    #[test]
    fn json_is_taken_as_it_is() {
        let text = r#"{"a":[1,2.5,"x",null]}"#;
        assert_eq!(read(text, |node| node.json()), Ok(serde_json::from_str(text).unwrap()));
    }
}
