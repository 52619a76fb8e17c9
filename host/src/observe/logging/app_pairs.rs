//! What an app's record has besides its message, as key-value pairs of a record of the host.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Display};

use log::kv::{self, Key, Source, Value, VisitSource};
use serde_json::Value as Json;

use crate::observe::fields::{Plain, RecordFields, Spans};

/// The members of a record that are not the app's. A field with such a name is `fields.NAME`.
const RESERVED: [&str; 7] = ["app", "generation", "level", "message", "spans", "target", "time"];

/// The app's name, the generation, and the record's fields and spans.
pub(super) struct AppPairs<'a> {
    app: &'a str,
    generation: u64,
    fields: Vec<(Cow<'a, str>, Field<'a>)>,
}

enum Field<'a> {
    Simple(&'a Json),
    Structured(Structured),
}

impl<'a> AppPairs<'a> {
    pub(super) fn new(app: &'a str, generation: u64, record: &'a RecordFields) -> Self {
        let fields = record.fields.iter().map(|(name, value)| {
            let is_reserved = RESERVED.contains(&name.as_str());
            let name = if is_reserved { format!("fields.{name}").into() } else { name.into() };
            match value {
                Json::Null | Json::Array(_) | Json::Object(_) => {
                    let text = Plain(value).to_string();
                    (name, Field::Structured(Structured { json: value.clone(), text }))
                }
                simple => (name, Field::Simple(simple)),
            }
        });
        let mut fields: Vec<_> = fields.collect();
        if !record.spans.is_empty() {
            let json = record.spans.iter().cloned().map(Json::Object).collect();
            let text = Spans(&record.spans).to_string();
            fields.push(("spans".into(), Field::Structured(Structured { json, text })));
        }
        Self { app, generation, fields }
    }
}

impl Field<'_> {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Structured(value) => Value::from_dyn_error(value),
            Self::Simple(Json::String(text)) => Value::from(text.as_str()),
            Self::Simple(Json::Bool(truth)) => Value::from(*truth),
            Self::Simple(Json::Number(number)) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => Value::from(number),
                (_, Some(number), _) => Value::from(number),
                (.., Some(number)) => Value::from(number),
                _ => Value::from_display(number),
            },
            Self::Simple(other) => Value::from_display(other),
        }
    }
}

impl Source for AppPairs<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        visitor.visit_pair(Key::from_str("app"), Value::from(self.app))?;
        visitor.visit_pair(Key::from_str("generation"), Value::from(self.generation))?;
        let mut fields = self.fields.iter();
        fields.try_for_each(|(name, field)| visitor.visit_pair(Key::from_str(name), field.value()))
    }
}

/// A value of JSON that the values of `log` have no form for: as text, and as it is for those who know this type.
#[derive(Debug)]
pub(super) struct Structured {
    pub(super) json: Json,
    text: String,
}

impl Display for Structured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The values of `log` may be errors of any type, and nothing else of this type.
impl Error for Structured {}
