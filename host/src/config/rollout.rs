//! The setting `rollout` of an app.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::json;

use super::node::Node;
use super::ranges::{ANY_TIME, SOME_TIME};

const MIN_REQUESTS: RangeInclusive<u64> = 1..=1_000_000_000;
/// The most steps of a rollout.
const MAX_STEPS: usize = 20;
/// The most requests that a version must answer before it gets clients.
const MAX_CHECKS: usize = 20;
const CHECK: &str = r"^/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*$";

const EXPECTED: &str = r#"an object such as { "steps": [1, 10, 50] } (or null for none)"#;
const STEPS_EXPECTED: &str = "a list of 1 to 20 percentages that grow, such as [1, 5, 25, 50], each above 0 and below 100 with at most two decimals";
const CHECKS_EXPECTED: &str = r#"a list of at most 20 paths such as ["/health"]"#;

/// The setting `rollout` of an app: how a new version gets its clients step by step.
///
/// ```
/// use atoll_host::config::RolloutSettings;
///
/// let settings = RolloutSettings { steps: vec![10.0, 50.0], ..RolloutSettings::default() };
/// assert_eq!(settings.hold().as_secs(), 60);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(default, deny_unknown_fields)]
pub struct RolloutSettings {
    /// The percentages of the clients that get the new version, one after the other, before all do.
    /// Default [1.0,5.0,25.0,50.0].
    #[schemars(schema_with = "steps_schema")]
    pub steps: Vec<f64>,

    /// How long a step takes at least, in milliseconds. Default 60000.
    #[schemars(range(min = *SOME_TIME.start(), max = *SOME_TIME.end()))]
    pub hold_ms: u64,

    /// How many requests the new version must have answered in a step before the next one begins. Default 100.
    #[schemars(range(min = *MIN_REQUESTS.start(), max = *MIN_REQUESTS.end()))]
    pub min_requests: u64,

    /// By how much the part of its requests that fail may be higher than that of the current version, from 0 to 1. Default 0.01.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_error_rise: f64,

    /// By how much the 95th percentile of the times that its workers take for a response may be higher than that of the current
    /// version, as a part of that. Default 0.5.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub max_p95_rise: f64,

    /// The paths that the new version must answer with a status below 400 before it gets clients. Default [].
    #[schemars(schema_with = "checks_schema")]
    pub checks: Vec<String>,

    /// How long the version before stays loaded afterwards, in milliseconds, so that a rollback takes no time. Default 600000.
    #[schemars(range(min = *ANY_TIME.start(), max = *ANY_TIME.end()))]
    pub warm_ms: u64,
}

impl Default for RolloutSettings {
    fn default() -> Self {
        Self {
            steps: vec![1.0, 5.0, 25.0, 50.0],
            hold_ms: 60_000,
            min_requests: 100,
            max_error_rise: 0.01,
            max_p95_rise: 0.5,
            checks: Vec::new(),
            warm_ms: 600_000,
        }
    }
}

impl RolloutSettings {
    /// [`hold_ms`](Self::hold_ms) as a duration.
    pub fn hold(&self) -> Duration {
        Duration::from_millis(self.hold_ms)
    }

    /// [`warm_ms`](Self::warm_ms) as a duration.
    pub fn warm(&self) -> Duration {
        Duration::from_millis(self.warm_ms)
    }
}

/// Reads the setting, if it is not `null`.
pub(super) fn read(node: &Node<'_>) -> Option<RolloutSettings> {
    let base = RolloutSettings::default();
    let mut fields = node.object(EXPECTED)?;
    let settings = RolloutSettings {
        steps: fields.optional("steps", steps).unwrap_or(base.steps),
        hold_ms: fields.optional("hold_ms", |node| node.milliseconds(&SOME_TIME)).unwrap_or(base.hold_ms),
        min_requests: fields
            .optional("min_requests", |node| node.whole(&MIN_REQUESTS, " of requests", ""))
            .unwrap_or(base.min_requests),
        max_error_rise: fields
            .optional("max_error_rise", |node| number(node, 1.0))
            .unwrap_or(base.max_error_rise),
        max_p95_rise: fields
            .optional("max_p95_rise", |node| number(node, 1000.0))
            .unwrap_or(base.max_p95_rise),
        checks: fields.optional("checks", checks).unwrap_or(base.checks),
        warm_ms: fields.optional("warm_ms", |node| node.milliseconds(&ANY_TIME)).unwrap_or(base.warm_ms),
    };
    fields.finish();
    Some(settings)
}

/// A number from 0 to `most`.
fn number(node: &Node<'_>, most: f64) -> Option<f64> {
    let number = node.json()?.as_f64().filter(|number| (0.0..=most).contains(number));
    if number.is_some() { number } else { node.expected(format_args!("a number from 0 to {most}")) }
}

fn steps(node: &Node<'_>) -> Option<Vec<f64>> {
    let steps: Option<Vec<f64>> =
        node.json()?.as_array().and_then(|steps| steps.iter().map(serde_json::Value::as_f64).collect());
    let is_good = |steps: &Vec<f64>| {
        let is_step = |step: &f64| *step > 0.0 && *step < 100.0 && is_hundredth(*step);
        (1..=MAX_STEPS).contains(&steps.len())
            && steps.iter().all(is_step)
            && steps.is_sorted_by(|a, b| a < b)
    };
    let steps = steps.filter(is_good);
    if steps.is_some() { steps } else { node.expected(STEPS_EXPECTED) }
}

fn is_hundredth(number: f64) -> bool {
    ((number * 100.0).round() - number * 100.0).abs() < 1e-6
}

fn checks(node: &Node<'_>) -> Option<Vec<String>> {
    let list = node.list(CHECKS_EXPECTED)?;
    if list.len() > MAX_CHECKS {
        return node.expected(CHECKS_EXPECTED);
    }
    let is_char = |c: u8| c.is_ascii_alphanumeric() || b"._~!$&'()*+,;=:@%/?-".contains(&c);
    let is_path = |text: &str| text.starts_with('/') && text.bytes().all(is_char);
    let path = |node: &Node<'_>| node.text("a path below the app, such as \"/health\"", is_path);
    Some(list.iter().filter_map(path).collect())
}

/// The schema of the setting.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = RolloutSettings::json_schema(generator);
    schema.remove("description");
    schema.insert("type".into(), json!(["object", "null"]));
    schema
}

fn steps_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_STEPS,
        "uniqueItems": true,
        "items": { "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100 },
    })
}

fn checks_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_CHECKS,
        "items": { "type": "string", "pattern": CHECK },
    })
}
