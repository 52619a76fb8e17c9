//! What tells one environment from another.

use std::collections::BTreeMap;
use std::fmt;

/// What tells one environment from another. It prints nothing: a short secret could be found from its hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest(blake3::Hash);

impl Digest {
    pub(super) fn of(variables: &BTreeMap<String, String>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for (name, value) in variables {
            for text in [name, value] {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
        Self(hasher.finalize())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(_)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_kept_apart() {
        let digest = |variables: &[(&str, &str)]| {
            Digest::of(&variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
        };
        assert_eq!(digest(&[("A", "1"), ("B", "2")]), digest(&[("B", "2"), ("A", "1")]));
        assert_ne!(digest(&[("A", "1")]), digest(&[("A", "2")]));
        assert_ne!(digest(&[("A", "1B")]), digest(&[("A1", "B")]));
        assert_ne!(digest(&[("A", ""), ("B", "")]), digest(&[("A", "B")]));
    }
}
