//! Where in a configuration file something is.

use std::fmt;

/// Where in a configuration file a value is, for errors that are found when it is used. It prints as a
/// [`Diagnostic`](super::Diagnostic) does, with a colon and a space at the end; as nothing if the value is from no file.
///
/// Any two are equal: a value means the same wherever it is written.
#[derive(Clone, Debug, Default)]
pub struct Place(Option<Found>);

#[derive(Clone, Debug)]
struct Found {
    file: String,
    line: usize,
    column: usize,
    field: String,
}

impl Place {
    pub(super) fn new(file: String, (line, column): (usize, usize), field: &str) -> Self {
        Self(Some(Found { file, line, column, field: field.to_owned() }))
    }
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Found { file, line, column, field }) = &self.0 else { return Ok(()) };
        write!(f, "{file}:{line}:{column}: {field}: ")
    }
}
