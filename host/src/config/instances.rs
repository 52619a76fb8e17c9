//! The setting `instances`.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::node::Node;

/// What is expected where it is written.
const EXPECTED: &str = "1, for one host of the fleet at a time (or null for every host)";

/// How many hosts of a fleet run an app at a time.
///
/// ```
/// use atoll_host::config::{Instances, Settings};
///
/// let settings = Settings { instances: Instances::One, ..Settings::default() };
/// assert_eq!(serde_json::to_value(settings.instances)?, 1);
/// # serde_json::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instances {
    /// Each host runs it.
    #[default]
    Every,
    /// One host runs it: the one that has the app's lease. The others stand by.
    One,
}

impl Serialize for Instances {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Every => serializer.serialize_none(),
            Self::One => serializer.serialize_u8(1),
        }
    }
}

pub(super) fn read(node: &Node<'_>) -> Option<Instances> {
    if node.is_null() {
        return Some(Instances::Every);
    }
    if node.whole_number() == Some(1) { Some(Instances::One) } else { node.expected(EXPECTED) }
}

pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": [1, null] })
}
