//! The names of headers that requests have had.

use http::header::{HeaderName, InvalidHeaderName};

/// How many are remembered.
const REMEMBERED: usize = 64;

/// Longer ones are rare, and not remembered.
const LONGEST: usize = 32;

/// The names of headers that requests have had: most have the same few, which need not be checked again and again.
#[derive(Debug)]
pub(super) struct HeaderNames(Box<[Option<HeaderName>; REMEMBERED]>);

impl Default for HeaderNames {
    fn default() -> Self {
        Self(Box::new([const { None }; REMEMBERED]))
    }
}

impl HeaderNames {
    /// The name with this text, which is in lower case.
    ///
    /// # Errors
    /// It is no name of a header.
    pub(super) fn get(&mut self, text: &str) -> Result<HeaderName, InvalidHeaderName> {
        let place = &mut self.0[place(text.as_bytes())];
        match place {
            Some(name) if name.as_str() == text => Ok(name.clone()),
            _ => {
                let name = HeaderName::from_bytes(text.as_bytes())?;
                if text.len() <= LONGEST {
                    *place = Some(name.clone());
                }
                Ok(name)
            }
        }
    }
}

/// The usual names differ in their length or their last character; with this factor, they have places to themselves.
fn place(text: &[u8]) -> usize {
    (45 * text.len() + text.last().copied().map_or(0, usize::from)) % REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_are_asked_for() {
        let mut names = HeaderNames::default();
        let many: Vec<String> = (0..500).map(|n| format!("x-{n}")).collect();
        let usual = ["accept", "accept-encoding", "host", "x-forwarded-for", "x-forwarded-host", "cookie"];
        for _ in 0..2 {
            for text in many.iter().map(String::as_str).chain(usual) {
                assert_eq!(names.get(text).unwrap().as_str(), text);
            }
        }
        assert!(names.get("").is_err() && names.get("a b").is_err() && names.get("ä").is_err());
    }

    #[test]
    fn the_usual_names_have_places_to_themselves() {
        let usual = [
            "accept",
            "accept-encoding",
            "accept-language",
            "authorization",
            "cache-control",
            "content-length",
            "content-type",
            "cookie",
            "host",
            "origin",
            "referer",
            "user-agent",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-prefix",
            "x-forwarded-proto",
            "x-request-id",
        ];
        let mut places: Vec<usize> = usual.iter().map(|name| place(name.as_bytes())).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), usual.len());
    }

    #[test]
    fn a_long_name_is_not_remembered() {
        let mut names = HeaderNames::default();
        names.get(&"x".repeat(LONGEST + 1)).unwrap();
        assert!(names.0.iter().all(Option::is_none));
    }
}
