//! The lines of the file that are shown under an error, with the place marked.

use std::{fmt::Write as _, ops::Range};
use unicode_width::UnicodeWidthChar;

/// Lines wider than this are shown in part: a file on one line must not fill the screen, nor put all of its
/// variables into a log.
const WIDEST: usize = 100;
/// How much is shown before the place when a line is shown in part.
const BEFORE: usize = 40;

/// A place to mark.
pub(super) struct Mark<'a> {
    /// The bytes of the text.
    pub(super) span: Range<usize>,
    /// What they are underlined with.
    pub(super) sign: char,
    /// What is written after the underline.
    pub(super) label: &'a str,
}

/// A place as people count it: from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// The place of a byte offset.
pub(super) fn position(text: &str, offset: usize) -> Position {
    let line = Line::new(text, offset);
    Position { line: line.number, column: text[line.start..offset].chars().count() + 1 }
}

/// The line of each mark with the mark under it. No line break at the end.
pub(super) fn excerpt(text: &str, marks: &[Mark<'_>]) -> String {
    let lines: Vec<_> = marks.iter().map(|mark| Line::new(text, mark.span.start)).collect();
    let gutter = lines.iter().map(|line| line.number.to_string().len()).max().unwrap_or(0);
    let mut out = String::new();
    for (line, mark) in lines.iter().zip(marks) {
        let shown = line.shown(&mark.span);
        let underline = mark.sign.to_string().repeat(shown.width);
        let separator = if out.is_empty() { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = write!(out, "{separator}  {:>gutter$} | {}", line.number, shown.text);
        let _ = write!(out, "\n  {:>gutter$} | {:before$}{underline}", "", "", before = shown.before);
        if !mark.label.is_empty() {
            let _ = write!(out, " {}", mark.label);
        }
    }
    out
}

struct Line<'a> {
    number: usize,
    start: usize,
    text: &'a str,
}

/// A line as it is printed: its text, and the columns before and under the mark.
struct Shown {
    text: String,
    before: usize,
    width: usize,
}

impl<'a> Line<'a> {
    fn new(text: &'a str, offset: usize) -> Self {
        let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[start..].lines().next().unwrap_or("");
        Line { number: text[..start].matches('\n').count() + 1, start, text: line }
    }

    fn shown(&self, span: &Range<usize>) -> Shown {
        let columns = |from: usize, to: usize| -> usize {
            let within = |offset: usize| offset.saturating_sub(self.start).min(self.text.len());
            self.text[within(from)..within(to)].chars().map(columns_of).sum()
        };
        let mark = columns(0, span.start);
        // The mark may be empty (a missing comma), or go on in the next line (an object).
        let mark_end = (mark + columns(span.start, span.end)).max(mark + 1);
        let mut seen = 0;
        let is_wide = self.text.chars().any(|c| {
            seen += columns_of(c);
            seen > WIDEST
        });
        if !is_wide {
            let text = self.text.chars().map(printed).collect();
            return Shown { text, before: mark, width: mark_end - mark };
        }

        let first = mark.saturating_sub(BEFORE);
        let last = first + WIDEST;
        let mut text = String::new();
        // The column in the line, and the one where the shown part really starts: a wide character may straddle.
        let (mut column, mut origin) = (0, None);
        for c in self.text.chars() {
            let width = columns_of(c);
            if column >= first && column + width <= last {
                origin.get_or_insert(column);
                text += &printed(c);
            }
            column += width;
            if column > last {
                break;
            }
        }
        let origin = origin.unwrap_or(first);
        let ellipsis = usize::from(first > 0);
        if first > 0 {
            text.insert(0, '…');
        }
        if column > last {
            text.push('…');
        }
        Shown { text, before: mark - origin + ellipsis, width: mark_end.min(last) - mark }
    }
}

/// A character as it is printed. A control character is replaced, so that a file cannot steer the terminal it is shown
/// on.
fn printed(c: char) -> String {
    match c {
        '\t' => "    ".into(),
        c if c.is_control() => "\u{fffd}".into(),
        c => c.into(),
    }
}

/// How many columns that takes.
fn columns_of(c: char) -> usize {
    match c {
        '\t' => 4,
        c if c.is_control() => 1,
        c => c.width().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, marked: &str) -> String {
        let start = text.find(marked).unwrap();
        excerpt(text, &[Mark { span: start..start + marked.len(), sign: '^', label: "" }])
    }

    #[test]
    fn positions_count_characters_from_one() {
        let text = "ab\r\nçé\n";
        for (offset, line, column) in [(0, 1, 1), (1, 1, 2), (4, 2, 1), (6, 2, 2), (8, 2, 3), (9, 3, 1)] {
            assert_eq!(position(text, offset), Position { line, column }, "{offset}");
        }
    }

    #[test]
    fn one_mark() {
        assert_eq!(show("a\nbb cc dd\r\ne", "cc"), "  2 | bb cc dd\n    |    ^^");
    }

    #[test]
    fn marks_at_the_very_end_and_past_the_line() {
        let at_end = excerpt("[\n", &[Mark { span: 2..2, sign: '^', label: "" }]);
        assert_eq!(at_end, "  2 | \n    | ^");
        assert_eq!(show("x {\n}", "{\n}"), "  1 | x {\n    |   ^");
    }

    #[test]
    fn tabs_wide_and_control_characters_keep_the_mark_in_place() {
        assert_eq!(show("\t日本\u{1b}\"x\"", "\"x\""), "  1 |     日本\u{fffd}\"x\"\n    |          ^^^");
    }

    #[test]
    fn two_marks_share_a_gutter_and_have_labels() {
        let text = "a\n\n\n\n\n\n\n\n\nb";
        let marks = [
            Mark { span: 0..1, sign: '-', label: "first here" },
            Mark { span: text.len() - 1..text.len(), sign: '^', label: "" },
        ];
        assert_eq!(excerpt(text, &marks), "   1 | a\n     | - first here\n  10 | b\n     | ^");
    }

    #[test]
    fn a_long_line_is_shown_around_the_mark() {
        let text = format!("{}MARK{}", "日".repeat(300), "b".repeat(300));
        let shown = show(&text, "MARK");
        let (line, mark) = shown.split_once('\n').unwrap();
        assert!(line.starts_with("  1 | …日") && line.ends_with("b…"), "{line}");
        let columns = |text: &str| -> usize { text.chars().map(columns_of).sum() };
        assert_eq!(
            columns(&line[..line.find("MARK").unwrap()]),
            columns(&mark[..mark.find("^^^^").unwrap()])
        );
        assert!(columns(line) <= WIDEST + 8);

        let start = show(&format!("MARK{}", "b".repeat(300)), "MARK");
        assert!(start.starts_with("  1 | MARKb") && start.ends_with("\n    | ^^^^"), "{start}");
        let whole = show(&"b".repeat(300), &"b".repeat(300));
        assert!(whole.ends_with(&format!("| {}", "^".repeat(WIDEST))), "{whole}");
    }
}
