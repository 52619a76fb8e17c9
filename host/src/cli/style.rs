//! The colours of what is printed, and what they mean.

use anstyle::{AnsiColor, Style};

/// Titles.
pub(super) const TITLE: Style = Style::new().bold();
/// What is as it should be.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What to look at.
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default();
/// What is wrong.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What matters less than the rest.
pub(super) const FAINT: Style = Style::new().dimmed();

/// The text in a style.
pub(super) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The style of an app's phase.
pub(super) fn of_phase(phase: &str) -> Style {
    match phase {
        "serving" => GOOD,
        "failed" | "blocked" => BAD,
        "resting" | "disabled" => WARNING,
        _ => Style::new(),
    }
}

/// The style of a log level.
pub(super) fn of_level(level: &str) -> Style {
    match level {
        "error" => BAD,
        "warn" => WARNING,
        "info" => GOOD,
        _ => FAINT,
    }
}
