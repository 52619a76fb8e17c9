//! An event as a record in the host's log.

use tracing_core::Event;

use super::values::Values;
use super::{is_wanted, number, spans};
use crate::abi::LogRecord;
use crate::abi::hooks::process;
use crate::abi::logging;

/// Writes an event to the host's log, if the host wants it.
pub(super) fn write(event: &Event<'_>) {
    let metadata = event.metadata();
    let level = *metadata.level();
    let mut values = Values::new(metadata);
    let is_record = values.origin.is_some();
    // The target of a record of the crate `log` is among the values.
    if !is_record && !is_wanted(level, metadata.target()) {
        return;
    }
    event.record(&mut values);
    let (target, file, line) = match &values.origin {
        Some(origin) => (&*origin.target, &*origin.file, origin.line),
        None => (metadata.target(), metadata.file().unwrap_or(""), metadata.line().unwrap_or(0)),
    };
    // A forked child has no host, and must not wait for a lock of it.
    if (is_record && !is_wanted(level, target)) || process::is_forked_child() {
        return;
    }
    let (fields, spans) = (values.fields.into_object(), spans::around(event));
    logging::write(&LogRecord {
        level: number(level),
        line,
        target: target.into(),
        file: file.into(),
        message: values.message.as_str().into(),
        fields: fields.as_str().into(),
        spans: spans.as_str().into(),
    });
}
