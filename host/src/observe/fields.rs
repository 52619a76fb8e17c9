//! The fields of an app's log record, and the spans that it was written in.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::observe::text;

/// The fields of a log record, and the spans that it was written in.
///
/// As text they follow the message: ` user=7 spans=request{method=GET}:query`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordFields {
    /// The key-value pairs of a record of `log`, or the fields of an event of `tracing`; absent without any.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub fields: Map<String, Value>,
    /// The spans of `tracing`, the outermost first, each with its `name` and its fields; absent without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub spans: Vec<Map<String, Value>>,
}

impl RecordFields {
    /// Reads the text of an object and that of an array of objects, as an app sends them. Of more than `limit` bytes, the
    /// last string is shortened that fits in part, and what follows is left out.
    pub(crate) fn parse(fields: &str, spans: &str, limit: usize) -> Self {
        let mut read = Self::default();
        if !fields.is_empty() {
            read.fields = serde_json::from_str(fields).unwrap_or_else(|_| unreadable("fields", fields));
        }
        if !spans.is_empty() {
            read.spans = serde_json::from_str(spans).unwrap_or_else(|_| vec![unreadable("name", spans)]);
        }
        if fields.len() + spans.len() > limit && read.size() > limit {
            read.shorten(limit);
        }
        read
    }

    fn shorten(&mut self, limit: usize) {
        let mut room = Room { left: limit, left_out: 0 };
        room.keep(&mut self.fields);
        for span in &mut self.spans {
            room.keep(span);
        }
        self.spans.retain(|span| !span.is_empty());
        if room.left_out > 0 {
            let what = format!("{} fields (log_record_limit = {limit} bytes)", room.left_out);
            self.fields.insert("left_out".to_owned(), what.into());
        }
    }

    /// About how many bytes they have as text.
    pub(crate) fn size(&self) -> usize {
        let members = self.fields.iter().chain(self.spans.iter().flatten());
        members.map(|(name, value)| name.len() + size(value)).sum()
    }
}

/// What is no JSON, as it came.
fn unreadable(name: &str, text: &str) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), text.into())])
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(size).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + size(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => size_of::<u64>(),
    }
}

/// How many bytes there is room for, and how many fields had none.
struct Room {
    left: usize,
    left_out: usize,
}

impl Room {
    fn keep(&mut self, members: &mut Map<String, Value>) {
        members.retain(|name, value| {
            let size = name.len() + size(value);
            if size <= self.left {
                self.left -= size;
                return true;
            }
            match value {
                Value::String(text) if name.len() < self.left => {
                    *text = text::shortened(text, self.left - name.len()).into_owned();
                    self.left = 0;
                    true
                }
                _ => {
                    self.left_out += 1;
                    false
                }
            }
        });
    }
}

impl Display for RecordFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.fields {
            write!(f, " {name}={}", Plain(value))?;
        }
        if !self.spans.is_empty() {
            write!(f, " spans={}", Spans(&self.spans))?;
        }
        Ok(())
    }
}

/// A value as text: strings as they are, everything else as JSON.
pub(crate) struct Plain<'a>(pub(crate) &'a Value);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::String(text) => f.write_str(text),
            value => value.fmt(f),
        }
    }
}

/// Spans as text: `request{method=GET path=/}:query`.
pub(crate) struct Spans<'a>(pub(crate) &'a [Map<String, Value>]);

impl Display for Spans<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, span) in self.0.iter().enumerate() {
            let name = span.get("name").map_or_else(Default::default, |name| Plain(name).to_string());
            write!(f, "{}{name}", if n == 0 { "" } else { ":" })?;
            let mut fields = span.iter().filter(|(name, _)| *name != "name").peekable();
            let has_fields = fields.peek().is_some();
            for (n, (name, value)) in fields.enumerate() {
                write!(f, "{}{name}={}", if n == 0 { "{" } else { " " }, Plain(value))?;
            }
            if has_fields {
                f.write_str("}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn they_have_a_form_for_people() {
        let spans = r#"[{"name":"request","path":"/a","method":"GET"},{"name":"query"}]"#;
        let fields = RecordFields::parse(r#"{"user":7,"text":"two words","tags":["a"]}"#, spans, 1000);
        assert_eq!(
            fields.to_string(),
            r#" tags=["a"] text=two words user=7 spans=request{method=GET path=/a}:query"#
        );
        assert_eq!(RecordFields::parse("", "", 1000).to_string(), "");
    }

    #[test]
    fn above_the_limit_they_are_shortened() {
        let text = json!({ "a": 1, "b": "x".repeat(100), "c": "y" }).to_string();
        let fields = RecordFields::parse(&text, r#"[{"name":"request"}]"#, 50);
        let b = "x".repeat(40) + "… (60 bytes more)";
        assert_eq!(
            json!(fields),
            json!({ "fields": { "a": 1, "b": b, "left_out": "2 fields (log_record_limit = 50 bytes)" } })
        );
        let whole = RecordFields::parse(&text, "", 200);
        assert_eq!(Value::Object(whole.fields).to_string(), text);
    }

    #[test]
    fn what_is_no_json_is_shown_as_it_came() {
        let fields = RecordFields::parse("{", "[1]", 1000);
        assert_eq!(json!(fields), json!({ "fields": { "fields": "{" }, "spans": [{ "name": "[1]" }] }));
    }
}
