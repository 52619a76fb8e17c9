//! Lines that apps write to standard output and standard error: their levels, and their text without colors.

use log::Level;

/// In how many words at the beginning of a line its level is looked for.
const WORDS: usize = 6;

/// The level and the text of a line. Loggers such as those of `env_logger` and `tracing-subscriber` write the level near the
/// beginning; other lines are information.
pub(crate) fn parse(line: &str) -> (Level, String) {
    let text = anstream::adapter::strip_str(line).to_string();
    let words =
        text.split([' ', '\t', '[', ']', '(', ')', '<', '>', ':', '|']).filter(|word| !word.is_empty());
    let level = words.take(WORDS).find_map(level_of).unwrap_or(Level::Info);
    (level, text)
}

fn level_of(word: &str) -> Option<Level> {
    Some(match word {
        "ERROR" | "FATAL" => Level::Error,
        "WARN" | "WARNING" => Level::Warn,
        "INFO" => Level::Info,
        "DEBUG" => Level::Debug,
        "TRACE" => Level::Trace,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_where_loggers_write_it() {
        for (line, level, text) in [
            ("[2026-01-02T03:04:05Z WARN  shop::db] slow", Level::Warn, None),
            (
                "\u{1b}[2m2026-01-02T03:04:05.1Z\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m \u{1b}[2mshop\u{1b}[0m: gone n=1",
                Level::Error,
                Some("2026-01-02T03:04:05.1Z ERROR shop: gone n=1"),
            ),
            ("03:04:05 [DEBUG] (1) shop: x", Level::Debug, None),
            ("listening on 127.0.0.1:3000", Level::Info, None),
            ("an error: ERRORS are plural", Level::Info, None),
            ("one two three four five six ERROR", Level::Info, None),
            ("", Level::Info, None),
        ] {
            assert_eq!(parse(line), (level, text.unwrap_or(line).to_owned()), "{line}");
        }
    }
}
