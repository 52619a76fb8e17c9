//! Tables without lines, as wide as their contents.

use anstyle::Style;
use atoll_host::internal::escape;
use unicode_width::UnicodeWidthStr;

use super::style::{TITLE, paint};

/// The space between two columns.
const GAP: &str = "  ";

/// A column's title, and to which side its cells go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    Left(&'static str),
    Right(&'static str),
}

impl Column {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Left(title) | Self::Right(title) => title,
        }
    }
}

/// What is in a cell. Of a longer text the first line is shown, and what a terminal would obey is escaped.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub(super) fn styled(text: impl Into<String>, style: Style) -> Self {
        let text: String = text.into();
        let first = text.lines().next().unwrap_or_default().trim_end();
        Self { text: escape::line(first).into_owned(), style }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn style(&self) -> Style {
        self.style
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, Style::new())
    }
}

/// The rows under the columns' titles. Columns of which all cells are empty are left out.
pub(super) fn table<const N: usize>(columns: [Column; N], rows: &[[Cell; N]]) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].text.width()).max().unwrap_or(0);
    let shown: Vec<(usize, Column, usize)> = columns
        .into_iter()
        .enumerate()
        .filter(|(at, _)| rows.is_empty() || width(*at) > 0)
        .map(|(at, column)| (at, column, width(at).max(column.title().width())))
        .collect();
    let titles = columns.map(|column| Cell::styled(column.title(), TITLE));
    let lines = std::iter::once(&titles).chain(rows).map(|row| line(row, &shown));
    lines.collect()
}

fn line(row: &[Cell], columns: &[(usize, Column, usize)]) -> String {
    let mut line = String::new();
    let mut owed = String::new();
    for &(at, column, width) in columns {
        let Cell { text, style } = &row[at];
        let space = " ".repeat(width - text.width());
        let text = if style.is_plain() || text.is_empty() { text.clone() } else { paint(*style, text) };
        if let Column::Right(_) = column {
            owed.push_str(&space);
        }
        // Nothing is written at the end of a line that cannot be seen.
        if !text.is_empty() {
            line.push_str(&owed);
            line.push_str(&text);
            owed.clear();
        }
        if let Column::Left(_) = column {
            owed.push_str(&space);
        }
        owed.push_str(GAP);
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain<const N: usize>(columns: [Column; N], rows: &[[&str; N]]) -> String {
        let rows: Vec<_> = rows.iter().map(|row| row.map(Cell::from)).collect();
        anstream::adapter::strip_str(&table(columns, &rows)).to_string()
    }

    #[test]
    fn cells_are_under_their_titles() {
        let columns = [Column::Left("APP"), Column::Right("HEAP"), Column::Left("LAST")];
        let text = plain(columns, &[["hello", "1 B", "one\ntwo"], ["日", "100 B", ""]]);
        assert_eq!(text, "APP     HEAP  LAST\nhello    1 B  one\n日     100 B\n");
    }

    #[test]
    fn a_column_that_says_nothing_is_left_out() {
        let columns = [Column::Left("APP"), Column::Left("ROUTES"), Column::Left("LAST")];
        assert_eq!(plain(columns, &[["a", "", "b"]]), "APP  LAST\na    b\n");
        assert_eq!(plain(columns, &[]), "APP  ROUTES  LAST\n");
    }
}
