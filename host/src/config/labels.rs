//! Labels: those of a host of a fleet, and those of the hosts that are to have an app.

use std::collections::BTreeMap;

use schemars::{Schema, json_schema};

use super::node::Node;

/// What is expected where they are written.
const EXPECTED: &str = r#"an object of texts such as { "zone": "a" }"#;

/// The most labels of a host.
pub(crate) const MAX_LABELS: usize = 32;

/// The longest label, in bytes: its name, or its value.
pub(crate) const MAX_LABEL: usize = 256;

pub(super) fn read(node: &Node<'_>) -> Option<BTreeMap<String, String>> {
    let fields = node.object(EXPECTED)?;
    if fields.len() > MAX_LABELS {
        return node.expected(format_args!("at most {MAX_LABELS} labels"));
    }
    let is_label = |text: &str| !text.is_empty() && text.len() <= MAX_LABEL;
    let expected = format!("a text of 1 to {MAX_LABEL} bytes");
    let mut labels = BTreeMap::new();
    for (name, key, node) in fields.each() {
        if !is_label(name) {
            node.report_key(key, &format!("expected {expected} as the name of a label"));
        }
        labels.insert(name.to_owned(), node.text(&expected, is_label)?);
    }
    Some(labels)
}

/// The schema of labels.
pub(super) fn schema() -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": MAX_LABELS,
        "propertyNames": { "minLength": 1, "maxLength": MAX_LABEL },
        "additionalProperties": { "type": "string", "minLength": 1, "maxLength": MAX_LABEL },
    })
}
