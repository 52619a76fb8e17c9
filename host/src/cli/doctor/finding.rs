//! What a check has found.

use atoll_host::internal::escape;
use serde::Serialize;

use super::super::style;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// It works, and may not under load or with some apps.
    Warning,
    /// Something does not work.
    Problem,
}

/// What a check has found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// What was checked.
    pub(super) check: String,
    /// What was found.
    pub(super) found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { level: Level::Ok, check: check.into(), found: found.into(), remedy: None }
    }

    pub(super) fn warning(
        check: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { level: Level::Warning, remedy: Some(remedy.into()), ..Self::ok(check, found) }
    }

    pub(super) fn problem(
        check: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { level: Level::Problem, ..Self::warning(check, found, remedy) }
    }

    /// A problem whose text contains the remedy.
    pub(super) fn problem_with_remedy(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { level: Level::Problem, ..Self::ok(check, found) }
    }

    /// `number` is enough if it is at least `wanted`; else there is a warning.
    pub(super) fn at_least(number: u64, wanted: u64, check: &str, found: String, remedy: &str) -> Self {
        if number >= wanted { Self::ok(check, found) } else { Self::warning(check, found, remedy) }
    }

    /// The line, or lines, for people.
    pub(super) fn to_text(&self) -> String {
        let (name, look) = match self.level {
            Level::Ok => ("ok", style::GOOD),
            Level::Warning => ("warning", style::WARNING),
            Level::Problem => ("problem", style::BAD),
        };
        let level = style::paint(look, &format!("{name:8}"));
        // The further lines of a long text belong to it.
        let found = escape::indented(&self.found, "            ");
        let mut text = format!("{level} {}: {found}\n", escape::line(&self.check));
        if let Some(remedy) = &self.remedy {
            text += &format!("         -> {remedy}\n");
        }
        text
    }
}
