//! Where the apps of a test run: on threads of the host, or, in `in_processes`, in separate processes.

use serde_json::{Value, json};

/// Whether apps run in separate processes.
pub const IN_PROCESSES: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"in_processes");

/// A registry file, with the isolation of this test program where it does not have one. What is no registry stays as it is.
pub fn registry(text: &str) -> String {
    if !IN_PROCESSES {
        return text.to_owned();
    }
    match serde_json::from_str(text) {
        Ok(Value::Array(apps)) => {
            json!({ "defaults": { "isolation": "process", "sandbox": null }, "apps": apps }).to_string()
        }
        Ok(Value::Object(mut registry)) => {
            let defaults = registry.entry("defaults").or_insert_with(|| json!({}));
            if let Some(defaults) = defaults.as_object_mut() {
                defaults.entry("isolation").or_insert_with(|| "process".into());
                defaults.entry("sandbox").or_insert(Value::Null);
            }
            Value::Object(registry).to_string()
        }
        _ => text.to_owned(),
    }
}
