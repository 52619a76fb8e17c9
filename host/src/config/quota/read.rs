//! Reading `quotas`.

use std::ops::RangeInclusive;

use schemars::{Schema, SchemaGenerator};
use serde_json::json;

use super::period::Period;
use super::settings::{Quota, QuotaAction, default_rate};
use crate::config::app_pattern;
use crate::config::byte_size;
use crate::config::node::Node;
use crate::config::ranges::{BODY_LIMIT, MAX};

pub(super) const AMOUNT: RangeInclusive<u64> = 1..=MAX;
pub(super) const RATE: RangeInclusive<u64> = 1..=1_000_000;

/// What is expected as the quotas of a file.
pub(in crate::config) const EXPECTED: &str =
    r#"a list of quotas such as [{ "apps": ["acme-*"], "cpu_seconds": 36000 }]"#;
const QUOTA: &str = r#"a quota such as { "apps": ["acme-*"], "cpu_seconds": 36000 }"#;

/// Reads a quota.
pub(in crate::config) fn read(node: &Node<'_>) -> Option<Quota> {
    let mut fields = node.object(QUOTA)?;
    let has_limit =
        ["cpu_seconds", "memory_gib_hours", "requests", "storage"].into_iter().any(|name| fields.has(name));
    if !has_limit {
        return node.expected(format_args!(
            "{QUOTA} with at least one of `cpu_seconds`, `memory_gib_hours`, `requests` and `storage`"
        ));
    }
    let apps = fields.required("apps", app_pattern::EXPECTED, app_pattern::read);
    let quota = (
        fields.optional("period", |node| node.word(Period::EXPECTED, Period::from_word)),
        fields.optional("cpu_seconds", |node| amount(node, " of seconds")).flatten(),
        fields.optional("memory_gib_hours", |node| amount(node, " of GiB times hours")).flatten(),
        fields.optional("requests", |node| amount(node, "")).flatten(),
        fields
            .optional("storage", |node| node.or_null(|node| Some(node.bytes(&BODY_LIMIT)? as u64)))
            .flatten(),
        fields.optional("action", |node| node.word(QuotaAction::EXPECTED, QuotaAction::from_word)),
        fields.optional("throttle_rate", |node| node.whole(&RATE, " of requests per second", "")),
    );
    fields.finish();
    let (period, cpu_seconds, memory_gib_hours, requests, storage, action, throttle_rate) = quota;
    Some(Quota {
        apps: apps?,
        period: period.unwrap_or_default(),
        cpu_seconds,
        memory_gib_hours,
        requests,
        storage,
        action: action.unwrap_or_default(),
        throttle_rate: throttle_rate.unwrap_or_else(default_rate),
    })
}

fn amount(node: &Node<'_>, unit: &str) -> Option<Option<u64>> {
    node.or_null(|node| node.whole(&AMOUNT, unit, " (or null for no limit)"))
}

pub(super) fn storage_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = byte_size::schema(generator);
    schema.insert("type".into(), json!(["integer", "string", "null"]));
    schema
}
