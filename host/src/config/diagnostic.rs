//! One thing that is wrong in a file, and the list that collects them.

use super::excerpt::{Mark, excerpt, position};
use super::place::Place;
use serde::Serialize;
use std::{
    cell::{Cell, RefCell},
    fmt,
    ops::Range,
};

/// One error in a configuration file: where it is, what was found and what was expected.
///
/// It prints as the place and the message, followed by the line of the file with the place underlined.
///
/// ```
/// use atoll_host::config::{Config, ConfigError};
/// use std::path::Path;
///
/// let text = "[\n  { \"name\": \"hello\" }\n]";
/// let Err(ConfigError::Invalid { diagnostics }) = Config::parse(text, Path::new("/srv"), "apps.json") else {
///     panic!("the path is missing");
/// };
/// assert_eq!((diagnostics[0].line, diagnostics[0].column), (2, 3));
/// assert_eq!(diagnostics[0].field, "apps[0].path");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The file, as it was called when it was loaded.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The path of the field, such as `apps[1].workers`; empty when the error is about the whole file.
    pub field: String,
    /// What is wrong, without the place.
    pub message: String,
    /// The line or lines of the file that it is about, numbered and underlined. It can show any value that
    /// is in the file, so treat it as the file itself is treated.
    pub excerpt: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}\n{}", self.message, self.excerpt)
    }
}

/// So many errors are shown; a file with more of them is another kind of file. Each takes time and a part of the text.
const MOST: usize = 100;

/// Collects what is wrong while a text is read, so that one attempt shows all of it.
pub(super) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    // Shared by all that read parts of the text.
    diagnostics: RefCell<Vec<Diagnostic>>,
    /// How many more there are.
    left_out: Cell<usize>,
    /// The place that was looked for last: its offset, line and column. Places are mostly looked for in the order of the
    /// text, which is then read once and not once for each of them.
    last_place: Cell<(usize, usize, usize)>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        let last_place = Cell::new((0, 1, 1));
        Report { file, text, diagnostics: RefCell::default(), left_out: Cell::default(), last_place }
    }

    /// The place of a field whose value is at `offset`.
    pub(super) fn place(&self, field: &str, offset: usize) -> Place {
        let (mut from, mut line, mut column) = self.last_place.get();
        if offset < from {
            (from, line, column) = (0, 1, 1);
        }
        for c in self.text[from..offset].chars() {
            (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        self.last_place.set((offset, line, column));
        Place::new(self.file.to_owned(), (line, column), field)
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Adds an error about the bytes at `span`.
    pub(super) fn add(&self, field: &str, span: Range<usize>, message: impl Into<String>) {
        self.push(field, message.into(), &[Mark { span, sign: '^', label: "" }]);
    }

    /// Adds an error about something that was already at `first`.
    pub(super) fn add_repeat(
        &self,
        field: &str,
        first: Range<usize>,
        span: Range<usize>,
        message: impl Into<String>,
    ) {
        let first = Mark { span: first, sign: '-', label: "first here" };
        self.push(field, message.into(), &[first, Mark { span, sign: '^', label: "" }]);
    }

    /// The last mark is the place of the error.
    fn push(&self, field: &str, message: String, marks: &[Mark<'_>]) {
        if self.diagnostics.borrow().len() == MOST {
            return self.left_out.set(self.left_out.get() + 1);
        }
        let Some(place) = marks.last() else { return };
        let place = position(self.text, place.span.start);
        self.diagnostics.borrow_mut().push(Diagnostic {
            file: self.file.into(),
            line: place.line,
            column: place.column,
            field: field.into(),
            message,
            excerpt: excerpt(self.text, marks),
        });
    }

    /// What was collected, in the order of the text.
    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut diagnostics = self.diagnostics.into_inner();
        diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        if let (Some(last), more @ 1..) = (diagnostics.last_mut(), self.left_out.get()) {
            last.message += &format!(" ({more} more errors not shown)");
        }
        diagnostics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_are_shown_and_the_others_are_counted() {
        for (errors, more) in [(MOST, None), (MOST + 1, Some("wrong (1 more errors not shown)"))] {
            let report = Report::new("apps.json", "one");
            (0..errors).for_each(|_| report.add("", 0..1, "wrong"));
            let shown = report.into_diagnostics();
            assert_eq!(shown.len(), MOST);
            assert_eq!(shown.last().map(|last| &*last.message), Some(more.unwrap_or("wrong")));
        }
    }

    #[test]
    fn places_in_any_order_are_those_of_errors() {
        let text = "a\r\nçé x\n\nb";
        let report = Report::new("apps.json", text);
        for offset in [0, 3, 7, 8, 10, 11, 5, 0, 11] {
            let expected = position(text, offset);
            let expected = format!("apps.json:{}:{}: env.A: ", expected.line, expected.column);
            assert_eq!(report.place("env.A", offset).to_string(), expected, "{offset}");
        }
        assert_eq!(Place::default().to_string(), "");
    }

    #[test]
    fn printed_with_and_without_a_field_and_in_order() {
        let report = Report::new("apps.json", "one\ntwo");
        report.add_repeat("a.b", 0..3, 4..7, "again");
        report.add("", 1..2, "wrong");
        let printed: Vec<_> = report.into_diagnostics().iter().map(ToString::to_string).collect();
        assert_eq!(printed[0], "apps.json:1:2: wrong\n  1 | one\n    |  ^");
        assert_eq!(
            printed[1],
            "apps.json:2:1: a.b: again\n  1 | one\n    | --- first here\n  2 | two\n    | ^^^"
        );
    }
}
