//! What a run counted, and whether it is as it should be.

use std::fmt;

/// Rows of a name, a value, and what the value has to be.
#[derive(Debug, Default)]
pub(crate) struct Table {
    title: String,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    value: String,
    goal: Option<(String, bool)>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new() }
    }

    /// Adds a figure.
    pub(crate) fn row(&mut self, name: &'static str, value: impl ToString) {
        self.rows.push(Row { name, value: value.to_string(), goal: None });
    }

    /// Adds a figure that has to be as `goal` says.
    pub(crate) fn check(&mut self, name: &'static str, value: impl ToString, goal: impl ToString, met: bool) {
        self.rows.push(Row { name, value: value.to_string(), goal: Some((goal.to_string(), met)) });
    }

    /// Whether all goals are met.
    pub(crate) fn is_good(&self) -> bool {
        self.rows.iter().all(|row| row.goal.as_ref().is_none_or(|(_, met)| *met))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let values = self.rows.iter().map(|row| row.value.len()).max().unwrap_or(0);
        writeln!(f, "{}", self.title)?;
        for Row { name, value, goal } in &self.rows {
            write!(f, "  {name:names$}  {value:>values$}")?;
            match goal {
                Some((goal, true)) => writeln!(f, "  (goal: {goal})")?,
                Some((goal, false)) => writeln!(f, "  MISSED (goal: {goal})")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
