//! The values of events and spans, read into fields.

use std::error::Error;
use std::fmt::{Debug, Write};

use serde::Serialize;
use tracing_core::Metadata;
use tracing_core::field::{Field, Visit};

use crate::abi::fields::Fields;

/// The values of an event or of a span.
pub(super) struct Values {
    /// All values but the following.
    pub(super) fields: Fields,
    /// An event's text.
    pub(super) message: String,
    /// Where the record of the crate `log` is from that the event was made of.
    pub(super) origin: Option<Origin>,
    is_span: bool,
}

/// Where a record of the crate `log` is from.
#[derive(Default)]
pub(super) struct Origin {
    pub(super) target: String,
    pub(super) file: String,
    pub(super) line: u32,
}

impl Values {
    /// For the values of an event or a span with this metadata.
    pub(super) fn new(metadata: &Metadata<'_>) -> Self {
        let is_record = metadata.target() == "log" && metadata.name() == "log event";
        Self {
            fields: Fields::default(),
            message: String::new(),
            origin: is_record.then(Origin::default),
            is_span: metadata.is_span(),
        }
    }

    fn add(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        match name(field) {
            // The name of the span has this name.
            "name" if self.is_span => self.fields.add("fields.name", value),
            name => self.fields.add(name, value),
        }
    }
}

/// The name of a field, without the `r#` of one that is a keyword.
fn name(field: &Field) -> &'static str {
    let name = field.name();
    name.strip_prefix("r#").unwrap_or(name)
}

impl Visit for Values {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match (name(field), &mut self.origin) {
            ("log.line", Some(origin)) => origin.line = u32::try_from(value).unwrap_or(0),
            _ => self.add(field, &value),
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.add(field, &value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.add(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match (name(field), &mut self.origin) {
            ("message", _) if !self.is_span => self.message.push_str(value),
            ("log.target", Some(origin)) => value.clone_into(&mut origin.target),
            ("log.file", Some(origin)) => value.clone_into(&mut origin.file),
            // It is the target, unless the target was given.
            ("log.module_path", Some(_)) => {}
            _ => self.add(field, value),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.add(field, &value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if name(field) == "message" && !self.is_span {
            // Writing to a string fails only when the value does; what it wrote so far is logged.
            let _ = write!(self.message, "{value:?}");
        } else {
            let mut text = String::new();
            // As above.
            let _ = write!(text, "{value:?}");
            self.add(field, &text);
        }
    }
}
