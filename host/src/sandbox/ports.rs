//! TCP ports.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The TCP ports that a process may use: a list, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Every port; written as `"any"`.
    Any,
    /// These. An empty list: none.
    Listed(Vec<u16>),
}

/// What [`Ports::Any`] is in JSON.
pub(crate) const ANY: &str = "any";

impl Ports {
    /// Whether this is one of them.
    pub fn contains(&self, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(ports) => ports.contains(&port),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Listed(ports) if ports.is_empty())
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => ANY.serialize(serializer),
            Self::Listed(ports) => ports.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Word(String),
            Listed(Vec<u16>),
        }
        match Written::deserialize(deserializer)? {
            Written::Word(word) if word == ANY => Ok(Self::Any),
            Written::Word(word) => {
                Err(D::Error::custom(format_args!("expected a list of ports or \"any\", found {word:?}")))
            }
            Written::Listed(ports) => Ok(Self::Listed(ports)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_a_list_or_any() {
        for (ports, json) in
            [(Ports::Any, r#""any""#), (Ports::Listed(vec![80, 443]), "[80,443]"), (Ports::default(), "[]")]
        {
            assert_eq!(serde_json::to_string(&ports).unwrap(), json);
            assert_eq!(serde_json::from_str::<Ports>(json).unwrap(), ports);
        }
        assert!(Ports::default().is_empty() && !Ports::Any.is_empty());
        for json in [r#""all""#, "80", "[65536]", "[-1]"] {
            assert!(serde_json::from_str::<Ports>(json).is_err(), "{json}");
        }
    }
}
