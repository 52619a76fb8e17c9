//! A log record as a line of JSON.

use std::io::{self, Write};

use env_logger::fmt::Formatter;
use log::Record;
use log::kv::{self, Key, Value, VisitSource};
use serde_json::Map;

use super::app_pairs::Structured;
use crate::observe::escape;

/// Writes a record as an object: `time`, `level`, `target`, `message`, and what else the record says.
pub(super) fn write(line: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let time = line.timestamp_millis().to_string();
    let mut members = Map::new();
    members.insert("time".to_owned(), time.into());
    members.insert("level".to_owned(), record.level().as_str().to_ascii_lowercase().into());
    members.insert("target".to_owned(), record.target().into());
    members.insert("message".to_owned(), record.args().to_string().into());
    record.key_values().visit(&mut Members(&mut members)).map_err(io::Error::other)?;
    let json = serde_json::to_string(&members)?;
    writeln!(line, "{}", escape::json(&json))
}

/// Adds the key-value pairs of a record.
struct Members<'a>(&'a mut Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Members<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let error = value.to_borrowed_error();
        if let Some(structured) = error.and_then(|error| error.downcast_ref::<Structured>()) {
            self.0.insert(key.as_str().to_owned(), structured.json.clone());
            return Ok(());
        }
        let value = match (value.to_u64(), value.to_i64(), value.to_f64(), value.to_bool()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), ..) => number.into(),
            (.., Some(number), _) => number.into(),
            (.., Some(truth)) => truth.into(),
            _ => value.to_string().into(),
        };
        self.0.insert(key.as_str().to_owned(), value);
        Ok(())
    }
}
