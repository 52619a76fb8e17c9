//! The text of an error with the reasons that it has as its sources, which the text of many leaves out.

use std::error::Error;

/// The error's text, followed by those of its sources; none is said twice.
pub(crate) fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Outer {
        text: &'static str,
        source: io::Error,
    }

    #[test]
    fn a_source_is_said_once() {
        let error = |text| Outer { text, source: io::Error::other("no room") };
        assert_eq!(with_sources(&error("it cannot be written")), "it cannot be written: no room");
        assert_eq!(with_sources(&error("there is no room")), "there is no room");
    }
}
