//! The fields of a record, as text in JSON.

use log::kv::{Error, Key, Value, VisitSource, VisitValue};
use serde::Serialize;

/// The members of a JSON object, without its braces. Without members it allocates nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(String);

impl Fields {
    /// Adds a member. Where a name is there twice, readers take the last one.
    pub(crate) fn add(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        // What JSON has no form for is `null`.
        let json = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
        self.add_json(name, &json);
    }

    fn add_json(&mut self, name: &str, json: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&serde_json::Value::from(name).to_string());
        self.0.push(':');
        self.0.push_str(json);
    }

    /// The object; empty without members.
    pub(crate) fn into_object(mut self) -> String {
        if !self.0.is_empty() {
            self.0.insert(0, '{');
            self.0.push('}');
        }
        self.0
    }

    /// Adds the object to a text.
    #[cfg(feature = "tracing")]
    pub(crate) fn push_object(&self, text: &mut String) {
        text.push('{');
        text.push_str(&self.0);
        text.push('}');
    }

    /// Adds all members of another one.
    #[cfg(feature = "tracing")]
    pub(crate) fn extend(&mut self, more: &Self) {
        if !self.0.is_empty() && !more.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&more.0);
    }
}

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        value.visit(Field { fields: self, name: key.as_str() })
    }
}

/// A value of the crate `log` on its way to a member.
struct Field<'a> {
    fields: &'a mut Fields,
    name: &'a str,
}

impl Field<'_> {
    fn add(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.fields.add(self.name, value);
        Ok(())
    }
}

impl<'v> VisitValue<'v> for Field<'_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        self.add(&value.to_string())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        self.add(&())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.add(&value)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.add(&value)
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), Error> {
        self.add(&value)
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), Error> {
        self.add(&value)
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        self.add(&value)
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.add(&value)
    }

    fn visit_str(&mut self, value: &str) -> Result<(), Error> {
        self.add(value)
    }

    fn visit_char(&mut self, value: char) -> Result<(), Error> {
        self.add(&value)
    }
}

#[cfg(test)]
mod tests {
    use log::kv::Source;

    use super::*;

    #[test]
    fn values_keep_their_types() {
        let error = std::io::Error::other("no \"disk\"");
        let pairs = [
            ("user", Value::from(7)),
            ("change", Value::from(-7)),
            ("share", Value::from(0.5)),
            ("none", Value::from(f64::NAN)),
            ("paid", Value::from(true)),
            ("letter", Value::from('x')),
            ("na\"me", Value::from("a\nb")),
            ("error", Value::from_dyn_error(&error)),
            ("list", Value::from_debug(&[1, 2])),
        ];
        let mut fields = Fields::default();
        pairs[..].visit(&mut fields).unwrap();
        let object: serde_json::Value = serde_json::from_str(&fields.into_object()).unwrap();
        let expected = serde_json::json!({
            "user": 7, "change": -7, "share": 0.5, "none": null, "paid": true, "letter": "x",
            "na\"me": "a\nb", "error": "no \"disk\"", "list": "[1, 2]",
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn without_members_there_is_no_object() {
        assert_eq!(Fields::default().into_object(), "");
    }
}
